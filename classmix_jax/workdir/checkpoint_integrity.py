"""Checks that checkpoints can be read and still hold the saved arrays.

Synopsis:

    metadata = {'checksum': compute_checksum(state)}           # saved with the checkpoint
    corruption = find_corruption(run / 'checkpoints' / '500')  # None, or a description
    quarantine(run / 'checkpoints' / '500')
"""

import json
import os
from pathlib import Path
import sys
import zlib

import jax
import numpy as np
import orbax.checkpoint as ocp

from classmix_jax.errors import UserError
from classmix_jax.types import PyTree
from classmix_jax.utils.text import describe_error

UNFINISHED_PATTERN = '*.orbax-checkpoint-tmp*'  # directories of checkpoints being written
DAMAGED_DIRECTORY = 'damaged_checkpoints'  # in the run directory


def compute_checksum(tree: PyTree) -> str:
  """Returns a checksum of the bytes of all arrays, independent of their order in the tree.

  Example:
    >>> tree = {'a': np.zeros(2), 'b': np.ones(3)}
    >>> compute_checksum(tree) == compute_checksum([np.ones(3), np.zeros(2)])
    True
  """
  arrays = (np.ascontiguousarray(x) for x in jax.tree.leaves(tree))
  checksums = sorted(zlib.crc32(x.reshape(-1).view(np.uint8).data) for x in arrays)
  return f'{zlib.crc32(np.array(checksums, np.uint32).data):08x}'


def read_checksum(directory: Path) -> str | None:
  """Returns the checksum in a checkpoint's metadata; None if it has none."""
  with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
    return (reader.metadata(directory).custom_metadata or {}).get('checksum')


def matches_checksum(directory: Path, tree: PyTree) -> bool:
  """Returns whether arrays match the checksum in a checkpoint's metadata."""
  return read_checksum(directory) == compute_checksum(tree)


class ToNumPy(ocp.type_handlers.NumpyHandler):
  """Reads saved JAX arrays as NumPy arrays, independent of the devices that wrote them."""

  def typestr(self) -> str:
    return 'jax.Array'


def read_arrays(directory: Path) -> PyTree:
  """Reads the state of a checkpoint as nested dicts of NumPy arrays, in one process.

  Skips the metadata of the arrays: tensorstore (0.1.86) never frees the JSON objects that hold
  them, and this function runs after every save.
  """
  handlers = ocp.type_handlers.create_type_handler_registry((jax.Array, ToNumPy()))
  reader = ocp.PyTreeCheckpointHandler(type_handler_registry=handlers)
  return reader.restore(directory / 'default', args=ocp.args.PyTreeRestore())


def find_corruption(directory: Path) -> str | None:
  """Reads a checkpoint and describes its corruption; returns None if it is valid."""
  try:
    expected, actual = read_checksum(directory), compute_checksum(read_arrays(directory))
  except Exception as error:  # a corrupt file can raise anything in the readers of many formats
    return describe_error(error)
  if expected is None:
    return 'its checksum is missing'
  if expected != actual:
    return f'its checksum is {actual} and was {expected}'
  return None


def verify_save(directory: Path) -> None:
  """Flushes the unfinished checkpoint to the disk and reads it back.

  Raises:
    OSError: it cannot be flushed or read, or its checksum differs.
  """
  for checkpoint in directory.glob(UNFINISHED_PATTERN):
    for path in [*checkpoint.rglob('*'), checkpoint]:
      file = os.open(path, os.O_RDONLY)
      try:
        os.fsync(file)
      finally:
        os.close(file)
    if corruption := find_corruption(checkpoint):
      raise OSError(f'what was written cannot be read back: {corruption}')


def quarantine_unscored(directory: Path, read_only: bool) -> None:
  """Moves checkpoints with corrupt metrics away; orbax would open no checkpoint otherwise.

  Raises:
    UserError: there is such a checkpoint and `read_only` is True.
  """
  for path in sorted(directory.glob('*/metrics/metrics')):
    checkpoint = path.parents[1]
    try:
      json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
      continue  # another process has moved it
    except ValueError as error:
      if read_only:
        raise UserError(
          f'{checkpoint} is damaged (metrics: {describe_error(error)}); resume the training, which '
          'moves it out of the way.'
        ) from None
      quarantine(checkpoint)
      print(
        f'warning: {checkpoint} is damaged (metrics: {describe_error(error)}): it is now in '
        f'{checkpoint.parent / DAMAGED_DIRECTORY}',
        file=sys.stderr,
        flush=True,
      )


def quarantine(directory: Path) -> None:
  """Moves a corrupt checkpoint to `damaged_checkpoints`, in process 0 only."""
  if jax.process_index() == 0:
    target = directory.parent.parent / DAMAGED_DIRECTORY / directory.name
    target.parent.mkdir(exist_ok=True)
    if target.exists():
      target = target.with_name(f'{directory.name}-{len(list(target.parent.iterdir()))}')
    directory.rename(target)
