"""Checkpoints: the newest ones and the best one, written in the background by orbax.

Synopsis:

    manager = open_manager(run / 'checkpoints')
    state = restore(manager, state, manager.latest_step())
    save(manager, step, state, miou=0.42)
    manager.wait_until_finished()
"""

import logging
from pathlib import Path

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from classmix_jax.types import PyTree, TrainState, UserError

# Orbax reports every file it touches, and warns of options that are meant.
logging.getLogger('absl').setLevel(logging.ERROR)


def open_manager(
    directory: Path, *, keep: int = 2, read_only: bool = False
) -> ocp.CheckpointManager:
  """Returns a manager that keeps the `keep` newest checkpoints and the best one.

  'Best' is the largest `miou` among the checkpoints saved with one. The newest
  is never given up for the best: both policies hold at once.
  """
  policies = [
      checkpoint_managers.LatestN(keep),
      checkpoint_managers.BestN(
          get_metric_fn=lambda metrics: metrics['miou'], n=1,
          keep_checkpoints_without_metrics=False),
  ]
  options = ocp.CheckpointManagerOptions(
      preservation_policy=checkpoint_managers.AnyPreservationPolicy(policies),
      best_fn=lambda metrics: metrics['miou'], read_only=read_only, create=not read_only)
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


def save(manager: ocp.CheckpointManager, step: int, state: TrainState, miou: float | None) -> None:
  """Starts saving the state after `step` steps; returns before it is on the disk."""
  metrics = None if miou is None else {'miou': miou}
  manager.save(step, args=ocp.args.StandardSave(shared(state)), metrics=metrics, force=True)


def restore(manager: ocp.CheckpointManager, state: TrainState, step: int) -> TrainState:
  """Returns the saved state, placed like `state`, on whatever devices that has.

  Raises:
    UserError: the checkpoint was written for another network or method.
  """
  target = jax.tree.map(ocp.utils.to_shape_dtype_struct, shared(state))
  try:
    return own_replica(manager.restore(step, args=ocp.args.StandardRestore(target)), state)
  except (ValueError, KeyError, TypeError) as error:
    raise UserError(
        f'{manager.directory}/{step} does not fit the network of this config '
        f'({str(error).splitlines()[0]}); use the config that wrote it, or another --workdir.'
    ) from error


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
    UserError: there is no such checkpoint.
  """
  directory = run / 'checkpoints'
  if not directory.is_dir():
    raise UserError(f'{run} is not the folder of a run: there is no {directory}.')
  one_device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
  with open_manager(directory, read_only=True) as manager:
    step = find_step(manager, which)
    args = ocp.args.StandardRestore(fallback_sharding=one_device)
    return step, jax.device_put(manager.restore(step, args=args), one_device)
