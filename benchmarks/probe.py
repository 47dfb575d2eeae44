"""Measures what a device reaches: a product of random matrices, and a copy.

    python benchmarks/probe.py [--side=8192] [--megabytes=2048] [--output=FILE.json]

They are the upper bounds for a step. Products are of bfloat16; a copy reads and
writes each byte once. Both are called 20 times in a row, with one wait at the end.
"""

import argparse
from collections.abc import Callable
import os
from pathlib import Path
import subprocess
import sys
import time

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import json_file  # noqa: E402
from provenance import provenance  # noqa: E402

CALLS = 20
QUERY = 'name,driver_version,memory.total,clocks.sm,clocks.max.sm,power.limit'


def seconds(function: Callable, *arguments: jax.Array) -> float:
  """Returns the seconds of a call, compiled and warm."""
  jax.block_until_ready(function(*arguments))
  begin = time.perf_counter()
  for _ in range(CALLS):
    result = function(*arguments)
  jax.block_until_ready(result)
  return (time.perf_counter() - begin) / CALLS


def driver() -> str:
  """Returns the driver's description of the GPU, '' without one."""
  try:
    return subprocess.run(
      ['nvidia-smi', f'--query-gpu={QUERY}', '--format=csv'],
      capture_output=True,
      text=True,
      timeout=20,
    ).stdout
  except (OSError, subprocess.TimeoutExpired):
    return ''


def measure(side: int, megabytes: int) -> dict:
  """Times both; `side` of the matrices, `megabytes` that are copied."""
  key = jax.random.key(0)
  first, second = (jax.random.normal(k, (side, side), jnp.bfloat16) for k in jax.random.split(key))
  words = jax.random.bits(key, (megabytes * 2**20 // 4,), jnp.uint32)
  device = jax.devices()[0]
  memory = device.memory_stats() or {}
  return {
    'device': f'{device.device_kind} ({len(os.sched_getaffinity(0))} cores)',
    **provenance('jax', 'jaxlib', 'flax', 'optax', 'numpy'),
    'driver': driver(),
    'bytes_limit': memory.get('bytes_limit'),
    'side': side,
    'megabytes': megabytes,
    'product_tflops': 2 * side**3 / seconds(jax.jit(lambda a, b: a @ b), first, second) / 1e12,
    'copy_gb_s': 2 * words.nbytes / seconds(jax.jit(lambda x: x + 1), words) / 1e9,
  }


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--side', type=int, default=8192)
  parser.add_argument('--megabytes', type=int, default=2048)
  parser.add_argument('--output', default='')
  options = parser.parse_args()
  result = measure(options.side, options.megabytes)
  json_file.write(options.output, result)
  print(
    f'{result["device"]}: {result["product_tflops"]:.3g} TFLOP/s, {result["copy_gb_s"]:.4g} GB/s'
  )


if __name__ == '__main__':
  main()
