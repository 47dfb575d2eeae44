"""Cityscapes unpacked: leftImg8bit/SPLIT/CITY/*_leftImg8bit.png and its label pictures.

Synopsis:

    missing_folders(Path('Cityscapes'))                 # [] where train and val are complete
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


def folder_of(base: Path, kind: str, split: str) -> Path:
  """Returns base/kind/split, also where the archive was unpacked into a folder of its own.

  Example: `folder_of(base, 'gtFine', 'val')` may be `base/gtFine_trainvaltest/gtFine/val`.
  """
  nested = base / _archive(kind, split) / kind / split
  return nested if nested.is_dir() else base / kind / split


def _archive(kind: str, split: str) -> str:
  return f'{kind}_trainextra' if split == 'train_extra' else f'{kind}_trainvaltest'


def missing_folders(base: Path) -> list[Path]:
  """Returns the folders of images and labels that are not there."""
  folders = [
    folder_of(base, kind, split) for kind in ('leftImg8bit', 'gtFine') for split in ('train', 'val')
  ]
  return [folder for folder in folders if not folder.is_dir()]


def find_pairs(base: Path, split: str) -> tuple[Pairs, Decoding]:
  """Returns images and masks of 'train' or 'val', and how the masks read.

  Masks are *_labelIds.png, or *_labelTrainIds.png where the split has none of the former.

  Raises:
    UserError: there are no images, or images without a mask.

  Example: `find_pairs(base, 'train')[0].names[0] == 'aachen/aachen_000000_000019'`.
  """
  images = _find(base, split)
  folder = folder_of(base, 'gtFine', split)
  found = find_images(folder)
  masks, decoding = _strip(found, LABEL_ID), LABEL_IDS
  if not masks:
    masks, decoding = _strip(found, TRAIN_ID), TRAIN_IDS
  remedy = f'Unpack gtFine_trainvaltest.zip again: {folder} must hold their *{LABEL_ID}.png.'
  return pair(images, masks, remedy), decoding


def find_train_extra(base: Path) -> Mapping[str, Path]:
  """Returns name -> file of the images that have coarse labels only; those are not looked at.

  Raises:
    UserError: there are none.

  Example: `find_train_extra(base)` holds 'augsburg/augsburg_000000_000000'.
  """
  return _find(base, 'train_extra')


def _find(base: Path, split: str) -> Mapping[str, Path]:
  folder = folder_of(base, 'leftImg8bit', split)
  images = _strip(find_images(folder), IMAGE)
  if not images:
    archive = _archive('leftImg8bit', split)
    raise UserError(f'{folder} holds no *{IMAGE}.png. Unpack {archive}.zip in {base}.')
  return images


def _strip(found: Mapping[str, Path], ending: str) -> dict[str, Path]:
  """Returns the files whose names end like this, named without the ending."""
  named = {name.removesuffix(ending): found[name] for name in found if name.endswith(ending)}
  return dict(sorted(named.items()))
