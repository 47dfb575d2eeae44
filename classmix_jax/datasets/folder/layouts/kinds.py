"""images/train and masks/train: mmsegmentation's img_dir and ann_dir, ADE20K, YOLO-like."""

from collections.abc import Sequence
from pathlib import Path

from classmix_jax.datasets.folder.layouts.layout import Layout, Part
from classmix_jax.datasets.folder.layouts.words import (
  IMAGES,
  MASKS,
  TEST,
  TRAIN,
  UNLABELED,
  VAL,
  enter_parts,
  find_child,
  find_part,
  find_unlabeled,
)

ADE20K = (
  'ADE20K has ids from 1 to 150, and 0 for other pixels: for its own masks use '
  '--config=configs/ade20k.py; for other masks whose ids start at 1 set '
  "--config.data.label_map='0:void,1:0,2:1,...'."
)


def find_kinds(root: Path) -> Layout | None:
  """Returns the layout of a directory with images/train and masks/, None if there are none."""
  images, masks = find_child(root, IMAGES), find_child(root, MASKS)
  if images is None or masks is None:
    return None
  images, masks = enter_parts(images, IMAGES), enter_parts(masks, MASKS)
  train = _find_part(images, masks, TRAIN)
  if train is None:
    return None
  unlabeled = find_child(images, UNLABELED)
  return Layout(
    train=(train,),
    val=tuple(filter(None, [_find_part(images, masks, VAL)])),
    test=tuple(filter(None, [_find_part(images, masks, TEST)])),
    unlabeled=(unlabeled,) if unlabeled else find_unlabeled(root),
    notes=(ADE20K,) if train.images.name == train.masks.name == 'training' else (),
  )


def _find_part(images: Path, masks: Path, part: Sequence[str]) -> Part | None:
  """Returns images/PART with masks/PART, or with all masks if these have no parts."""
  directory = find_part(images, part)
  if directory is None:
    return None
  return Part(directory, find_part(masks, part) or masks)
