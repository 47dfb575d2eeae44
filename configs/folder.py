"""Your own images, from scratch.

    python launch/main.py --config=configs/folder.py --config.data.root=DIR

DIR holds classes.txt (one name per line), labeled/images, labeled/masks,
unlabeled/images, val/images and val/masks; see docs/own_data.md.
"""

from classmix_jax.config import defaults


def get_config(text: str | None = None):
  config = defaults.small(defaults.get_config(text))
  config.name = 'folder'
  config.data.name = 'folder'
  config.data.classes = ''  # file of class names; '' is DIR/classes.txt
  config.data.label_map = ''  # e.g. '255:1,7:void': what other values in masks mean
  config.data.colors = ''  # e.g. '#804080:0': classes of colours in RGB masks
  config.data.ignore = ''  # e.g. '0': values of masks that are void
  config.data.crop = (128, 160)
  config.eval_batch_size = 4
  return config
