"""ClassMix on CamVid at 180x240, from scratch, on a laptop.

    python launch/main.py --config=configs/camvid.py:labeled=46 --config.data.root=CamVid

367 images, of which 46 (1/8) are labelled.
Measured: 50.26 mIoU (two seeds).
"""

from classmix_jax.config import defaults, papers


def get_config(text: str | None = None):
  config = defaults.small(defaults.get_config(text))
  config.name = 'camvid'
  config.data.name = 'camvid'
  config.data.labeled = config.data.labeled or '46'
  config.data.size = (180, 240)
  config.data.crop = (128, 160)
  config.steps = 6_000
  config.eval_batch_size = 10
  return defaults.for_backbone(papers.apply(config), text)
