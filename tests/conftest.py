"""Strict mode for the whole suite: eight fake CPU devices, rank promotion raises."""

import os
import tempfile

os.environ['JAX_PLATFORMS'] = 'cpu'
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
flags = os.environ.get('XLA_FLAGS', '')
if 'host_platform_device_count' not in flags:
  # Tests spend their time compiling, so XLA optimises nothing.
  flags += ' --xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0'
  os.environ['XLA_FLAGS'] = flags.strip()

# What programs remember between two starts stays apart from the user's own.
_remembered = tempfile.TemporaryDirectory(prefix='classmix_jax_cache_')
os.environ['XDG_CACHE_HOME'] = _remembered.name

# Many tests compile the same step. It is compiled once for all: workers of the suite and programs
# that tests start take over the environment.
if 'JAX_COMPILATION_CACHE_DIR' not in os.environ:
  _cache = tempfile.TemporaryDirectory(prefix='classmix_jax_xla_')
  os.environ['JAX_COMPILATION_CACHE_DIR'] = _cache.name
  os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0.3'

import jax  # noqa: E402

jax.config.update('jax_numpy_rank_promotion', 'raise')
