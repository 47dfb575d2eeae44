"""Whether a checkpoint is whole: what was saved can be read, and is what was saved.

Synopsis:

    saved = {'checksum': checksum(state)}        # goes with the checkpoint
    wrong = damage(run / 'checkpoints' / '500')  # None, or what is wrong in words
    set_aside(run / 'checkpoints' / '500')
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

UNFINISHED = '*.orbax-checkpoint-tmp*'  # the folder of a checkpoint that is being written
DAMAGED = 'damaged_checkpoints'  # beside the folder of checkpoints


def checksum(tree: PyTree) -> str:
  """Returns a checksum of the bytes of all arrays, in whatever order they stand in the tree.

  Example:
    >>> checksum({'a': np.zeros(2), 'b': np.ones(3)}) == checksum([np.ones(3), np.zeros(2)])
    True
  """
  arrays = (np.ascontiguousarray(x) for x in jax.tree.leaves(tree))
  each = sorted(zlib.crc32(x.reshape(-1).view(np.uint8)) for x in arrays)
  return f'{zlib.crc32(np.array(each, np.uint32)):08x}'


def saved_checksum(folder: Path) -> str | None:
  """Returns the checksum that was saved with a checkpoint, or None if it is missing."""
  with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
    return (reader.metadata(folder).custom_metadata or {}).get('checksum')


def has_saved_checksum(folder: Path, tree: PyTree) -> bool:
  """Returns whether these are the arrays that were saved."""
  return saved_checksum(folder) == checksum(tree)


class ToNumPy(ocp.type_handlers.NumpyHandler):
  """Reads what was saved as arrays of JAX into NumPy arrays, whatever devices wrote them."""

  def typestr(self) -> str:
    return 'jax.Array'


def read_arrays(folder: Path) -> PyTree:
  """Reads the state in a checkpoint's folder as nested dicts of NumPy arrays; by one process.

  Does without the metadata of each array: tensorstore (0.1.86) writes them as JSON objects that
  are never freed, and this is called after every save.
  """
  handlers = ocp.type_handlers.create_type_handler_registry((jax.Array, ToNumPy()))
  reader = ocp.PyTreeCheckpointHandler(type_handler_registry=handlers)
  return reader.restore(folder / 'default', args=ocp.args.PyTreeRestore())


def damage(folder: Path) -> str | None:
  """Reads a checkpoint's folder; returns what is wrong with it in words, None where all is well."""
  try:
    expected, found = saved_checksum(folder), checksum(read_arrays(folder))
  except Exception as error:  # whatever a broken file makes of the readers of many formats
    return first_line(error)
  if expected is None:
    return 'its checksum is missing'
  if expected != found:
    return f'its checksum is {found} and was {expected}'
  return None


def first_line(error: BaseException) -> str:
  """Returns the first line of an error; of a long one its end, where tensorstore says the cause."""
  line = (str(error).splitlines() or [type(error).__name__])[0].split(' [tensorstore_spec=')[0]
  return line if len(line) < 200 else f'... {line[-160:]}'


def read_back(directory: Path) -> None:
  """Flushes the checkpoint that is being written and reads it; OSError if that is not possible."""
  for folder in directory.glob(UNFINISHED):
    for path in [*folder.rglob('*'), folder]:
      file = os.open(path, os.O_RDONLY)
      try:
        os.fsync(file)
      finally:
        os.close(file)
    if wrong := damage(folder):
      raise OSError(f'what was written cannot be read back: {wrong}')


def set_aside_without_score(directory: Path, read_only: bool) -> None:
  """Moves checkpoints away whose metrics are broken: orbax would not open the others either."""
  for path in sorted(directory.glob('*/metrics/metrics')):
    folder = path.parents[1]
    try:
      json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
      continue  # another process was faster
    except ValueError as error:
      if read_only:
        raise UserError(
          f'{folder} is damaged (metrics: {first_line(error)}); let the training go on, which '
          'moves it out of the way.'
        ) from None
      set_aside(folder)
      print(
        f'warning: {folder} is damaged (metrics: {first_line(error)}): it is now in '
        f'{directory.parent / DAMAGED}',
        file=sys.stderr,
        flush=True,
      )


def set_aside(folder: Path) -> None:
  """Moves a damaged checkpoint to where nobody looks for one; process 0 does."""
  if jax.process_index() == 0:
    goal = folder.parent.parent / DAMAGED / folder.name
    goal.parent.mkdir(exist_ok=True)
    if goal.exists():
      goal = goal.with_name(f'{folder.name}-{len(list(goal.parent.iterdir()))}')
    folder.rename(goal)
