"""Checkpoints: the newest ones and the best one, written in the background by orbax.

Synopsis:

    manager = open_manager(run / 'checkpoints')
    state = restore_newest(manager, state) or state
    save(manager, step, state, miou=0.42)
    finish(manager)

A checkpoint is written into a folder of another name. Only after it was flushed to the disk and
read back, and its arrays have the checksum of those that were saved, does the folder get its name,
and only then is an older checkpoint removed. So there is a whole one at every moment.
"""

from collections.abc import Iterator
import contextlib
import functools
import json
import logging
import os
from pathlib import Path
import shutil
import sys
import zlib

import jax
from jax.experimental import multihost_utils
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from classmix_jax.types import PyTree, TrainState, UserError

# Orbax reports every file it touches, warns of options that are meant, and prints errors that it
# raises, too.
logging.getLogger('absl').setLevel(logging.CRITICAL)

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


def remembered_checksum(folder: Path) -> str | None:
  """Returns the checksum that was saved with a checkpoint; None where it is older than those."""
  with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
    return (reader.metadata(folder).custom_metadata or {}).get('checksum')


def read_arrays(folder: Path) -> PyTree:
  """Reads the state in a checkpoint's folder as nested dicts of NumPy arrays; by one process."""
  handler = ocp.PyTreeCheckpointHandler()
  saved = handler.metadata(folder / 'default').tree
  as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), saved)
  return handler.restore(
      folder / 'default', args=ocp.args.PyTreeRestore(restore_args=as_numpy))


def damage(folder: Path) -> str | None:
  """Reads a checkpoint's folder; returns what is wrong with it in words, None where all is well."""
  try:
    expected, found = remembered_checksum(folder), checksum(read_arrays(folder))
  except Exception as error:  # whatever a broken file makes of the readers of many formats
    return first_line(error)
  if expected not in (None, found):
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


def open_manager(
    directory: Path, *, keep: int = 2, read_only: bool = False
) -> ocp.CheckpointManager:
  """Returns a manager that keeps the `keep` newest checkpoints and the best one.

  'Best' is the largest `miou` among the checkpoints saved with one. The newest
  is never given up for the best: both policies hold at once.

  What a killed process was writing is removed, and a checkpoint whose score cannot be read is
  moved out of the way.

  Raises:
    UserError: such a checkpoint, where the manager may only read.
  """
  set_aside_without_score(directory, read_only)
  if not read_only and jax.process_index() == 0:
    # Not left to orbax, which does so in the background.
    for folder in directory.glob(UNFINISHED):
      shutil.rmtree(folder, ignore_errors=True)
  policies = [
      checkpoint_managers.LatestN(keep),
      checkpoint_managers.BestN(
          get_metric_fn=lambda metrics: metrics['miou'], n=1,
          keep_checkpoints_without_metrics=False),
  ]
  options = ocp.CheckpointManagerOptions(
      preservation_policy=checkpoint_managers.AnyPreservationPolicy(policies),
      best_fn=lambda metrics: metrics['miou'], read_only=read_only, create=not read_only,
      async_options=ocp.AsyncOptions(
          post_finalization_callback=functools.partial(read_back, directory)))
  return ocp.CheckpointManager(directory.absolute(), options=options)


def shared(state: TrainState) -> TrainState:
  """Returns the state as arrays of all processes, which orbax wants; nothing is copied.

  Each process trains with a replica of its own, and all replicas are equal.
  """
  if jax.process_count() == 1:
    return state
  return jax.tree.map(ocp.utils.fully_replicated_host_local_array_to_global_array, state)


def own_replica(found: TrainState, state: TrainState) -> TrainState:
  """Undoes `shared`: returns this process's replica, placed like `state`."""
  if jax.process_count() == 1:
    return found
  own = lambda x, like: jax.device_put(x.addressable_data(0), like.sharding)
  return jax.tree.map(own, found, state)


@contextlib.contextmanager
def saving(manager: ocp.CheckpointManager) -> Iterator[None]:
  """Turns what goes wrong with a save, perhaps an earlier one, into a sentence."""
  try:
    yield
  except UserError:
    raise
  except Exception as error:  # of Python, of orbax or of tensorstore
    raise UserError(
        f'a checkpoint could not be written to {manager.directory} ({first_line(error)}); the '
        'older ones are whole: make room or give write permission, and the same command goes on '
        'from there.') from error


def save(manager: ocp.CheckpointManager, step: int, state: TrainState, miou: float | None) -> None:
  """Starts saving the state after `step` steps; returns before it is on the disk.

  One of the same step, saved before it was evaluated, is replaced.

  Raises:
    UserError: this save cannot begin, or the one before has failed.
  """
  metrics = None if miou is None else {'miou': miou}
  with saving(manager):
    manager.wait_until_finished()
    if step in manager.all_steps():
      manager.delete(step)
    manager.save(
        step, args=ocp.args.StandardSave(shared(state)), metrics=metrics, force=True,
        custom_metadata={'checksum': checksum(jax.device_get(state))})


def check(manager: ocp.CheckpointManager) -> None:
  """Raises UserError if the save in the background has failed; does not wait for it."""
  if not manager.is_saving_in_progress():
    finish(manager)


