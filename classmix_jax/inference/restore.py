"""Restores the trained networks of a run.

Synopsis:

    step, networks = load_networks(Path('RUN'), 'best')
    networks['student']['params']
"""

from pathlib import Path

import jax

from classmix_jax.config.load import read_config
from classmix_jax.config.trained import trained_setup
from classmix_jax.core.frozen import with_frozen
from classmix_jax.errors import UserError
from classmix_jax.models.segmenter import IMAGE_SHAPE, Segmenter, initialize
from classmix_jax.types import PyTree, TrainState
from classmix_jax.workdir import checkpoint_lookup, run_files
from classmix_jax.workdir.array_shapes import describe_difference, find_difference, list_shapes


def load_networks(run: Path, which: str = 'best') -> tuple[int, dict[str, PyTree]]:
  """Restores the networks of a run from a checkpoint.

  Args:
    run: directory of the run.
    which: 'latest', 'best' or a step.

  Returns:
    The step of the checkpoint, and network name -> variables, e.g. 'student' and 'teacher'.

  Raises:
    UserError: the run or the checkpoint does not exist, is damaged, or is of other classes.
  """
  values = read_config(run)
  names, _ = run_files.read_classes(run)
  step, state = checkpoint_lookup.load(run, which)
  method = trained_setup(values, len(names)).method
  networks = method.networks(with_frozen(TrainState(**state), method.averages))
  student = next(iter(networks.values()))  # all have the same structure
  check_network(run, step, method.model, student['params'], len(names))
  return step, dict(networks)


def check_network(run: Path, step: int, model: Segmenter, params: PyTree, num_classes: int) -> None:
  """Checks that the parameters of a checkpoint are those of a run's network.

  Args:
    run: directory of the run.
    step: of the checkpoint.
    model: of config.json and classes.json.
    params: of the checkpoint.
    num_classes: of classes.json.

  Raises:
    UserError: an array is missing, or has another shape.
  """
  initial, _ = jax.eval_shape(lambda key: initialize(model, key, IMAGE_SHAPE), jax.random.key(0))
  saved, expected = list_shapes(params), list_shapes(initial)
  name = find_difference(saved, expected)
  if not name:
    return
  checkpoint = run / 'checkpoints' / str(step)
  if name.startswith('head/') and name in saved and name in expected:
    before, after = saved[name].shape, expected[name].shape
    if before[:-1] == after[:-1] and after[-1] == num_classes:
      raise UserError(
        f'{run}/classes.json has {num_classes} classes, but {checkpoint} was trained with '
        f'{before[-1]}; restore classes.json with the classes of the training.'
      )
  raise UserError(
    f'{checkpoint} does not fit the network of {run}/config.json: '
    f'{describe_difference(saved, expected)}; restore config.json.'
  )
