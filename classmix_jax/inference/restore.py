"""Restores the trained networks of a run.

Synopsis:

    step, networks = load_networks(Path('RUN'), 'best')
    networks['student']['params']
"""

from pathlib import Path

from classmix_jax.config.load import read_config
from classmix_jax.config.trained import trained_setup
from classmix_jax.core.frozen import with_frozen
from classmix_jax.types import PyTree, TrainState
from classmix_jax.workdir import checkpoint_lookup, run_files


def load_networks(run: Path, which: str = 'best') -> tuple[int, dict[str, PyTree]]:
  """Restores the networks of a run from a checkpoint.

  Args:
    run: directory of the run.
    which: 'latest', 'best' or a step.

  Returns:
    The step of the checkpoint, and network name -> variables, e.g. 'student' and 'teacher'.

  Raises:
    UserError: the run or the checkpoint does not exist, or is damaged.
  """
  values = read_config(run)
  names, _ = run_files.read_classes(run)
  step, state = checkpoint_lookup.load(run, which)
  method = trained_setup(values, len(names)).method
  networks = method.networks(with_frozen(TrainState(**state), method.averages))
  return step, dict(networks)
