"""ClassMix on the rendered street scenes, from scratch; needs no data and no accelerator.

    python launch/main.py --config=configs/scenes.py

1,000 images of 96x192, of which 31 (1/32) are labelled.
Measured: 53.80 ± 0.58 mIoU (three seeds); three minutes on two CPU cores.
"""

from classmix_jax.config import defaults


def get_config(text: str | None = None):
  config = defaults.small(defaults.get_config(text))
  config.name = 'scenes'
  config.data.name = 'scenes'
  config.data.labeled = config.data.labeled or '31'
  config.data.crop = (96, 96)
  config.model.head = 'conv3x3'
  config.eval_batch_size = 20
  return config
