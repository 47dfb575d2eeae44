"""Sources of examples in image and mask files."""

from collections.abc import Callable, Mapping, Sequence
import functools
import hashlib
import os
from pathlib import Path

import numpy as np

from classmix_jax.data.files.decoding import Decoding
from classmix_jax.data.files.image_io import read_header, read_image
from classmix_jax.data.files.mask_io import read_mask
from classmix_jax.data.files.open_image import Encoded, File
from classmix_jax.data.files.pairs import Pairs
from classmix_jax.data.files.reading import Reading
from classmix_jax.data.source import Files, Source
from classmix_jax.types import Size

PLAIN = Reading(has_options=False)  # of data sets without `bands` and `value_range`
READER_VERSION = 3  # increment when the same file gives other pixels: copies are made again


def paired_source(
  pairs: Pairs, decoding: Decoding, size: Size | None = None, reading: Reading = PLAIN
) -> Source:
  """Returns the Source of images and masks at the working resolution `size`."""
  return Source(
    names=pairs.names,
    read_image=_image_reader(pairs.images, size, reading),
    read_label=functools.partial(_mask_at, pairs, decoding, size),
    version=functools.partial(_version, (pairs.images, pairs.masks), size, reading, decoding),
    files=Files(pairs.images.__getitem__, pairs.masks.__getitem__, decoding, reading),
  )


def image_source(
  images: Mapping[str, Path], size: Size | None = None, reading: Reading = PLAIN
) -> Source:
  """Returns the Source of images without labels, name -> path in sorted order."""
  return unlabeled_source(tuple(images), tuple(images.values()), size, reading)


def unlabeled_source(
  names: Sequence[str],
  images: Sequence[File],
  size: Size | None = None,
  reading: Reading = PLAIN,
) -> Source:
  """Returns the Source of images without labels, with sorted names."""
  return Source(
    names=tuple(names),
    read_image=_image_reader(images, size, reading),
    version=functools.partial(_version, (images,), size, reading),
    files=Files(images.__getitem__, reading=reading),
  )


def _version(
  parts: Sequence[Sequence[File]],
  size: Size | None,
  reading: Reading,
  decoding: Decoding | None = None,
) -> str:
  """Returns a digest of the files' paths, times and sizes, and of how they are read.

  Records (`EncodedImages`) are not files and have a `version` of their own.
  """
  digest = hashlib.sha256(repr((READER_VERSION, size, tuple(reading))).encode())
  for files in parts:
    texts = [files.version] if hasattr(files, 'version') else [_stamp(file) for file in files]
    digest.update('\n'.join(texts).encode())
  if decoding is not None:
    digest.update(decoding.identity().encode())
  return digest.hexdigest()


def _stamp(path: File) -> str:
  assert not isinstance(path, Encoded)
  status = os.stat(path)
  return f'{os.path.abspath(path)} {status.st_size} {status.st_mtime_ns}'


# Partials, not lambdas: sources are pickled.
def _image_reader(
  files: Sequence[File], size: Size | None, reading: Reading
) -> Callable[[int], np.ndarray]:
  return functools.partial(_image_at, files, size, reading)


def _image_at(files: Sequence[File], size: Size | None, reading: Reading, index: int) -> np.ndarray:
  return read_image(files[index], size, reading)


def _mask_at(pairs: Pairs, decoding: Decoding, size: Size | None, index: int) -> np.ndarray:
  turns = decoding.turns_masks
  orientation = read_header(pairs.images[index]).orientation if turns else 1
  return read_mask(pairs.masks[index], decoding, size, orientation)
