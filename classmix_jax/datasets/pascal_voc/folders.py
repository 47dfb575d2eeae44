"""Finds the pairs of PASCAL VOC 2012 from its directories and its lists of names.

Synopsis:

    base = find_base(Path('DIR'))                              # DIR/VOCdevkit/VOC2012
    train, val = find_pairs(base, 'SegmentationClassAug')      # Pairs: 10,582 and 1,449
    train, val = find_pairs(base, 'SegmentationClass')         # Pairs:  1,464 and 1,449
"""

from pathlib import Path

from classmix_jax.data.files.checks import check_exists, check_pairs
from classmix_jax.data.files.find_images import find_images
from classmix_jax.data.files.pairs import Pairs, listed_pairs, named_pairs
from classmix_jax.datasets.pascal_voc.classes import DECODING

TRAIN_LISTS = {  # by directory of training masks; the first list that exists is read
  'SegmentationClassAug': ('trainaug.txt', 'train_aug.txt'),
  'SegmentationClass': ('train.txt',),
}
LAYOUT = (
  'VOCdevkit/VOC2012, which holds JPEGImages/, SegmentationClass/, SegmentationClassAug/ and '
  'ImageSets/Segmentation/; without SegmentationClassAug/ set '
  "--config.data.masks='SegmentationClass'"
)


def find_base(root: Path) -> Path:
  """Returns the directory VOC2012: in VOCdevkit, in `root`, or `root` itself.

  Example: `find_base(Path('DIR'))` is `DIR/VOCdevkit/VOC2012` if that is a directory.
  """
  inside = (root / 'VOCdevkit' / 'VOC2012', root / 'VOC2012')
  return next((base for base in inside if base.is_dir()), root)


def find_pairs(base: Path, masks: str) -> tuple[Pairs, Pairs]:
  """Returns the training and validation pairs, after comparing their sizes.

  For the masks 'SegmentationClassAug' the training images are listed in trainaug.txt or
  train_aug.txt; without such a list they are those of all masks that val.txt does not name. For
  'SegmentationClass' they are listed in train.txt.

  Raises:
    UserError: directories, lists or listed files are missing, or sizes differ.

  Example: `len(find_pairs(base, 'SegmentationClass')[0].names) == 1464`.
  """
  directories = [base / name for name in ('JPEGImages', 'SegmentationClass', masks)]
  lists = base / 'ImageSets' / 'Segmentation'
  train_lists = [lists / name for name in TRAIN_LISTS[masks]]
  needed = [lists / 'val.txt'] + (train_lists if masks == 'SegmentationClass' else [])
  check_exists(str(base), [*dict.fromkeys(directories), *needed], LAYOUT)
  images, val_masks, train_masks = map(find_images, directories)

  remedy = f'Unpack PASCAL VOC 2012 again in {base}.'
  val = listed_pairs(lists / 'val.txt', images, val_masks, remedy)
  train_list = next((path for path in train_lists if path.exists()), None)
  if train_list is not None:
    train = listed_pairs(train_list, images, train_masks, remedy)
  else:
    rows = {name: name for name in sorted(train_masks.keys() - set(val.names))}
    train = named_pairs(rows, images, train_masks, origin=base / masks, remedy=remedy)
  check_pairs(train, DECODING)
  check_pairs(val, DECODING)
  return train, val
