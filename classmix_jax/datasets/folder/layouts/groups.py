"""A/images, A/masks, B/images, B/masks: one directory for each place, camera or day."""

from pathlib import Path

from classmix_jax.datasets.folder.layouts.layout import Layout
from classmix_jax.datasets.folder.layouts.words import (
  LABELED,
  TEST,
  TRAIN,
  VAL,
  find_child,
  find_unlabeled,
  read_groups,
  read_parts,
)


def find_groups(root: Path) -> Layout | None:
  """Returns the layout of several directories with images and masks each, None without two.

  val/ and test/ beside them are parts of their own; other layouts have train/.
  """
  parts = read_groups(root, least=2)
  if not parts or find_child(root, (*TRAIN, *LABELED)):
    return None
  return Layout(
    train=parts,
    val=read_parts(find_child(root, VAL)),
    test=read_parts(find_child(root, TEST)),
    unlabeled=find_unlabeled(root),
  )
