"""Opens the prepared scenes, and has them prepared where they are not yet.

The first call renders them into a TensorFlow Datasets folder in ArrayRecord format; later
calls only open it. TensorFlow itself is not needed.

Synopsis:

    dataset = load()
    dataset.train.read_image(0)   # [96, 192, 3] uint8
"""

from collections.abc import Sequence
import contextlib
import functools
import io
from pathlib import Path
import time

import numpy as np
from PIL import Image

from classmix_jax.cache import cache_root
from classmix_jax.datasets.scenes.classes import CLASS_NAMES, PALETTE
from classmix_jax.types import Dataset, Source, UserError

NUM_TRAIN, NUM_VAL = 1000, 200  # scenes of the data set

Size = tuple[int, int]  # (height, width)


def load(
    root: str = '', size: Size | None = None, num_train: int = NUM_TRAIN, num_val: int = NUM_VAL,
) -> Dataset:
  """Returns the scenes; renders them first where `root` does not hold them yet.

  Args:
    root: folder of the prepared set; '' means `classmix_jax` in the user's cache folder
      (`$XDG_CACHE_HOME`, or else `~/.cache`).
    size: working resolution (height, width); None keeps 96 x 192.
    num_train: number of training scenes; other counts are prepared side by side.
    num_val: number of validation scenes.

  Raises:
    UserError: tensorflow_datasets is missing, or the folder cannot be written or is damaged.

  Example: `len(load().train) == 1000`.
  """
  folder = Path(root).expanduser() if root else cache_root()
  builder = _prepared(folder, num_train, num_val)
  return Dataset(
      name='scenes', class_names=CLASS_NAMES, palette=PALETTE,
      train=_source(builder, 'train', num_train, size),
      val=_source(builder, 'val', num_val, size))


def _prepared(folder: Path, num_train: int, num_val: int):
  """Returns a TFDS builder whose files exist."""
  try:
    from classmix_jax.datasets.scenes.builder import (  # seconds to import, hence not above
      ScenesBuilder,
      scenes_config,
    )
  except ImportError as error:
    raise UserError(
        f"dataset 'scenes' needs the package '{error.name}': pip install tensorflow-datasets "
        'array_record.') from error
  config = scenes_config(num_train, num_val)
  make = functools.partial(ScenesBuilder, data_dir=str(folder), config=config)
  try:
    builder = make()
    if not builder.data_path.exists():
      _prepare(builder, num_train + num_val)
      builder = make()
  except OSError as error:
    raise UserError(
        f'{folder} cannot hold the scenes ({error}): set --config.data.root=DIR to a folder '
        'that can be written.') from error
  _check_counts(builder, num_train, num_val)
  return builder


def _prepare(builder, count: int) -> None:
  """Renders into a temporary folder that gets its name when all is written."""
  import tensorflow_datasets as tfds

  print(f'Rendering {count} scenes into {builder.data_dir} (once; under a minute)', flush=True)
  start = time.time()
  options = tfds.download.DownloadConfig(try_download_gcs=False)
  try:
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS speaks of a download; there is none
      builder.download_and_prepare(download_config=options, file_format='array_record')
  except OSError:
    if not builder.data_path.exists():  # else another process was faster: take its files
      raise
  print(f'Rendered {count} scenes in {time.time() - start:.1f} s', flush=True)


def _check_counts(builder, num_train: int, num_val: int) -> None:
  """Raises UserError where the folder is not what `_prepare` wrote."""
  found = {split: info.num_examples for split, info in builder.info.splits.items()}
  if found != {'train': num_train, 'val': num_val}:
    raise UserError(
        f'{builder.data_dir} is damaged: it lists {found or "no examples"}, expected are '
        f'{num_train} train and {num_val} val. Remove that folder and start again.')


def _source(builder, split: str, count: int, size: Size | None) -> Source:
  """Returns the Source of one split; a reader decodes only the picture that it returns."""
  import tensorflow_datasets as tfds

  keep = {feature: tfds.decode.SkipDecoding() for feature in ('image', 'label')}
  where = str(builder.data_dir)
  try:
    records = builder.as_data_source(split, decoders=keep)
  except (OSError, AssertionError, ValueError) as error:
    raise _damaged(where, error) from error
  read = functools.partial(_read, records, size, where)
  return Source(
      names=tuple(f'{split}_{index:04d}' for index in range(count)),
      read_image=functools.partial(read, 'image', Image.Resampling.BILINEAR),
      read_label=functools.partial(read, 'label', Image.Resampling.NEAREST),
      version=lambda: f'{where} {builder.version} {size}')


def _read(
    records: Sequence, size: Size | None, where: str, feature: str,
    resampling: Image.Resampling, index: int,
) -> np.ndarray:
  """Decodes one picture: uint8 `[H, W, 3]` or `[H, W]`."""
  try:
    picture = Image.open(io.BytesIO(records[index][feature]))
    picture.load()
  except (OSError, RuntimeError, ValueError, SyntaxError) as error:  # files cut short or altered
    raise _damaged(where, error) from error
  if size is not None:
    picture = picture.resize(size[::-1], resampling)
  return np.array(picture)


def _damaged(where: object, error: Exception) -> UserError:
  return UserError(f'{where} is damaged ({error}). Remove that folder and start again.')
