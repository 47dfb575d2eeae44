"""The 19 classes that Cityscapes evaluates, their colours, and their ids in its label files.

Synopsis:

    CLASS_NAMES[13], PALETTE[13]      # 'car', (0, 0, 142)
    LABEL_IDS.table[26]               # 13: the value of a car in *_labelIds.png is 26
"""

from classmix_jax.data.files.decoding import Decoding, label_table
from classmix_jax.types import VOID

CLASSES = (  # name, colour, label id; the position is the train id
  ('road', (128, 64, 128), 7),
  ('sidewalk', (244, 35, 232), 8),
  ('building', (70, 70, 70), 11),
  ('wall', (102, 102, 156), 12),
  ('fence', (190, 153, 153), 13),
  ('pole', (153, 153, 153), 17),
  ('traffic light', (250, 170, 30), 19),
  ('traffic sign', (220, 220, 0), 20),
  ('vegetation', (107, 142, 35), 21),
  ('terrain', (152, 251, 152), 22),
  ('sky', (70, 130, 180), 23),
  ('person', (220, 20, 60), 24),
  ('rider', (255, 0, 0), 25),
  ('car', (0, 0, 142), 26),
  ('truck', (0, 0, 70), 27),
  ('bus', (0, 60, 100), 28),
  ('train', (0, 80, 100), 31),
  ('motorcycle', (0, 0, 230), 32),
  ('bicycle', (119, 11, 32), 33),
)
NUM_LABEL_IDS = 34  # 0 to 33; ids without a class above are void

CLASS_NAMES = tuple(name for name, _, _ in CLASSES)
PALETTE = tuple(color for _, color, _ in CLASSES)
RAW_IDS = tuple(label_id for _, _, label_id in CLASSES)  # values for the official tools

_ADVICE = 'Use the label images of gtFine_trainvaltest.zip, or dataset folder for others.'
_TRAIN_ID = {label_id: train_id for train_id, (_, _, label_id) in enumerate(CLASSES)}

LABEL_IDS = Decoding(
  CLASS_NAMES,
  label_table(len(CLASSES), {raw: _TRAIN_ID.get(raw, VOID) for raw in range(NUM_LABEL_IDS)}),
  advice=_ADVICE,
)
TRAIN_IDS = Decoding(CLASS_NAMES, label_table(len(CLASSES)), advice=_ADVICE)
