"""labeled/images, labeled/masks, unlabeled/images, val/images and val/masks: our own layout."""

from pathlib import Path

from classmix_jax.datasets.folder.layouts.layout import Layout
from classmix_jax.datasets.folder.layouts.words import (
  LABELED,
  TEST,
  VAL,
  find_child,
  find_unlabeled,
  read_part,
  read_parts,
)


def find_own(root: Path) -> Layout | None:
  """Returns the layout of a directory with labeled/, None if there is no such directory."""
  labeled = find_child(root, LABELED)
  if labeled is None:
    return None
  return Layout(
    train=(read_part(labeled),),
    val=read_parts(find_child(root, VAL)),
    test=read_parts(find_child(root, TEST)),
    unlabeled=find_unlabeled(root),
  )
