"""ClassMix on your own images, from scratch.

    python launch/main.py --config=configs/folder.py --config.data.root=DIR

DIR holds classes.txt (one name a line), labeled/images, labeled/masks, unlabeled/images,
val/images and val/masks; see docs/own_data.md.
"""

from classmix_jax.config import defaults


def get_config(text: str | None = None):
  config = defaults.small(defaults.get_config(text))
  config.name = 'folder'
  config.data.name = 'folder'
  config.data.classes = ''  # file of class names; '' for DIR/classes.txt
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
  config.data.crop = (128, 160)
  config.eval_batch_size = 4
  return defaults.for_backbone(config, text)
