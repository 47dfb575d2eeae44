"""Prepares data sets once as ArrayRecord files, by TensorFlow Datasets (TFDS).

Synopsis:

    with needs_tfds('scenes'):
      from classmix_jax.datasets.scenes.builder import ScenesBuilder
    builder = open_prepared(make_builder, make_files, Path('DIR'), 'config.data.root')
    pairs = record_pairs(builder, 'train', names, image='image', mask='label')  # tfds_records.py
"""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import importlib.util
import io
from pathlib import Path
import shutil
import time
from typing import Any

from classmix_jax.errors import UserError
from classmix_jax.utils.file_lock import file_lock

Builder = Any  # tfds.core.DatasetBuilder; TFDS takes seconds to import and is optional
# Modules that TFDS needs for reading.
REQUIRED_MODULES = ('tensorflow_datasets', 'array_record', 'importlib_resources', 'tensorflow')


@contextlib.contextmanager
def needs_tfds(dataset: str) -> Iterator[None]:
  """Raises a UserError with the install command if TFDS or a dependency of it is missing.

  TFDS only logs that a package is missing, and continues without most of itself. Hence the
  packages are looked up before it is imported.
  """
  missing = [name for name in REQUIRED_MODULES if importlib.util.find_spec(name) is None]
  if missing:
    raise _missing_packages(dataset, missing)
  try:
    yield
  except ImportError as error:
    raise _missing_packages(dataset, [error.name or REQUIRED_MODULES[0]]) from error


def _missing_packages(dataset: str, modules: Sequence[str]) -> UserError:
  packages = ' '.join(name.partition('.')[0].replace('_', '-') for name in modules)
  return UserError(
    f"dataset '{dataset}' needs packages that are not installed: pip install {packages}."
  )


def open_prepared(
  make_builder: Callable[[], Builder],
  make_files: Callable[[Builder], None],
  directory: Path,
  option: str,
) -> Builder:
  """Returns a builder whose files exist; calls `make_files` first if they do not.

  Args:
    make_builder: returns a new builder, which reads its directory.
    make_files: called with a builder that has no files yet; see `prepare`.
    directory: directory of the builder.
    option: the config field of the directory.

  Raises:
    UserError: the directory cannot be written, or has files of another format.

  Example: `open_prepared(make_builder, make_files, Path('DIR'), 'config.data.root')`.
  """
  try:
    builder = make_builder()
    if not builder.data_path.exists():
      with _exclusive(Path(builder.data_path)):
        if not builder.data_path.exists():  # else another process has made the files
          make_files(builder)
    # A builder lists what its directory held when it was made.
    builder = make_builder()
  except OSError as error:
    raise UserError(
      f'{directory} cannot hold the prepared data set ({error}): set --{option}=DIR to a directory '
      'that can be written.'
    ) from error
  file_format = builder.info.file_format.value
  # Without splits the description is missing, which is an error when a split is opened.
  if builder.info.splits and file_format != 'array_record':
    raise UserError(
      f'{builder.data_dir} was prepared as {file_format}; expected is array_record. Set '
      f'--{option}=DIR to another directory.'
    )
  return builder


@contextlib.contextmanager
def _exclusive(target: Path) -> Iterator[None]:
  """Lets one process at a time make a directory; removes the rest of killed preparations."""
  target.parent.mkdir(parents=True, exist_ok=True)
  with file_lock(target.parent / f'.{target.name}.lock'):
    for unfinished in target.parent.glob(f'incomplete.*_{target.name}'):
      shutil.rmtree(unfinished, ignore_errors=True)
    yield


def prepare(builder: Builder, title: str, summary: str, **options: Any) -> None:
  """Writes the files to a temporary directory, which TFDS renames when it is complete.

  Args:
    builder: a builder whose files do not exist.
    title: printed before.
    summary: printed after, with the seconds that it took.
    **options: of `tfds.download.DownloadConfig`, e.g. `manual_dir`.

  Raises:
    OSError: the directory cannot be written, and no other process has made the files.

  Example: `prepare(builder, 'Rendering 2 scenes', 'Rendered 2 scenes')`.
  """
  import tensorflow_datasets as tfds

  print(title, flush=True)
  start = time.monotonic()
  config = tfds.download.DownloadConfig(try_download_gcs=False, **options)
  try:
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS announces a download; there is none
      builder.download_and_prepare(download_config=config, file_format='array_record')
  except OSError:
    if not builder.data_path.exists():  # else another process was faster: use its files
      raise
  print(f'{summary} in {time.monotonic() - start:.1f} s', flush=True)
