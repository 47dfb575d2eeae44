"""XLA's flag for training on a GPU that ends in the same bits when it is run again."""

import importlib.util
from pathlib import Path

# Leaves out kernels that add in an order that is not fixed: openxla.org/xla/determinism.
FIXED_ORDER = '--xla_gpu_exclude_nondeterministic_ops'


def has_cuda() -> bool:
  """Whether JAX is installed with support for NVIDIA GPUs. XLA for TPUs may not know the flag."""
  plugins = importlib.util.find_spec('jax_plugins')
  return plugins is not None and any(
      any(Path(folder).glob('xla_cuda*')) for folder in plugins.submodule_search_locations)


def in_fixed_order(flags: str) -> str:
  """Returns `XLA_FLAGS` with the one above, unless the user has set it.

  Example:
    >>> in_fixed_order('--xla_dump_to=DIR')
    '--xla_dump_to=DIR --xla_gpu_exclude_nondeterministic_ops=true'
    >>> in_fixed_order('--xla_gpu_exclude_nondeterministic_ops=false')
    '--xla_gpu_exclude_nondeterministic_ops=false'
  """
  return flags if FIXED_ORDER in flags else f'{flags} {FIXED_ORDER}=true'.strip()
