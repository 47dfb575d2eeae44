"""Which kernels a GPU computes with: the same ones whenever a training goes on."""

from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache


def keep_choice(run: Path, platform: str) -> None:
  """Keeps what is compiled for a GPU from now on in RUN/compiled, programs and chosen kernels.

  XLA chooses by timing, and another choice gives other last bits. JAX looks programs up by
  version, kind of device and flags: where one of these is another, the choice is made anew.

  Args:
    run: the run's folder.
    platform: of the devices. On others than 'gpu' nothing is chosen by time, and all runs
      share the folder that `JAX_COMPILATION_CACHE_DIR` says.
  """
  if platform == 'gpu':
    jax.config.update('jax_compilation_cache_dir', str(run / 'compiled'))
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
    compilation_cache.reset_cache()  # which has opened the other folder already
