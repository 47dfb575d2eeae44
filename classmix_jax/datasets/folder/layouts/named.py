"""A directory of images and one of masks by longer names: ISIC, ISPRS Potsdam.

ISIC2018_Task1-2_Training_Input and ISIC2018_Task1_Training_GroundTruth, the same with Validation;
2_Ortho_RGB and 5_Labels_all.
"""

from collections.abc import Sequence
from pathlib import Path
import re

from classmix_jax.datasets.folder.layouts.layout import Layout, Part
from classmix_jax.datasets.folder.layouts.siblings import find_siblings
from classmix_jax.datasets.folder.layouts.words import (
  LABELED,
  MASK_PARTS,
  SPECIAL,
  TEST,
  TRAIN,
  VAL,
  children,
  find_unlabeled,
  has_images,
  image_files,
  spell,
)


def find_named(root: Path) -> Layout | None:
  """Returns the layout of a directory whose directories have words for masks in their names.

  None if a directory has a known name, or if there is not one of images and one of masks for
  training. Parts are recognized by a word, too, as Validation.
  """
  directories = children(root)
  words = {directory: set(spell(directory.name).split('_')) for directory in directories}
  if image_files(root) or any(spell(directory.name) in SPECIAL for directory in directories):
    return None
  if any(re.search('|'.join(LABELED), spell(directory.name)) for directory in directories):
    return None
  if find_siblings(root) is not None:
    return None
  groups: dict[Sequence[str], list[Path]] = {(): [], TRAIN: [], VAL: [], TEST: []}
  for directory in filter(has_images, directories):
    part = next((one for one in (TRAIN, VAL, TEST) if words[directory] & set(one)), ())
    groups[part].append(directory)
  train = _pair(groups[TRAIN]) or _pair(groups[()])
  if train is None:
    return None
  val, test = _pair(groups[VAL]), _pair(groups[TEST])
  return Layout(
    train=(train,),
    val=(val,) if val else (),
    test=(test,) if test else (),
    unlabeled=find_unlabeled(root),
  )


def _pair(directories: Sequence[Path]) -> Part | None:
  """Returns the part of two directories, one of masks by a word in its name, or None."""
  masks = [one for one in directories if any(word in spell(one.name) for word in MASK_PARTS)]
  images = [one for one in directories if one not in masks]
  return Part(images[0], masks[0]) if len(images) == len(masks) == 1 else None
