"""train/, val/ and test/, each with its images and masks: Roboflow and others.

Roboflow's "semantic segmentation masks" has NAME.jpg, NAME_mask.png and _classes.csv in train/,
valid/ and test/.
"""

from pathlib import Path

from classmix_jax.datasets.folder.layouts.layout import Layout
from classmix_jax.datasets.folder.layouts.siblings import find_sibling_masks
from classmix_jax.datasets.folder.layouts.words import (
  TEST,
  TRAIN,
  VAL,
  find_part,
  find_unlabeled,
  read_parts,
)


def find_splits(root: Path) -> Layout | None:
  """Returns the layout of a directory with train/, None without it or if masks are beside it."""
  train = find_part(root, TRAIN)
  if train is None or find_sibling_masks(root, TRAIN) is not None:
    return None
  return Layout(
    train=read_parts(train),
    val=read_parts(find_part(root, VAL)),
    test=read_parts(find_part(root, TEST)),
    unlabeled=find_unlabeled(root),
  )
