"""ClassMix on CamVid, from scratch, at half resolution, on a laptop.

    python launch/main.py --config=configs/camvid.py:labeled=46 --config.data.root=CamVid
"""

from configs import base


def get_config(text: str | None = None):
  config = base.get_config(text)
  config.name = 'camvid'
  config.data.name = 'camvid'
  config.data.labeled = config.data.labeled or '46'
  config.data.size = (180, 240)
  config.data.crop = (128, 160)
  config.data.scale = (0.75, 1.5)
  config.data.flip = True
  config.model.backbone = 'tiny'
  config.steps = 3_000
  config.batch_size = 4
  config.unlabeled_batch_size = 4
  config.eval_every = 1_000
  config.checkpoint_every = 500
  config.log_every = 250
  config.eval_batch_size = 10
  config.optim.learning_rate = 0.05
  config.optim.head_multiplier = 1.0
  return config
