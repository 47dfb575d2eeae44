"""images/ and masks/, by any of their names; optionally val/ and unlabeled/."""

from pathlib import Path

from classmix_jax.datasets.folder.layouts.layout import Layout, Part
from classmix_jax.datasets.folder.layouts.words import (
  IMAGES,
  MASKS,
  TEST,
  TRAIN,
  VAL,
  enter_parts,
  find_child,
  find_masks,
  find_part,
  find_unlabeled,
  read_parts,
)


def find_pair(root: Path) -> Layout | None:
  """Returns the layout of a directory with images/, None without it or if it has images/train."""
  images, masks = find_child(root, IMAGES), find_masks(root)
  if images is None or find_part(enter_parts(images, IMAGES), TRAIN) is not None:
    return None
  return Layout(
    train=(Part(images, masks or find_child(images, MASKS) or images),),
    val=read_parts(find_child(root, VAL)),
    test=read_parts(find_child(root, TEST)),
    unlabeled=find_unlabeled(root),
  )
