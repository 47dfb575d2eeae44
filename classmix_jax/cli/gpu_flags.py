"""Sets XLA's flag for bit-reproducible training on GPUs."""

import importlib.util
import os
from pathlib import Path

# Excludes kernels that add in an unspecified order: openxla.org/xla/determinism.
FIXED_ORDER = '--xla_gpu_exclude_nondeterministic_ops'


def has_cuda() -> bool:
  """Returns whether JAX is installed for NVIDIA GPUs; XLA for TPUs may not have the flag."""
  plugins = importlib.util.find_spec('jax_plugins')
  return plugins is not None and any(
    any(Path(directory).glob('xla_cuda*')) for directory in plugins.submodule_search_locations or ()
  )


def with_fixed_order(flags: str) -> str:
  """Adds the flag to `XLA_FLAGS` unless they contain it with any value.

  Example:
    >>> with_fixed_order('--xla_dump_to=DIR')
    '--xla_dump_to=DIR --xla_gpu_exclude_nondeterministic_ops=true'
    >>> with_fixed_order('--xla_gpu_exclude_nondeterministic_ops=false')
    '--xla_gpu_exclude_nondeterministic_ops=false'
  """
  return flags if FIXED_ORDER in flags else f'{flags} {FIXED_ORDER}=true'.strip()


def set_flags(deterministic: bool) -> None:
  """Sets `XLA_FLAGS` for `config.deterministic`; call it before JAX opens its devices."""
  if deterministic and has_cuda():
    os.environ['XLA_FLAGS'] = with_fixed_order(os.environ.get('XLA_FLAGS', ''))
