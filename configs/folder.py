"""ClassMix on your own images, from scratch.

    python launch/main.py --config=configs/folder.py --config.data.root=DIR

DIR holds images, masks for some of them, and a file of class names, in any usual layout; see
docs/own_data.md and docs/layouts.md.
"""

from classmix_jax.config import defaults

# Of mixed images: a hue of a quarter circle is too much for a small network, and blur wipes out
# what is one pixel wide.
MIXING = {'jitter': 0.1, 'blur': False}


def get_config(text: str | None = None):
  config = defaults.small(defaults.get_config(text))
  config.name = 'folder'
  config.data.name = 'folder'
  # Patterns below DIR, each '' for what the layout of DIR has, see docs/layouts.md.
  config.data.images = ''  # images with or without a mask, e.g. 'photos/*.jpg'
  config.data.masks = ''  # e.g. 'gt/{name}_mask.png', or 'gt/*' to match them by their names
  config.data.unlabeled_images = ''  # further images without masks
  config.data.val = ''  # images for validation, or a file of their names
  # Without images for validation: this share of the labelled ones, at least one, by a hash of
  # each name and the seed.
  config.data.val_share = 0.2
  config.data.val_seed = 0
  config.data.classes = ''  # file of class names; '' for DIR/classes.txt or that of the layout
  config.data.label_map = ''  # e.g. '255:1,7:void': classes of other mask values
  config.data.colors = ''  # e.g. '#804080:0': classes of colours in RGB masks
  config.data.ignore = ''  # e.g. '0': mask values that are void
  config.data.mask_threshold = 0  # e.g. 128, two classes: grey values from it on are class 1
  config.data.color_distance = 0.0  # e.g. 64: colours so near to that of a class have this class
  config.data.others = ''  # 'void': so are values and colours without a class
  config.data.transparent = ''  # class of transparent pixels: 0, void, color, alpha, inverse_alpha
  config.data.turn_masks = False  # True: turns masks by the EXIF tag of their images
  config.data.bands = ''  # e.g. '4,3,2': bands of images that are neither grey nor RGB
  config.data.value_range = ''  # e.g. '0:3060', 'p2:p98': values of images that become 0..255
  config.eval_batch_size = 4
  # In short trainings the student is as good as its average or better, see docs/results.md.
  config.eval_network = 'student'
  config.method.update({k: v for k, v in MIXING.items() if k in config.method})
  # None: chosen for the data at the first start, and printed; see docs/recipes.md.
  defaults.leave_open(config)
  return defaults.for_backbone(config, text)
