"""The times of kernels, from a made-up trace of the profiler."""

import gzip
import json

import pytest

GPU, HOST = 1, 2


def kernel(name, microseconds, process=GPU, **details):
  details = details or {'kernel_details': 'regs:32 grid:4,1,1'}
  return {'ph': 'X', 'pid': process, 'name': name, 'dur': microseconds, 'args': details}


def process(number, name):
  return {'ph': 'M', 'pid': number, 'name': 'process_name', 'args': {'name': name}}


@pytest.fixture
def times(tmp_path):
  """Returns the table of a trace with these events."""
  from kernel_times import kernel_times

  def of(events, steps):
    path = tmp_path / 'plugins' / 'profile' / 'now' / 'machine.trace.json.gz'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(json.dumps({'traceEvents': events}).encode()))
    return kernel_times(tmp_path, steps)

  return of


def test_the_dearest_kernel_comes_first(times):
  events = [
    process(GPU, '/device:GPU:0 NVIDIA'),
    process(HOST, '/host:CPU'),
    kernel('fusion', 1000),
    kernel('fusion', 3000),
    kernel('product', 9000),
    kernel('step', 99_000, group_id=1),
    kernel('python', 99_000, HOST),
    {'ph': 'M', 'pid': GPU, 'name': 'thread_name', 'args': {'name': 'Stream'}},
    {},
  ]
  assert times(events, steps=2) == [['all', 1.5, 6.5], ['product', 0.5, 4.5], ['fusion', 1.0, 2.0]]


def test_eighty_are_listed_and_all_are_summed(times):
  events = [process(GPU, '/device:GPU:0'), *(kernel(f'k{i}', 1000 + i) for i in range(100))]
  rows = times(events, steps=1)
  assert len(rows) == 81 and rows[0][:2] == ['all', 100] and rows[1][0] == 'k99'


def test_no_gpu_no_kernels(times):
  assert times([process(HOST, '/host:CPU'), kernel('dot', 5, HOST)], steps=1) == []


def test_no_trace_no_kernels(tmp_path):
  from kernel_times import kernel_times

  assert kernel_times(tmp_path, 3) == []
