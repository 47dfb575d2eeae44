"""The 21 classes of PASCAL VOC and their colours.

Synopsis:

    CLASS_NAMES[15], PALETTE[15]      # 'person', (192, 128, 128)
"""

from classmix_jax.data.files.colors import voc_palette
from classmix_jax.data.files.decoding import Decoding, label_table

CLASS_NAMES = (
  'background',
  'aeroplane',
  'bicycle',
  'bird',
  'boat',
  'bottle',
  'bus',
  'car',
  'cat',
  'chair',
  'cow',
  'diningtable',
  'dog',
  'horse',
  'motorbike',
  'person',
  'pottedplant',
  'sheep',
  'sofa',
  'train',
  'tvmonitor',
)
PALETTE = voc_palette(len(CLASS_NAMES))

DECODING = Decoding(
  CLASS_NAMES,
  label_table(len(CLASS_NAMES)),
  advice='Use masks that hold the class ids, in grey or in the palette of VOC, or dataset folder '
  'for others.',
)
