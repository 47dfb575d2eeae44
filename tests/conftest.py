"""Configures the whole suite: eight fake CPU devices, strict rank promotion, hypothesis."""

import os
import tempfile

os.environ['JAX_PLATFORMS'] = 'cpu'
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
flags = os.environ.get('XLA_FLAGS', '')
if 'host_platform_device_count' not in flags:
  # Tests spend their time compiling, so XLA's optimizations are off.
  flags += ' --xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0'
  os.environ['XLA_FLAGS'] = flags.strip()

# The programs' caches must not mix with the user's.
_cache_home = tempfile.TemporaryDirectory(prefix='classmix_jax_cache_')
os.environ['XDG_CACHE_HOME'] = _cache_home.name

# Many tests compile the same step. A shared cache compiles it once: the workers of the suite and
# the programs that tests start inherit the environment.
if 'JAX_COMPILATION_CACHE_DIR' not in os.environ:
  _compilation_cache = tempfile.TemporaryDirectory(prefix='classmix_jax_xla_')
  os.environ['JAX_COMPILATION_CACHE_DIR'] = _compilation_cache.name
  os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0.3'

from pathlib import Path  # noqa: E402

from hypothesis import HealthCheck, settings  # noqa: E402
import jax  # noqa: E402
import jaxtyping  # noqa: E402
import pytest  # noqa: E402

# Annotations are checked at every call, from the first import of these rooms on.
ROOMS = ['classmix_jax.core', 'classmix_jax.masks', 'classmix_jax.methods']
jaxtyping.install_import_hook(ROOMS, 'beartype.beartype')

jax.config.update('jax_numpy_rank_promotion', 'raise')

# The same examples in every run. `make test-slow` chooses the profile 'thorough'.
settings.register_profile(
  'fast',
  max_examples=10,
  deadline=None,
  derandomize=True,
  database=None,
  suppress_health_check=list(HealthCheck),
)
settings.register_profile('thorough', settings.get_profile('fast'), max_examples=150)
settings.load_profile('fast')

# Every compiled program maps memory. Linux allows a process 65,530 maps (vm.max_map_count), and XLA
# crashes beyond them.
MAX_MAPS = 20_000


@pytest.fixture(scope='module', autouse=True)
def drop_programs():
  """Drops the compiled programs after a module of tests if they are too many for one process."""
  yield
  maps = Path('/proc/self/maps')
  if maps.exists() and maps.read_bytes().count(b'\n') > MAX_MAPS:
    jax.clear_caches()
