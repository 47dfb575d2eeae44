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
from pathlib import Path
import shutil
import sys

import jax
from jax.experimental import multihost_utils
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from classmix_jax.errors import UserError
from classmix_jax.types import PyTree, TrainState
from classmix_jax.workdir.checkpoint_integrity import (
  DAMAGED,
  UNFINISHED,
  checksum,
  damage,
  first_line,
  has_saved_checksum,
  read_arrays,
  read_back,
  set_aside,
  set_aside_without_score,
)

# Orbax reports every file it touches, warns of options that are meant, and prints errors that it
# raises, too.
logging.getLogger('absl').setLevel(logging.CRITICAL)


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
      get_metric_fn=lambda metrics: metrics['miou'], n=1, keep_checkpoints_without_metrics=False
    ),
  ]
  options = ocp.CheckpointManagerOptions(
    preservation_policy=checkpoint_managers.AnyPreservationPolicy(policies),
    best_fn=lambda metrics: metrics['miou'],
    read_only=read_only,
    create=not read_only,
    async_options=ocp.AsyncOptions(
      post_finalization_callback=functools.partial(read_back, directory)
    ),
  )
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
      'from there.'
    ) from error


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
      step,
      args=ocp.args.StandardSave(shared(state)),
      metrics=metrics,
      force=True,
      custom_metadata={'checksum': checksum(jax.device_get(state))},
    )


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
    whole = has_saved_checksum(folder, jax.device_get(found))
  except Exception as error:
    # Nothing but a broken file makes JSON wrong: not every file is read by `damage`.
    broken = isinstance(error, json.JSONDecodeError) and first_line(error)
    if wrong := damage(folder) or broken:
      raise OSError(wrong) from error
    raise UserError(
      f'{folder} does not fit the network of this config ({first_line(error)}); use the config '
      'that wrote it, or another --workdir.'
    ) from error
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
      print(
        f'warning: {directory / str(bad)} is damaged ({error}): it is now in '
        f'{directory.parent / DAMAGED}, and the training goes on from step {step}',
        file=sys.stderr,
        flush=True,
      )
    if damaged:
      multihost_utils.sync_global_devices('damaged checkpoints are out of the way')
      manager.reload()
    return found
  if damaged:
    raise UserError(
      f'no checkpoint in {directory} is whole ({next(iter(damaged.values()))}); remove that '
      'folder to begin again, or put back a copy of it.'
    )
  return None


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
      "'latest' and 'best'."
    )
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
  folder = directory.absolute() / str(step)  # orbax wants it so
  try:
    state = read_arrays(folder)
    whole = has_saved_checksum(folder, state)
  except Exception:  # whatever a broken file makes of the readers of many formats
    whole = False
  if not whole:
    raise UserError(
      f'{folder} is damaged ({damage(folder)}); ask for another --step, or let the training go '
      'on, which does so from the one before.'
    )
  return step, jax.device_put(state, jax.local_devices()[0])
