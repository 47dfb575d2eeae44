"""Opens the scenes, and renders them at the first call.

They are prepared by TensorFlow Datasets as ArrayRecord files; later calls only open these.

Synopsis:

    dataset = load()
    dataset.train.read_image(0)   # [96, 192, 3] uint8
"""

import functools
import os
from pathlib import Path

from classmix_jax.data.files.decoding import Decoding, label_table
from classmix_jax.data.files.file_source import paired_source
from classmix_jax.data.files.tfds_prepare import Builder, needs_tfds, open_prepared, prepare
from classmix_jax.data.files.tfds_records import RESTART_REMEDY, damaged_error, record_pairs
from classmix_jax.data.source import Dataset, Source
from classmix_jax.datasets.scenes.classes import CLASS_NAMES, NUM_TRAIN, NUM_VAL, PALETTE
from classmix_jax.types import Size
from classmix_jax.utils.paths import cache_root

DECODING = Decoding(CLASS_NAMES, label_table(len(CLASS_NAMES)), advice=RESTART_REMEDY)


def load(
  root: str = '',
  size: Size | None = None,
  num_train: int = NUM_TRAIN,
  num_val: int = NUM_VAL,
) -> Dataset:
  """Returns the scenes; renders them first if `root` does not have them.

  Args:
    root: directory of the prepared files; '' is `classmix_jax` in the user's cache directory
      (`$XDG_CACHE_HOME` or `~/.cache`).
    size: working resolution (height, width); None keeps 96 x 192.
    num_train: number of training scenes; other counts are prepared beside them.
    num_val: number of validation scenes.

  Raises:
    UserError: tensorflow_datasets is missing, or the directory is damaged or cannot be written.

  Example: `len(load().train) == 1000`.
  """
  directory = Path(os.path.expanduser(root)) if root else cache_root()
  builder = _open_builder(directory, num_train, num_val)
  return Dataset(
    name='scenes',
    class_names=CLASS_NAMES,
    palette=PALETTE,
    train=_open_split(builder, 'train', num_train, size),
    val=_open_split(builder, 'val', num_val, size),
  )


def _open_builder(directory: Path, num_train: int, num_val: int) -> Builder:
  """Returns a TFDS builder whose files exist; renders the scenes first if they do not."""
  with needs_tfds('scenes'):
    from classmix_jax.datasets.scenes.builder import (  # takes seconds and is optional
      ScenesBuilder,
      scenes_config,
    )
  count, config = num_train + num_val, scenes_config(num_train, num_val)
  builder = open_prepared(
    functools.partial(ScenesBuilder, data_dir=str(directory), config=config),
    lambda builder: prepare(
      builder,
      f'Rendering {count} scenes into {builder.data_dir} (once; under a minute)',
      f'Rendered {count} scenes',
    ),
    directory,
    'config.data.root',
  )
  _check_counts(builder, num_train, num_val)
  return builder


def _check_counts(builder: Builder, num_train: int, num_val: int) -> None:
  """Raises UserError if the prepared files have other counts."""
  counts = {split: info.num_examples for split, info in builder.info.splits.items()}
  if counts != {'train': num_train, 'val': num_val}:
    raise damaged_error(
      builder.data_dir,
      f'it lists {counts or "no examples"}, expected are {num_train} train and {num_val} val',
    )


def _open_split(builder: Builder, split: str, count: int, size: Size | None) -> Source:
  names = [f'{split}_{index:04d}' for index in range(count)]
  pairs = record_pairs(builder, split, names, image='image', mask='label')
  return paired_source(pairs, DECODING, size)
