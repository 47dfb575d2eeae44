"""JPEGImages and SegmentationClass with lists of names: PASCAL VOC, CVAT, labelme2voc.

CVAT's "Segmentation mask 1.1" has ImageSets/Segmentation/default.txt or train.txt, and
labelmap.txt with the colours of its masks. labelme's labelme2voc.py has class_names.txt.
"""

from collections.abc import Sequence
from pathlib import Path

from classmix_jax.datasets.folder.layouts.layout import Layout, Part
from classmix_jax.datasets.folder.layouts.words import (
  IMAGES,
  find_child,
  find_unlabeled,
  image_files,
)
from classmix_jax.errors import UserError

MASKS = (
  'segmentationclass', 'segmentationclasspng', 'segmentationclassraw', 'segmentationclassaug',
)  # fmt: skip
TRAIN = ('train.txt', 'trainaug.txt', 'train_aug.txt', 'default.txt', 'trainval.txt')
VAL = ('val.txt', 'valid.txt', 'validation.txt')


def find_voc(root: Path) -> Layout | None:
  """Returns the layout of a directory with JPEGImages and SegmentationClass, or None.

  Raises:
    UserError: there are masks and lists of names, but no images, as in an export of CVAT without
      "Save images".
  """
  images, masks = find_child(root, IMAGES), find_child(root, MASKS)
  lists = root / 'ImageSets' / 'Segmentation'
  if masks is not None and images is None and lists.is_dir() and not image_files(root):
    raise UserError(
      f'{root} holds {masks.name}/, but no images: export it again with images, or put them into '
      f'{root / "JPEGImages"}.'
    )
  if images is None or masks is None:
    return None
  train, val = _first(lists, TRAIN), _first(lists, VAL)
  test = _first(lists, ('test.txt',))
  return Layout(
    train=(Part(images, masks, names=train),),
    val=(Part(images, masks, names=val),) if val else (),
    test=(Part(images, masks, names=test),) if test else (),
    unlabeled=find_unlabeled(root),
    marked=True,
  )


def _first(directory: Path, names: Sequence[str]) -> Path | None:
  """Returns the first of the files, in any case, that exists and is not empty, or None."""
  files = {path.name.lower(): path for path in directory.glob('*.[tT][xX][tT]')}
  paths = [files[name] for name in names if name in files]
  return next((path for path in paths if path.is_file() and path.read_bytes().strip()), None)
