"""The trained networks of a run, ready to predict.

Synopsis:

    step, networks = load_networks(Path('RUN'), 'best')
    networks['student']['params']
"""

from pathlib import Path

import ml_collections

from classmix_jax.config.load import read_config
from classmix_jax.config.model import build_method
from classmix_jax.types import PyTree
from classmix_jax.workdir import checkpoint_lookup, run_files


def load_networks(run: Path, which: str = 'best') -> tuple[int, dict[str, PyTree]]:
  """Returns a run's step and the variables of its networks by name: student, teacher.

  Args:
    run: the run's folder.
    which: 'latest', 'best' or a step.

  Raises:
    UserError: there is no such run or checkpoint.
  """
  config = ml_collections.ConfigDict(read_config(run))
  names, _ = run_files.read_classes(run)
  step, state = checkpoint_lookup.load(run, which)
  method = build_method(config, len(names))
  networks = method.networks(state['params'], state['model_state'], state['method_state'])
  return step, dict(networks)
