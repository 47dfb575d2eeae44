"""Reads launches and time of each GPU kernel from the profiler's trace.

Synopsis:

    with jax.profiler.trace(directory):
      run_steps(3)
    rows = kernel_times(directory, steps=3)    # [['all', 812.0, 40.3], [name, launches, ms], ...]
"""

import gzip
import json
from pathlib import Path

MOST = 80  # kernels that are listed
Row = list  # [name, launches per step, ms per step]


def read_events(directory: Path) -> list[dict]:
  """Returns the events of the newest trace below a directory; none without a trace."""
  traces = sorted(directory.rglob('*.trace.json.gz'), key=lambda path: path.stat().st_mtime)
  return json.loads(gzip.decompress(traces[-1].read_bytes()))['traceEvents'] if traces else []


def gpu_kernels(events: list[dict]) -> list[dict]:
  """Returns the events that are kernels of a GPU, without the annotations around them."""
  process = {
    event['pid']: event['args'].get('name', '')
    for event in events
    if event.get('name') == 'process_name'
  }
  return [
    event
    for event in events
    if event.get('ph') == 'X'
    and 'GPU' in process.get(event['pid'], '')
    and 'kernel_details' in event.get('args', {})
  ]


def kernel_times(directory: Path, steps: int) -> list[Row]:
  """Returns [name, launches per step, ms per step] of the slowest kernels.

  Args:
    directory: output directory of `jax.profiler.trace`.
    steps: number of traced steps.

  Returns:
    The first row is 'all' kernels together; [] for a trace without kernels of a GPU.
  """
  launches, duration = {}, {}
  for event in gpu_kernels(read_events(directory)):
    name = event['name']
    launches[name] = launches.get(name, 0) + 1
    duration[name] = duration.get(name, 0.0) + event['dur'] / 1000  # the trace has microseconds
  rows = sorted(
    ([name, launches[name] / steps, duration[name] / steps] for name in launches),
    key=lambda row: -row[2],
  )
  whole = ['all', sum(row[1] for row in rows), sum(row[2] for row in rows)]
  return [whole, *rows[:MOST]] if rows else []
