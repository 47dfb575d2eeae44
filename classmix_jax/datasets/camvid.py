"""CamVid as the SegNet tutorial publishes it: 367 training and 101 validation images.

Synopsis:

    dataset = load('CamVid', size=(180, 240))
    dataset.train.read_image(0)   # [180, 240, 3] uint8
    dataset.train.read_label(0)   # [180, 240] uint8, 0..10 and 255

G. Brostow, J. Fauqueur, R. Cipolla, "Semantic object classes in video", 2009;
V. Badrinarayanan et al., "SegNet", arXiv:1511.00561: the 11 classes and the split.
"""

import contextlib
import os
from pathlib import Path

from classmix_jax.data.files.checks import check_exists, check_pairs
from classmix_jax.data.files.decoding import Decoding, label_table
from classmix_jax.data.files.file_source import paired_source
from classmix_jax.data.files.find_images import find_images, find_unpacked_images
from classmix_jax.data.files.pairs import Pairs, listed_pairs, pair
from classmix_jax.data.source import Dataset, Source
from classmix_jax.errors import UserError
from classmix_jax.types import VOID, Size

CLASS_NAMES = (
  'sky',
  'building',
  'pole',
  'road',
  'pavement',
  'tree',
  'sign',
  'fence',
  'car',
  'pedestrian',
  'bicyclist',
)
PALETTE = (
  (128, 128, 128),
  (128, 0, 0),
  (192, 192, 128),
  (128, 64, 128),
  (60, 40, 222),
  (128, 128, 0),
  (192, 128, 128),
  (64, 64, 128),
  (64, 0, 128),
  (64, 64, 0),
  (0, 128, 192),
)
UNLABELLED = 11  # the void class of the files

DECODING = Decoding(
  CLASS_NAMES,
  label_table(len(CLASS_NAMES), {UNLABELLED: VOID}),
  advice='Use the label images of the SegNet copy of CamVid, or dataset folder for others.',
)
LAYOUT = 'train/, trainannot/, val/ and valannot/ (CamVid as the SegNet tutorial publishes it)'


def load(root: str, size: Size | None = None) -> Dataset:
  """Returns CamVid; checks paths, pairs and sizes without decoding an image.

  Args:
    root: directory with train/, trainannot/, val/, valannot/ and optionally test/, testannot/ and
      the lists train.txt, val.txt and test.txt. Without a list, all images of the directory are
      used.
    size: working resolution (height, width); None keeps 360 x 480.

  Raises:
    UserError: paths or files are missing, or sizes differ; the message lists them.

  Example: `len(load('CamVid').train) == 367`.
  """
  base = Path(os.path.expanduser(root))
  directories = [base / name for name in ('train', 'trainannot', 'val', 'valannot')]
  check_exists(root and str(base), directories, LAYOUT)
  return Dataset(
    name='camvid',
    class_names=CLASS_NAMES,
    palette=PALETTE,
    train=paired_source(_check(_find_split(base, 'train')), DECODING, size),
    val=paired_source(_check(_find_split(base, 'val')), DECODING, size),
    test=_open_test(base, size),
  )


def _check(pairs: Pairs) -> Pairs:
  check_pairs(pairs, DECODING)
  return pairs


def _open_test(base: Path, size: Size | None) -> Source | None:
  """Returns the test images, None if they are missing or incomplete: training uses none."""
  if not (base / 'test').is_dir() or not (base / 'testannot').is_dir():
    return None
  with contextlib.suppress(UserError):
    return paired_source(_find_split(base, 'test'), DECODING, size)
  return None


def _find_split(base: Path, split: str) -> Pairs:
  images = find_unpacked_images(base / split, 'CamVid')
  masks = find_images(base / f'{split}annot')
  list_file = base / f'{split}.txt'
  if list_file.exists():
    return listed_pairs(
      list_file,
      images,
      masks,
      remedy=f'Unpack them again beside {list_file.name}, or remove the list to read whole '
      'directories.',
    )
  return pair(images, masks, remedy=f'Add them to {base / f"{split}annot"}.')