def finish(manager: ocp.CheckpointManager) -> None:
  """Waits for the save in the background; UserError if it has failed."""
  with saving(manager):
    manager.wait_until_finished()


def restore(manager: ocp.CheckpointManager, state: TrainState, step: int) -> TrainState:
  """Returns the saved state, placed like `state`, on whatever devices that has.

  Raises:
    UserError: the checkpoint was written for another network or method.
    OSError: it is damaged.
  """
  folder = Path(manager.directory) / str(step)
  target = jax.tree.map(ocp.utils.to_shape_dtype_struct, shared(state))
  try:
    found = own_replica(manager.restore(step, args=ocp.args.StandardRestore(target)), state)
    whole = remembered_checksum(folder) in (None, checksum(jax.device_get(found)))
  except Exception as error:
    # Nothing but a broken file makes JSON wrong: not every file is read by `damage`.
    broken = isinstance(error, json.JSONDecodeError) and first_line(error)
    if wrong := damage(folder) or broken:
      raise OSError(wrong) from error
    raise UserError(
        f'{folder} does not fit the network of this config ({first_line(error)}); use the config '
        'that wrote it, or another --workdir.') from error
  if not whole:
    raise OSError(damage(folder))
  return found


def restore_newest(manager: ocp.CheckpointManager, state: TrainState) -> TrainState | None:
  """Returns the newest state that is whole, None where nothing was saved yet.

  Damaged checkpoints that are newer are moved out of the way, with one line for each.

  Raises:
    UserError: it was written for another network or method, or none is whole.
  """
  directory, damaged = Path(manager.directory), {}
  for step in sorted(manager.all_steps(), reverse=True):
    try:
      found = restore(manager, state, step)
    except OSError as error:
      damaged[step] = error
      continue
    for bad, error in damaged.items():
      set_aside(directory / str(bad))
      print(f'warning: {directory / str(bad)} is damaged ({error}): it is now in '
            f'{directory.parent / DAMAGED}, and the training goes on from step {step}',
            file=sys.stderr, flush=True)
    if damaged:
      multihost_utils.sync_global_devices('damaged checkpoints are out of the way')
      manager.reload()
    return found
  if damaged:
    raise UserError(
        f'no checkpoint in {directory} is whole ({next(iter(damaged.values()))}); remove that '
        'folder to begin again, or put back a copy of it.')
  return None


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
            'moves it out of the way.') from None
      set_aside(folder)
      print(f'warning: {folder} is damaged (metrics: {first_line(error)}): it is now in '
            f'{directory.parent / DAMAGED}', file=sys.stderr, flush=True)


def set_aside(folder: Path) -> None:
  """Moves a damaged checkpoint to where nobody looks for one; process 0 does."""
  if jax.process_index() == 0:
    goal = folder.parent.parent / DAMAGED / folder.name
    goal.parent.mkdir(exist_ok=True)
    if goal.exists():
      goal = goal.with_name(f'{folder.name}-{len(list(goal.parent.iterdir()))}')
    folder.rename(goal)


def find_step(manager: ocp.CheckpointManager, which: str) -> int:
  """Returns the step that 'latest', 'best' or a number means.

  'best' is the newest where no checkpoint was evaluated.

  Raises:
    UserError: there is no such checkpoint.
  """
  steps = sorted(manager.all_steps())
  if which == 'best':
    step = manager.best_step()
    step = manager.latest_step() if step is None else step
  elif which == 'latest':
    step = manager.latest_step()
  else:
    step = int(which) if which.isdecimal() else None
  if step not in steps:
    found = ', '.join(map(str, steps)) or 'none yet'
    raise UserError(
        f'{manager.directory} has no checkpoint {which!r}; there are {found}, and the words '
        "'latest' and 'best'.")
  return step


def newest_step(directory: Path) -> int | None:
  """Returns the step of the newest checkpoint, None where there is none."""
  if not directory.is_dir():
    return None
  with open_manager(directory, read_only=True) as manager:
    return manager.latest_step()


def load(run: Path, which: str = 'best') -> tuple[int, PyTree]:
  """Returns a run's step and saved state, as nested dicts of arrays on one device.

  Needs no model code, and not the devices that wrote the checkpoint.

  Args:
    run: the run's folder.
    which: 'latest', 'best' or a step.

  Raises:
    UserError: there is no such checkpoint, or it is damaged.
  """
  directory = run / 'checkpoints'
  if not directory.is_dir():
    raise UserError(f'{run} is not the folder of a run: there is no {directory}.')
  with open_manager(directory, read_only=True) as manager:
    step = find_step(manager, which)
  folder = directory / str(step)
  try:
    state = read_arrays(folder)
    whole = remembered_checksum(folder) in (None, checksum(state))
  except Exception:  # whatever a broken file makes of the readers of many formats
    whole = False
  if not whole:
    raise UserError(
        f'{folder} is damaged ({damage(folder)}); ask for another --step, or let the training go '
        'on, which does so from the one before.')
  return step, jax.device_put(state, jax.local_devices()[0])
