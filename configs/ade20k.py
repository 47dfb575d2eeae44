"""UniMatch V2 on ADE20K, crops of 518: arXiv 2410.10777, DINOv2-B with the DPT head.

    python launch/main.py --config=configs/ade20k.py:method=unimatch_v2 --config.data.root=DIR

DIR holds images/ and annotations/ of ADEChallengeData2016; see docs/datasets.md. 2,526 (1/8) of the
20,210 images are labelled.

Expected: the paper's 49.8 mIoU. Not yet run.
"""

from classmix_jax.config import defaults, papers


def get_config(text: str | None = None):
  config = defaults.get_config(text)
  config.name = 'ade20k'
  config.batch_size = 8
  config.unlabeled_batch_size = 8
  config.data.name = 'ade20k'
  config.data.zero_is_void = True  # False for masks of 0..149 and 255, as UniMatch V2 ships them
  config.data.labeled = config.data.labeled or '1/8'
  config.data.crop = (518, 518)
  config.data.scale = (0.5, 2.0)
  config.data.flip = True
  config.eval_batch_size = 1  # images have many sizes
  return papers.apply(config)
