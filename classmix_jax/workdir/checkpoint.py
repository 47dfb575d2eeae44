"""Saves and restores checkpoints in the background, with orbax.

Synopsis:

    manager = open_manager(run / 'checkpoints')
    state = restore_newest(manager, state) or state
    save(manager, step, state, miou=0.42)
    finish(manager)

A checkpoint is written to a temporary directory, flushed to the disk, read back and compared with
the checksum of the saved arrays. Only then does the directory get its final name, and only then
is an older checkpoint removed. So at least one valid checkpoint exists at every moment.
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
from classmix_jax.types import TrainState
from classmix_jax.utils.text import describe_error
from classmix_jax.workdir.array_shapes import describe_misfit
from classmix_jax.workdir.checkpoint_integrity import (
  DAMAGED_DIRECTORY,
  UNFINISHED_PATTERN,
  compute_checksum,
  find_corruption,
  matches_checksum,
  quarantine,
  quarantine_unscored,
  verify_save,
)

# Orbax (0.12) logs every file it touches, warns of options set on purpose, and logs errors that it
# also raises.
logging.getLogger('absl').setLevel(logging.CRITICAL)


def open_manager(
  directory: Path, *, keep: int = 2, read_only: bool = False
) -> ocp.CheckpointManager:
  """Opens a manager that keeps the `keep` newest checkpoints and the best one.

  The best checkpoint has the largest `miou` of those saved with one. Both policies apply at once:
  the newest checkpoints are never removed in favor of the best.

  Unfinished checkpoints of a killed process are removed, and checkpoints with corrupt metrics are
  moved to `damaged_checkpoints`.

  Args:
    directory: RUN/checkpoints.
    keep: number of newest checkpoints.
    read_only: changes nothing on the disk.

  Raises:
    UserError: the metrics of a checkpoint are corrupt and `read_only` is True.

  Example: `with open_manager(run / 'checkpoints', read_only=True) as manager: ...`.
  """
  quarantine_unscored(directory, read_only)
  if not read_only and jax.process_index() == 0:
    # Orbax would do this in the background, at the same time as the first save.
    for unfinished_checkpoint in directory.glob(UNFINISHED_PATTERN):
      shutil.rmtree(unfinished_checkpoint, ignore_errors=True)
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
      post_finalization_callback=functools.partial(verify_save, directory)
    ),
  )
  return ocp.CheckpointManager(directory.absolute(), options=options)


def make_global(state: TrainState) -> TrainState:
  """Converts host-local replicas to global arrays, as orbax expects; copies nothing.

  Each process trains its own replica, and all replicas are equal.
  """
  if jax.process_count() == 1:
    return state
  return jax.tree.map(ocp.utils.fully_replicated_host_local_array_to_global_array, state)


def take_local_replica(global_state: TrainState, state: TrainState) -> TrainState:
  """Returns this process's replica of a global state, placed like `state`."""
  if jax.process_count() == 1:
    return global_state
  return jax.tree.map(
    lambda x, like: jax.device_put(x.addressable_data(0), like.sharding), global_state, state
  )


@contextlib.contextmanager
def convert_save_errors(manager: ocp.CheckpointManager) -> Iterator[None]:
  """Converts any error of a save, or of an earlier one in the background, to UserError."""
  try:
    yield
  except UserError:
    raise
  except Exception as error:  # of Python, of orbax or of tensorstore
    raise UserError(
      f'a checkpoint could not be written to {manager.directory} ({describe_error(error)}); the '
      'older ones are valid: free disk space or give write permission, and the same command '
      'resumes from there.'
    ) from error


def save(manager: ocp.CheckpointManager, step: int, state: TrainState, miou: float | None) -> None:
  """Starts saving the state after `step` steps and returns without waiting for the disk.

  A checkpoint of the same step is replaced: it may have been saved before its evaluation.

  Args:
    manager: see `open_manager`.
    step: number of finished steps.
    state: the train state, on all devices.
    miou: score in 0..1 of this step; None if it was not evaluated.

  Raises:
    UserError: the save cannot start, or the previous one failed.
  """
  metrics = None if miou is None else {'miou': miou}
  with convert_save_errors(manager):
    manager.wait_until_finished()
    if step in manager.all_steps():
      manager.delete(step)
    manager.save(
      step,
      args=ocp.args.StandardSave(make_global(state)),
      metrics=metrics,
      force=True,
      custom_metadata={'checksum': compute_checksum(jax.device_get(state))},
    )


def check(manager: ocp.CheckpointManager) -> None:
  """Raises UserError if the background save has failed; does not wait for it."""
  if not manager.is_saving_in_progress():
    finish(manager)


def finish(manager: ocp.CheckpointManager) -> None:
  """Waits for the background save; raises UserError if it failed."""
  with convert_save_errors(manager):
    manager.wait_until_finished()


def restore(manager: ocp.CheckpointManager, state: TrainState, step: int) -> TrainState:
  """Restores a checkpoint with the structure and placement of `state`.

  The number of devices may differ from that of the training that saved it.

  Raises:
    UserError: the checkpoint belongs to another network or method.
    OSError: the checkpoint is corrupt.
  """
  directory = Path(manager.directory) / str(step)
  if misfit := describe_misfit(directory, state):
    raise UserError(misfit)
  target = jax.tree.map(ocp.utils.to_shape_dtype_struct, make_global(state))
  try:
    global_state = manager.restore(step, args=ocp.args.StandardRestore(target))
    restored = take_local_replica(global_state, state)
    valid = matches_checksum(directory, jax.device_get(restored))
  except Exception as error:
    # `find_corruption` does not read every file, but only a corrupt file is invalid JSON.
    invalid_json = isinstance(error, json.JSONDecodeError) and describe_error(error)
    if corruption := find_corruption(directory) or invalid_json:
      raise OSError(corruption) from error
    raise
  if not valid:
    raise OSError(find_corruption(directory))
  return restored


def restore_newest(manager: ocp.CheckpointManager, state: TrainState) -> TrainState | None:
  """Restores the newest valid checkpoint.

  Newer corrupt checkpoints are moved to `damaged_checkpoints`, with one warning each.

  Returns:
    The state, placed like `state`; None if there is no checkpoint.

  Raises:
    UserError: the checkpoint belongs to another network or method, or all are corrupt.
  """
  directory, errors = Path(manager.directory), {}
  for step in sorted(manager.all_steps(), reverse=True):
    try:
      restored = restore(manager, state, step)
    except OSError as error:
      errors[step] = error
      continue
    for corrupt_step, cause in errors.items():
      quarantine(directory / str(corrupt_step))
      print(
        f'warning: {directory / str(corrupt_step)} is damaged ({cause}): it is now in '
        f'{directory.parent / DAMAGED_DIRECTORY}, and the training resumes from step {step}',
        file=sys.stderr,
        flush=True,
      )
    if errors:
      multihost_utils.sync_global_devices('corrupt checkpoints are quarantined')
      manager.reload()
    return restored
  if errors:
    raise UserError(
      f'no checkpoint in {directory} is valid ({next(iter(errors.values()))}); remove that '
      'directory to start over, or restore it from a copy.'
    )
  return None
