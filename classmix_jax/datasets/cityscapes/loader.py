"""Opens Cityscapes, from unpacked directories or from the archives.

Synopsis:

    dataset = load('Cityscapes', size=(512, 1024))
    dataset = load('Cityscapes', reader='folders', train_extra=True)
    len(dataset.unlabeled)   # 19,998
"""

import os
from pathlib import Path

from classmix_jax.data.files.checks import check_choice, check_exists, check_pairs
from classmix_jax.data.files.file_source import image_source, paired_source
from classmix_jax.data.source import Dataset, Source
from classmix_jax.datasets.cityscapes import archives, folders
from classmix_jax.datasets.cityscapes.classes import CLASS_NAMES, LABEL_IDS, PALETTE, RAW_IDS
from classmix_jax.errors import UserError
from classmix_jax.types import Size
from classmix_jax.utils.text import listed

READERS = ('', 'folders', 'tfds')
LAYOUT = f'leftImg8bit/ and gtFine/ of Cityscapes, or {" and ".join(archives.ARCHIVES)}'


def load(
  root: str,
  size: Size | None = None,
  reader: str = '',
  tfds_dir: str = '',
  train_extra: bool = False,
) -> Dataset:
  """Returns Cityscapes; checks paths, pairs and sizes without decoding an image.

  Args:
    root: directory with leftImg8bit/ and gtFine/, or with the two archives.
    size: working resolution (height, width), e.g. (512, 1024); None keeps 1024 x 2048.
    reader: 'folders'; 'tfds', which prepares the archives at the first call; or '' for folders if
      they are complete, else tfds. Names and pixels are the same.
    tfds_dir: directory of the prepared files; '' is `root`/tensorflow_datasets.
    train_extra: whether `unlabeled` is leftImg8bit/train_extra (unpacked).

  Raises:
    UserError: lists what is missing or inconsistent, and the remedy.

  Example: `len(load('Cityscapes').train) == 2975`.
  """
  check_choice('config.data.reader', reader, READERS)
  base = Path(os.path.expanduser(root))
  check_exists(root and str(base), (), LAYOUT)
  cache = Path(os.path.expanduser(tfds_dir)) if tfds_dir else base / 'tensorflow_datasets'
  reader = _choose_reader(reader, base, cache)
  unlabeled = image_source(folders.find_train_extra(base), size) if train_extra else None
  if reader == 'folders':
    train, val = (_open_directory(base, split, size) for split in ('train', 'val'))
  else:
    train, val = (
      paired_source(pairs, LABEL_IDS, size) for pairs in archives.open_pairs(base, cache)
    )
  return Dataset(
    name='cityscapes',
    class_names=CLASS_NAMES,
    palette=PALETTE,
    train=train,
    val=val,
    unlabeled=unlabeled,
    raw_ids=RAW_IDS,
  )


def _choose_reader(reader: str, base: Path, cache: Path) -> str:
  """Returns 'folders' or 'tfds'; raises UserError if the files that it reads are missing."""
  missing = {
    'folders': folders.missing_directories(base),
    'tfds': [] if archives.is_prepared(cache) else archives.missing_archives(base),
  }
  readers = [reader] if reader else list(missing)
  complete = [reader for reader in readers if not missing[reader]]
  if complete:
    return complete[0]
  gaps = '; '.join(
    f'reader {reader} misses {listed([path.relative_to(base) for path in missing[reader]], 4)}'
    for reader in readers
  )
  raise UserError(
    f'{base} holds no complete Cityscapes: {gaps}. Set --config.data.root=DIR to a directory '
    f'with {LAYOUT}.'
  )


def _open_directory(base: Path, split: str, size: Size | None) -> Source:
  pairs, decoding = folders.find_pairs(base, split)
  check_pairs(pairs, decoding)
  return paired_source(pairs, decoding, size)
