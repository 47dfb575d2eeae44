"""Finds a run's checkpoints by step and loads them without the model or its devices.

Synopsis:

    step, state = load(Path('RUN'), 'best')      # nested dicts of arrays
    find_newest_step(Path('RUN/checkpoints'))    # 2000
"""

from pathlib import Path

import jax
import orbax.checkpoint as ocp

from classmix_jax.errors import UserError
from classmix_jax.types import PyTree
from classmix_jax.workdir.checkpoint import open_manager
from classmix_jax.workdir.checkpoint_integrity import (
  find_corruption,
  matches_checksum,
  read_arrays,
)


def find_step(manager: ocp.CheckpointManager, which: str) -> int:
  """Returns the step of the checkpoint that 'latest', 'best' or a number selects.

  'best' is the newest checkpoint if none was evaluated.

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
    choices = ', '.join(map(str, steps))
    remedy = f"choose {choices}, 'latest' or 'best'" if steps else 'none was saved yet'
    raise UserError(f'{manager.directory} has no checkpoint {which!r}; {remedy}.')
  return step


def list_steps(directory: Path) -> list[int]:
  """Returns the steps of the checkpoints, the newest first; opens none of them."""
  names = (path.name for path in directory.glob('[0-9]*'))
  return sorted((int(name) for name in names if name.isdecimal()), reverse=True)


def find_newest_step(directory: Path) -> int | None:
  """Returns the step of the newest checkpoint; None if there is no checkpoint."""
  if not directory.is_dir():
    return None
  with open_manager(directory, read_only=True) as manager:
    return manager.latest_step()


def describe_step(run: Path, step: int) -> str:
  """Returns a step in words: whether its checkpoint is the last or the best one.

  Example: 'step 2000 (the last; the best is 1000)'.
  """
  with open_manager(run / 'checkpoints', read_only=True) as manager:
    last, best = manager.latest_step(), manager.best_step()
  titles = [title for title, other in (('the last', last), ('the best', best)) if step == other]
  others = [
    f'{title} is {other}'
    for title, other in (('the last', last), ('the best', best))
    if other is not None and step != other
  ]
  text = '; '.join(filter(None, [' and '.join(titles), ', '.join(others)]))
  return f'step {step} ({text})' if text else f'step {step}'


def load(run: Path, which: str = 'best') -> tuple[int, PyTree]:
  """Loads a checkpoint as nested dicts of arrays on one device.

  Needs neither the model nor the devices that wrote the checkpoint.

  Args:
    run: the run directory.
    which: 'latest', 'best' or a step.

  Returns:
    The step and the state.

  Raises:
    UserError: there is no such checkpoint, or it is corrupt.

  Example: `load(Path('RUN'), 'latest')[1]['params']['segmenter']`.
  """
  directory = run / 'checkpoints'
  if not directory.is_dir():
    raise UserError(f'{run} is not the directory of a run: there is no {directory}.')
  with open_manager(directory, read_only=True) as manager:
    step = find_step(manager, which)
  checkpoint = directory.absolute() / str(step)  # orbax accepts absolute paths only
  try:
    state = read_arrays(checkpoint)
    valid = matches_checksum(checkpoint, state)
  except Exception:  # a corrupt file can raise anything in the readers of many formats
    valid = False
  if not valid:
    raise UserError(
      f'{checkpoint} is damaged ({find_corruption(checkpoint)}); choose another --step, or resume '
      'the training, which falls back to the checkpoint before.'
    )
  return step, jax.device_put(state, jax.local_devices()[0])
