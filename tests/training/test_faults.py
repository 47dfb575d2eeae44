"""Machines that fail: killed at any moment, full disks, failing operations, jumping clocks."""

import collections
import contextlib
import json
import os
from pathlib import Path
import random
import re
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
import toy

from classmix_jax.workdir import checkpoint_lookup

ROOT = Path(__file__).resolve().parents[2]
HELPERS = ROOT / 'tests' / 'helpers'


@pytest.fixture(scope='module')
def faults(tmp_path_factory):
  """The library of faults.c, to be preloaded."""
  library = tmp_path_factory.mktemp('faults') / 'faults.so'
  subprocess.run(
    ['gcc', '-shared', '-fPIC', '-o', library, HELPERS / 'faults.c', '-ldl'], check=True
  )
  return library


def command(data, run, steps, **fields):
  fields = {
    'batch_size': 2,
    'unlabeled_batch_size': 2,
    'data.crop': '(24,32)',
    'log_every': 1,
    'checkpoint_every': 5,
    'eval_every': 25,
    'eval_batch_size': 3,
    **fields,
  }
  return [
    sys.executable,
    str(ROOT / 'launch' / 'main.py'),
    f'--config={ROOT / "configs" / "folder.py"}:method=classmix',
    f'--config.data.root={data}',
    f'--workdir={run}',
    f'--config.steps={steps}',
    *(f'--config.{key}={value}' for key, value in fields.items()),
  ]


def start(*arguments, **fields):
  return subprocess.Popen(
    command(*arguments, **fields), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
  )


def finish(*arguments, env=None, **fields):
  """Trains to the end; returns what it said on the standard error."""
  ended = subprocess.run(
    command(*arguments, **fields), env={**os.environ, **(env or {})}, capture_output=True, text=True
  )
  assert ended.returncode == 0, ended.stderr
  return ended.stderr


def steps(run):
  path = run / 'metrics.jsonl'
  return (
    [int(step) for step in re.findall(r'^{"step": (\d+), .*}$', path.read_text(), re.M)]
    if (path.exists())
    else []
  )


def assert_same_run(run, undisturbed):
  """The same states, newest and best, and the same rows but for the speed."""
  for which in ('latest', 'best'):
    result, expected = (checkpoint_lookup.load(path, which) for path in (run, undisturbed))
    assert result[0] == expected[0]
    jax.tree.map(np.testing.assert_array_equal, result[1], expected[1])

  def rows(path):
    lines = map(json.loads, (path / 'metrics.jsonl').read_text().splitlines())
    return [{key: row[key] for key in row if 'per_second' not in key} for row in lines]

  assert rows(run) == rows(undisturbed)


def leftovers(run):
  """What a process that is gone may have left: files, shared memory, processes."""
  temporary = [path for path in run.rglob('*') if re.search(r'\.tmp$|-tmp', path.name)]
  working = [
    path
    for path in Path('/proc').glob('[0-9]*/cmdline')
    if path.exists() and str(run).encode() in path.read_bytes()
  ]
  return temporary, sorted(os.listdir('/dev/shm')), working


def kill_at(process, run, step, delay):
  """SIGKILL a moment after a step has its row; step 0: a moment after the start."""
  begin = time.monotonic()
  while step and steps(run)[-1:] < [step]:
    assert process.poll() is None, process.stderr.read()
    assert time.monotonic() - begin < 300, 'the training does not get on'
    time.sleep(0.02)
  time.sleep(delay)
  process.send_signal(signal.SIGKILL)
  process.communicate()


@pytest.mark.slow
def test_killed_thirty_times_ends_in_the_same_bits(tmp_path):
  """Every third kill hits the start: imports, data, compiling; the others steps and saves."""
  data = toy.write_folder(tmp_path / 'data')
  run, undisturbed = tmp_path / 'run', tmp_path / 'undisturbed'
  finish(data, undisturbed, 300)
  moments = random.Random(0)
  reached = iter(sorted(moments.sample(range(1, 300), 20)))
  memory = sorted(os.listdir('/dev/shm'))
  for kill in range(30):
    step, delay = (
      (0, moments.uniform(0, 8)) if kill % 3 == 0 else (next(reached), moments.uniform(0, 0.3))
    )
    kill_at(start(data, run, 300), run, step, delay)
  finish(data, run, 300)
  assert_same_run(run, undisturbed)
  assert steps(run) == list(range(1, 301))
  assert leftovers(run) == ([], memory, [])


