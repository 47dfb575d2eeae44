"""XLA's flag for trainings on a GPU that end in the same bits when they are run again."""

import importlib.util
import os
from pathlib import Path

# Leaves out kernels that add in an order that is not fixed: openxla.org/xla/determinism.
FIXED_ORDER = '--xla_gpu_exclude_nondeterministic_ops'


def has_cuda() -> bool:
  """Returns whether JAX is installed with NVIDIA support: XLA for TPUs may not have the flag."""
  plugins = importlib.util.find_spec('jax_plugins')
  return plugins is not None and any(
    any(Path(folder).glob('xla_cuda*')) for folder in plugins.submodule_search_locations
  )


def with_fixed_order(flags: str) -> str:
  """Adds the flag to `XLA_FLAGS` unless it is there with either value.

  Example:
    >>> with_fixed_order('--xla_dump_to=DIR')
    '--xla_dump_to=DIR --xla_gpu_exclude_nondeterministic_ops=true'
    >>> with_fixed_order('--xla_gpu_exclude_nondeterministic_ops=false')
    '--xla_gpu_exclude_nondeterministic_ops=false'
  """
  return flags if FIXED_ORDER in flags else f'{flags} {FIXED_ORDER}=true'.strip()


def set_flags(deterministic: bool) -> None:
  """Sets `XLA_FLAGS` as `config.deterministic` asks; call before JAX opens its devices."""
  if deterministic and has_cuda():
    os.environ['XLA_FLAGS'] = with_fixed_order(os.environ.get('XLA_FLAGS', ''))
