"""A/images, A/masks, B/images, B/masks: one directory for each place, camera or day."""

from pathlib import Path

from classmix_jax.datasets.folder.layouts.layout import Layout
from classmix_jax.datasets.folder.layouts.words import find_unlabeled, read_groups


def find_groups(root: Path) -> Layout | None:
  """Returns the layout of several directories with images and masks each, None without two."""
  parts = read_groups(root, least=2)
  return Layout(train=parts, unlabeled=find_unlabeled(root)) if parts else None
