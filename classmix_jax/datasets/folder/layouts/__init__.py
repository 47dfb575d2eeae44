"""Layouts of directories of images and masks, one file each, and the registry of them.

A layout is a pure function from a directory to its parts, None if the directory has another
layout. It looks at the names of directories only; `contents.py` looks at files.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from classmix_jax.datasets.folder.layouts.beside import find_beside
from classmix_jax.datasets.folder.layouts.groups import find_groups
from classmix_jax.datasets.folder.layouts.kinds import find_kinds
from classmix_jax.datasets.folder.layouts.layout import Layout, Part
from classmix_jax.datasets.folder.layouts.named import find_named
from classmix_jax.datasets.folder.layouts.own import find_own
from classmix_jax.datasets.folder.layouts.pair import find_pair
from classmix_jax.datasets.folder.layouts.siblings import find_siblings
from classmix_jax.datasets.folder.layouts.splits import find_splits
from classmix_jax.datasets.folder.layouts.supervisely import find_supervisely
from classmix_jax.datasets.folder.layouts.voc import find_voc

LAYOUTS: Mapping[str, Callable[[Path], Layout | None]] = {
  'labeled/, unlabeled/ and val/': find_own,
  'images/ and masks/': find_pair,
  'images/train and masks/train': find_kinds,
  'train/ and val/': find_splits,
  'train/ and trainannot/': find_siblings,
  'JPEGImages/ and SegmentationClass/': find_voc,
  'a Supervisely project': find_supervisely,
  'several directories with images/ and masks/': find_groups,
  'ISIC_Training_Input/ and ISIC_Training_GroundTruth/': find_named,
  'NAME.jpg beside NAME_mask.png': find_beside,
}

__all__ = ['LAYOUTS', 'Layout', 'Part']
