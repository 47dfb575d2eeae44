"""Keeps the compiled programs of a GPU run, so that a resumed run uses the same kernels."""

from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache


def keep_programs(run: Path, platform: str) -> None:
  """Makes RUN/compiled the compilation cache if the devices are GPUs.

  XLA times several kernels and keeps the fastest, and another kernel gives other last bits. JAX
  stores the choice with the program, under its version, kind of device and flags; with other ones
  the programs are compiled and timed again.

  Args:
    run: directory of the run.
    platform: of the devices. On others than 'gpu' XLA times nothing, and all runs share the
      directory in `JAX_COMPILATION_CACHE_DIR`.
  """
  if platform == 'gpu':
    jax.config.update('jax_compilation_cache_dir', str(run / 'compiled'))
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
    compilation_cache.reset_cache()  # JAX has opened the shared directory already
