"""A directory of images and one of masks by longer names: ISIC, ISPRS Potsdam.

ISIC2018_Task1-2_Training_Input and ISIC2018_Task1_Training_GroundTruth, the same with Validation;
2_Ortho_RGB and 5_Labels_all.
"""

from collections.abc import Sequence
from pathlib import Path
import re

from classmix_jax.datasets.folder.layouts.layout import Layout, Part
from classmix_jax.datasets.folder.layouts.siblings import find_siblings
from classmix_jax.datasets.folder.layouts.splits import find_splits
from classmix_jax.datasets.folder.layouts.words import (
  LABELED,
  MASKS,
  SPECIAL,
  TEST,
  TRAIN,
  VAL,
  children,
  find_part,
  find_unlabeled,
  has_images,
  image_files,
  pair_by_words,
  part_of,
  spell,
)


def find_named(root: Path) -> Layout | None:
  """Returns the layout of a directory whose directories have words for masks in their names.

  None if one has a known name, but for masks, or if there is not one of images and one of masks for
  training. Parts are recognized by a word, too, as Validation.
  """
  directories = children(root)
  if image_files(root) or {spell(one.name) for one in directories} & {*SPECIAL} - {*MASKS}:
    return None
  if any(re.search('|'.join(LABELED), spell(directory.name)) for directory in directories):
    return None
  if find_siblings(root) is not None or find_splits(root) is not None:
    return None
  groups: dict[Sequence[str], list[Path]] = {(): [], TRAIN: [], VAL: [], TEST: []}
  for directory in filter(has_images, directories):
    groups[part_of(directory)].append(directory)
  train, val, test = (pair_by_words(groups[part]) for part in (TRAIN, VAL, TEST))
  whole = pair_by_words(groups[()])
  if whole is not None and train is None:
    train, val, test = (_find_nested(whole, part) for part in (TRAIN, VAL, TEST))
    train = train or whole
  if train is None:
    return None
  return Layout(
    train=(train,),
    val=(val,) if val else (),
    test=(test,) if test else (),
    unlabeled=find_unlabeled(root),
  )


def _find_nested(pair: Part, part: Sequence[str]) -> Part | None:
  """Returns the part in directories in those of the images and of the masks, None without one."""
  images, masks = find_part(pair.images, part), find_part(pair.masks, part)
  return Part(images, masks or pair.masks) if images else None
