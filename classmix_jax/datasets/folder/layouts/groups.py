"""A/images, A/masks, B/images, B/masks: one directory for each place, camera or day."""

from pathlib import Path

from classmix_jax.datasets.folder.layouts.layout import Layout, Part
from classmix_jax.datasets.folder.layouts.words import (
  IMAGES,
  MASKS,
  SPECIAL,
  children,
  find_child,
  find_unlabeled,
  spell,
)


def find_groups(root: Path) -> Layout | None:
  """Returns the layout of several directories with images and masks each, None without two."""
  parts = []
  for directory in children(root):
    if spell(directory.name) in SPECIAL:
      continue
    images, masks = find_child(directory, IMAGES), find_child(directory, MASKS)
    if images is not None and masks is not None:
      parts.append(Part(images, masks, prefix=f'{directory.name}/'))
  if len(parts) < 2:
    return None
  return Layout(train=tuple(parts), unlabeled=find_unlabeled(root))
