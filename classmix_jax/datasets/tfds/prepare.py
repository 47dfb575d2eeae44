"""Downloads and prepares a builder of TensorFlow Datasets, once.

Synopsis:

    builder = open_builder('oxford_iiit_pet', Path('DIR'), Path('DIR/downloads/manual'))
"""

import difflib
import functools
from pathlib import Path
import tempfile

from classmix_jax.data.files.tfds_prepare import Builder, needs_tfds, open_prepared, prepare
from classmix_jax.datasets.tfds.downloads import check_connection, find_missing_urls
from classmix_jax.errors import UserError
from classmix_jax.utils.text import listed


def open_builder(name: str, directory: Path, manual_dir: Path) -> Builder:
  """Returns a builder whose ArrayRecord files exist; downloads and prepares them first.

  Args:
    name: as in `tfds.builder`: 'BUILDER', 'BUILDER/CONFIG' or 'BUILDER/CONFIG:VERSION'.
    directory: TFDS's `data_dir`.
    manual_dir: directory of files that were downloaded by hand.

  Raises:
    UserError: there is no such builder, a package is missing, the download fails, or the directory
      cannot be written.

  Example: `open_builder('oxford_iiit_pet', Path('DIR'), Path('DIR/downloads/manual'))`.
  """
  with needs_tfds('tfds'):
    return open_prepared(
      functools.partial(_make_builder, name, directory),
      functools.partial(_prepare, name, directory, manual_dir),
      directory,
      'config.data.root',
    )


def _make_builder(name: str, directory: Path) -> Builder:
  import tensorflow_datasets as tfds  # here, because it takes seconds and is optional

  try:
    return tfds.builder(name, data_dir=str(directory))
  except tfds.core.registered.DatasetNotFoundError:
    near = difflib.get_close_matches(name.partition('/')[0], tfds.list_builders(), n=3)
    hint = f'Did you mean {" or ".join(near)}? ' if near else ''
    raise UserError(
      f'config.data.builder is {name!r}, which is no builder of TensorFlow Datasets and no '
      f'directory in {directory}. {hint}Set --config.data.builder=NAME as in its catalogue.'
    ) from None
  except ValueError as error:  # of the part behind the slash
    raise UserError(
      f'config.data.builder is {name!r}, which cannot be opened ({_one_line(error)}): write '
      'BUILDER or BUILDER/CONFIG as in the catalogue of TensorFlow Datasets.'
    ) from error


def _prepare(name: str, directory: Path, manual_dir: Path, builder: Builder) -> None:
  import requests  # of TFDS
  import tensorflow_datasets as tfds

  download = tfds.core.download
  directory.mkdir(parents=True, exist_ok=True)
  hint = f'put {_downloads(builder)} into {manual_dir}, which --config.data.manual_dir=DIR changes'
  urls = find_missing_urls(builder.url_infos or {}, directory / 'downloads', manual_dir)
  check_connection(name, urls, hint)
  with tempfile.TemporaryDirectory(prefix='unpacked_', dir=directory) as unpacked:
    try:
      prepare(
        builder,
        f'Downloading and preparing {name} in {builder.data_dir} (once; takes a while)',
        f'Prepared {name}',
        manual_dir=str(manual_dir),
        extract_dir=unpacked,
      )
    except (requests.exceptions.RequestException, download.util.DownloadError) as error:
      raise UserError(
        f'{name} cannot be downloaded ({_one_line(error)}): start again, or {hint}.'
      ) from error
    except download.download_manager.NonMatchingChecksumError as error:
      raise UserError(
        f'A file of {name} has another checksum than TFDS expects '
        f'({_one_line(error).partition(": *")[0]}): remove the file and download it again.'
      ) from error
    except (AssertionError, ValueError, RuntimeError, download.extractor.ExtractError) as error:
      raise UserError(
        f'{name} cannot be prepared ({_one_line(error)}). {_instructions(builder, manual_dir)}'
      ) from error


def _downloads(builder: Builder) -> str:
  """Lists the files of a builder with their addresses, as far as TFDS has their checksums."""
  files = [f'{info.filename} ({url})' for url, info in (builder.url_infos or {}).items()]
  return listed(files, 4) if files else 'its files'


def _instructions(builder: Builder, manual_dir: Path) -> str:
  if not builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
    return 'Check its files and its page in the catalogue of TensorFlow Datasets.'
  return (
    f'Put its files into {manual_dir}, which --config.data.manual_dir=DIR changes; TFDS says: '
    f'{_one_line(builder.MANUAL_DOWNLOAD_INSTRUCTIONS)}'
  )


def _one_line(text: object) -> str:
  return ' '.join(str(text).split())