@pytest.mark.slow
def test_killed_while_data_are_prepared(tmp_path):
  """Working copies of the frames are made while the training is killed again and again."""
  data = toy.write_folder(tmp_path / 'data', unlabeled=2000)
  run, undisturbed = tmp_path / 'run', tmp_path / 'undisturbed'
  finish(data, undisturbed, 4, checkpoint_every=2)
  fields = {
    'checkpoint_every': 2,
    'data.working_copy': 'disk',
    'data.copy_root': tmp_path / 'copies',
  }
  moments, begun = random.Random(1), 0
  for _ in range(6):
    process = start(data, run, 4, **fields)
    while not (tmp_path / 'copies').exists() and process.poll() is None:
      time.sleep(0.02)
    time.sleep(moments.uniform(0, 1.0))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    begun += bool(list((tmp_path / 'copies').rglob('rows.jsonl')))
  assert begun, 'no kill has hit the preparation'
  finish(data, run, 4, **fields)
  assert_same_run(run, undisturbed)


@pytest.mark.slow
def test_every_operation_of_a_save_goes_wrong_once(faults, tmp_path):
  """Files, writes, flushes and names: refused, cut short, or the process dies before them."""
  ended = subprocess.run(
    [sys.executable, HELPERS / 'saves_under_faults.py', tmp_path],
    capture_output=True,
    text=True,
    env={**os.environ, 'LD_PRELOAD': str(faults), 'XLA_FLAGS': ''},
  )
  assert ended.returncode == 0, ended.stderr
  result = list(map(json.loads, ended.stdout.splitlines()))
  kinds = collections.Counter(case['kind'] for case in result if case['way'] == 'kill')
  assert kinds['w'] > 5 and kinds['f'] > 5 and kinds['r'] > 2 and kinds['o'] > 5, kinds
  for case in result:
    assert case['found'] in (12, 13), case  # step 2 or step 3, whole, and nothing beside them
    assert case['ended'] in ((0, 2) if case['way'] == 'fail' else (0, -signal.SIGKILL)), case
    if case['ended'] == 0:  # status 0 guarantees that it is saved
      assert case['found'] == 13, case
  assert {case['found'] for case in result} == {12, 13}
  # Not all saves take as many operations as the one in which they were counted.
  assert sum(case['way'] != 'fail' and case['ended'] == 0 for case in result) <= 3


@pytest.mark.slow
def test_a_full_disk_is_reported_and_the_training_resumes_after_cleaning(tmp_path):
  small = tmp_path / 'small'
  small.mkdir()
  if subprocess.run(
    ['mount', '-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', small], capture_output=True
  ).returncode:
    pytest.skip('only root may mount a small disk')
  try:
    data, run = toy.write_folder(tmp_path / 'data'), small / 'run'
    finish(data, tmp_path / 'undisturbed', 200)
    process = start(data, run, 200)
    while steps(run)[-1:] < [20]:
      assert process.poll() is None, process.stderr.read()
      time.sleep(0.02)
    with open(small / 'filler', 'wb', buffering=0) as file, contextlib.suppress(OSError):
      while True:
        file.write(bytes(1 << 12))
    output = process.communicate(timeout=120)[1]
    assert process.returncode == 2 and 'Traceback' not in output, output
    errors = [line for line in output.splitlines() if line.startswith('error: ')]
    assert len(errors) == 1, output
    assert 'No space left' in errors[0] and 'free disk space' in errors[0], output
    (small / 'filler').unlink()
    finish(data, run, 200)
    assert_same_run(run, tmp_path / 'undisturbed')
  finally:
    subprocess.run(['umount', '--lazy', small], check=True)


# Every question after the time of day is answered with a jump of so many seconds, back and forth.
JUMPING = """
import itertools, runpy, sys, time
def jumping(real, unit, jump=int(sys.argv.pop(1)), signs=itertools.cycle((0, 1, -1))):
  return lambda: real() + next(signs) * jump * unit
time.time, time.time_ns = jumping(time.time, 1), jumping(time.time_ns, 10**9)
sys.argv[0] = sys.argv[1]
runpy.run_path(sys.argv.pop(1), run_name='__main__')
"""


@pytest.mark.slow
def test_a_clock_that_jumps_changes_nothing(tmp_path):
  """A minute: nothing. A day, during a save: orbax gives up, and an error is raised."""
  data = toy.write_folder(tmp_path / 'data')
  run, undisturbed = tmp_path / 'run', tmp_path / 'undisturbed'
  finish(data, undisturbed, 40)

  def under(jump):
    _, *arguments = command(data, run, 40)
    return subprocess.run(
      [sys.executable, '-c', JUMPING, str(jump), *arguments], capture_output=True, text=True
    )

  ended = under(86_400)
  assert ended.returncode == 2 and 'timed out after' in ended.stderr, ended.stderr
  ended = under(60)
  assert ended.returncode == 0, ended.stderr
  assert_same_run(run, undisturbed)


def test_no_module_reads_the_time_of_day():
  for path in [*(ROOT / 'classmix_jax').rglob('*.py'), *(ROOT / 'launch').rglob('*.py')]:
    if path.name == 'tensorboard_writer.py':  # an event carries it; no program reads it back
      continue
    assert not re.search(r'time\.time\(|datetime|time_ns\(', path.read_text()), path
