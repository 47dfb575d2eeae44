from pathlib import Path
import subprocess
import sys

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

PROGRAM = """
import ctypes, resource
from classmix_jax.cli.allocator import keep_freed_memory
if not keep_freed_memory():
  print('elsewhere')
  raise SystemExit
library, size = ctypes.CDLL(None), 2**26
library.malloc.restype, library.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

def touch():
  block = library.malloc(ctypes.c_size_t(size))
  ctypes.memset(block, 1, size)
  library.free(block)

touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
touch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_freed_memory_is_used_again():
  """64 MiB are 16,384 pages; taken a second time, none of them is new."""
  output = subprocess.run(
    [sys.executable, '-c', PROGRAM], cwd=REPOSITORY, capture_output=True, text=True, check=True
  )
  if output.stdout.strip() == 'elsewhere':
    pytest.skip('needs Linux with glibc')
  assert int(output.stdout) < 100
