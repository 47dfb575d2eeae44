"""Finds images and masks of Cityscapes in unpacked directories.

Synopsis:

    missing_directories(Path('Cityscapes'))                 # [] if train and val exist
    pairs, decoding = find_pairs(Path('Cityscapes'), 'train')
    images = find_train_extra(Path('Cityscapes'))       # name -> file
"""

from collections.abc import Mapping
from pathlib import Path

from classmix_jax.data.files.decoding import Decoding
from classmix_jax.data.files.find_images import find_images
from classmix_jax.data.files.pairs import Pairs, pair
from classmix_jax.datasets.cityscapes.classes import LABEL_IDS, TRAIN_IDS
from classmix_jax.errors import UserError

IMAGE, LABEL_ID, TRAIN_ID = '_leftImg8bit', '_gtFine_labelIds', '_gtFine_labelTrainIds'


def directory_of(base: Path, kind: str, split: str) -> Path:
  """Returns base/kind/split, or its place in a directory named after the archive.

  Example: `directory_of(base, 'gtFine', 'val')` may be `base/gtFine_trainvaltest/gtFine/val`.
  """
  nested = base / _archive(kind, split) / kind / split
  return nested if nested.is_dir() else base / kind / split


def _archive(kind: str, split: str) -> str:
  return f'{kind}_trainextra' if split == 'train_extra' else f'{kind}_trainvaltest'


def missing_directories(base: Path) -> list[Path]:
  """Returns the missing directories of images and labels."""
  directories = [
    directory_of(base, kind, split)
    for kind in ('leftImg8bit', 'gtFine')
    for split in ('train', 'val')
  ]
  return [directory for directory in directories if not directory.is_dir()]


def find_pairs(base: Path, split: str) -> tuple[Pairs, Decoding]:
  """Returns the pairs of 'train' or 'val', and the decoding of their masks.

  Masks are *_labelIds.png, or *_labelTrainIds.png if the split has no label ids.

  Raises:
    UserError: there are no images, or images have no mask.

  Example: `find_pairs(base, 'train')[0].names[0] == 'aachen/aachen_000000_000019'`.
  """
  images = _find_split_images(base, split)
  directory = directory_of(base, 'gtFine', split)
  files = find_images(directory)
  masks, decoding = _strip_ending(files, LABEL_ID), LABEL_IDS
  if not masks:
    masks, decoding = _strip_ending(files, TRAIN_ID), TRAIN_IDS
  remedy = f'Unpack gtFine_trainvaltest.zip again: {directory} must hold their *{LABEL_ID}.png.'
  return pair(images, masks, remedy), decoding


def find_train_extra(base: Path) -> Mapping[str, Path]:
  """Returns name -> file of the images with coarse labels, which are not read.

  Raises:
    UserError: there are no such images.

  Example: `find_train_extra(base)` holds 'augsburg/augsburg_000000_000000'.
  """
  return _find_split_images(base, 'train_extra')


def _find_split_images(base: Path, split: str) -> Mapping[str, Path]:
  directory = directory_of(base, 'leftImg8bit', split)
  images = _strip_ending(find_images(directory), IMAGE)
  if not images:
    archive = _archive('leftImg8bit', split)
    raise UserError(f'{directory} holds no *{IMAGE}.png. Unpack {archive}.zip in {base}.')
  return images


def _strip_ending(files: Mapping[str, Path], ending: str) -> dict[str, Path]:
  """Returns the files whose names have an ending, under the names without it."""
  stripped = {name.removesuffix(ending): files[name] for name in files if name.endswith(ending)}
  return dict(sorted(stripped.items()))
