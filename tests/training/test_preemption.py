"""Signals to small programs and to a training in each phase."""

import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import textwrap
import time

import jax
import numpy as np
import pytest
import toy

from classmix_jax.training.preemption import Stop
from classmix_jax.utils.interrupt import Stopped, until
from classmix_jax.workdir import checkpoint, checkpoint_lookup

ROOT = Path(__file__).resolve().parents[2]
BOTH = pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
# As while XLA compiles: the main thread does not return to Python after the signal.
COMPILE = """
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
ctypes.CDLL(None).usleep(20_000_000)
"""
LOOP = """
for step in range(10_000):
  time.sleep(0.01)
  stop.unsaved = True
  if stop():
    print('saved after', step)
    sys.exit(0)
"""


def start(body):
  """Starts a program that listens, and waits until it does."""
  code = (
    textwrap.dedent("""
      import ctypes, signal, sys, time
      from classmix_jax.training.preemption import Stop
      stop = Stop().listen()
      print('listening', flush=True)
      """)
    + body
  )
  process = subprocess.Popen(
    [sys.executable, '-c', code],
    cwd=ROOT,
    text=True,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
  )
  assert process.stdout.readline() == 'listening\n'
  time.sleep(0.2)
  return process


def end(process, *numbers):
  """Sends signals; returns the status, both outputs and how long it took to end."""
  begin = time.monotonic()
  for number in numbers:
    process.send_signal(number)
    time.sleep(0.15)
  out, err = process.communicate(timeout=10)
  return process.returncode, out, err, time.monotonic() - begin


@BOTH
def test_before_the_first_step_it_ends_at_once_even_while_compiling(number):
  status, _, output, seconds = end(start(COMPILE), number)
  assert status == 0 and seconds < 5
  assert output.splitlines() == [
    f'{number.name}: saving and ending; once more ends at once',
    f'{number.name}: everything is saved; the same command resumes the training',
  ]


@BOTH
def test_between_steps_the_loop_stops(number):
  status, out, output, _ = end(start(LOOP), number)
  assert status == 0 and out.startswith('saved after ')
  assert output == f'{number.name}: saving and ending; once more ends at once\n'


def test_the_second_signal_ends_at_once():
  process = start(f'stop.unsaved = True\n{COMPILE}')
  status, _, _, seconds = end(process, signal.SIGINT, signal.SIGTERM)
  assert status == 128 + signal.SIGTERM and seconds < 5


def test_a_running_save_is_waited_for():
  status, out, _, _ = end(
    start(f"stop.finish = lambda: (time.sleep(0.5), print('on the disk', flush=True))\n{COMPILE}"),
    signal.SIGTERM,
  )
  assert status == 0 and out == 'on the disk\n'


def test_a_failed_save_is_reported():
  status, _, output, _ = end(
    start(f'def fail(): raise OSError("no space left")\nstop.finish = fail\n{COMPILE}'),
    signal.SIGTERM,
  )
  assert status == 2 and output.endswith('error: no space left\n')


def test_a_single_process_exits_at_once():
  """Nothing is taken down at the exit, but what was printed is."""
  process = start("""
import atexit
atexit.register(time.sleep, 60)
print('last words')
stop.leave()
""")
  assert process.stdout.read() == 'last words\n' and process.wait(timeout=20) == 0
  several = Stop()
  several.together(2)
  several.leave()


def test_without_a_handler_nothing_stops():
  assert not Stop()() and list(until(Stop(), [1, 2], 5)) == [1, 2]


def test_an_evaluation_is_left_between_batches():
  answers = iter([False, True])
  batches = until(lambda: next(answers), 'abc', 7)
  assert next(batches) == 'a'
  with pytest.raises(Stopped, match='after step 7'):
    next(batches)


def test_among_several_processes_jax_chooses_the_call(monkeypatch):
  """All processes stop at the same call, whichever received the signal."""
  from jax.experimental import multihost_utils

  monkeypatch.setattr(multihost_utils, 'reached_preemption_sync_point', lambda call: call == 3)
  stop = Stop()
  stop.together(2)
  assert [stop() for _ in range(3)] == [False, False, True]


TAKEN_BACK = """
import ctypes, os, signal, time
from classmix_jax.training.preemption import restore_python_handler
library_signals, python_signals = [], []
handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(library_signals.append)
signal.signal(signal.SIGTERM, lambda number, frame: python_signals.append(int(number)))
library = ctypes.CDLL(None)
library.signal.argtypes = ctypes.c_int, ctypes.c_void_p
library.signal(signal.SIGTERM, ctypes.cast(handler, ctypes.c_void_p))  # as JAX does
call_library_handler = restore_python_handler(signal.SIGTERM)
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(0.01)
assert (library_signals, python_signals) == ([], [15])
call_library_handler()
assert (library_signals, python_signals) == ([15], [15])
restore_python_handler(signal.SIGUSR1)()  # no handler was set: nothing is called
"""


def test_the_handler_is_restored_after_a_library_replaced_it():
  ended = subprocess.run(
    [sys.executable, '-c', TAKEN_BACK], cwd=ROOT, capture_output=True, text=True
  )
  assert ended.returncode == 0, ended.stderr


# ------------------------------------------------------------------ a training


def command(data, run):
  return [
    sys.executable,
    str(ROOT / 'launch' / 'main.py'),
    f'--config={ROOT / "configs" / "folder.py"}:method=classmix',
    f'--config.data.root={data}',
    f'--workdir={run}',
    '--config.steps=60',
    '--config.batch_size=2',
    '--config.unlabeled_batch_size=2',
    '--config.data.crop=(24,32)',
    '--config.eval_every=20',
    '--config.log_every=1',
    '--config.checkpoint_every=7',
    '--config.eval_batch_size=1',
  ]


def wait_for(happens, process, seconds=300):
  begin = time.monotonic()
  while not happens():
    assert process.poll() is None, 'it ended too early'
    assert time.monotonic() - begin < seconds
    time.sleep(0.02)


def steps(run):
  path = run / 'metrics.jsonl'
  return (
    [json.loads(line)['step'] for line in path.read_text().splitlines()] if (path.exists()) else []
  )


def phases(run, log):
  """Each phase: when the signal comes, and what has happened before it."""

  def is_logged(text):
    return lambda: text in log.read_text()

  def reached(step):
    return lambda: steps(run)[-1:] >= [step]

  return {
    'importing': lambda: True,
    'building': lambda: (run / 'lock').exists(),
    'compiling': is_logged(': starts'),
    'stepping': reached(3),
    'saving': lambda: any((run / 'checkpoints').glob(checkpoint.UNFINISHED_PATTERN)),
    'evaluating': reached(19),
    'drawing': lambda: (run / 'eval' / '20.json').exists(),
    'the end': lambda: (run / 'eval' / '60.json').exists(),
  }


@pytest.mark.slow
def test_a_training_is_stopped_in_every_phase(tmp_path):
  """One training, stopped eight times, ends with the bits of an undisturbed one."""
  # Many validation images: an evaluation takes seconds, and one batch of it does not.
  data = toy.write_folder(tmp_path / 'data', val=400)
  run, undisturbed, log = (tmp_path / name for name in ('run', 'undisturbed', 'log'))
  subprocess.run(command(data, undisturbed), check=True, capture_output=True)
  for phase, happens in phases(run, log).items():
    with open(log, 'w', encoding='utf-8') as file:
      process = subprocess.Popen(
        command(data, run),
        stdout=file,
        stderr=subprocess.STDOUT,
        env={**os.environ, 'PYTHONUNBUFFERED': '1'},
      )
    time.sleep(0.5)
    wait_for(happens, process)
    if phase == 'evaluating':
      time.sleep(0.5)
    begin = time.monotonic()
    process.send_signal(signal.SIGTERM)
    status = process.wait(timeout=60)
    seconds, output = time.monotonic() - begin, log.read_text()
    print(f'{phase}: {seconds:.2f} s, then at step {steps(run)[-1:]}', flush=True)
    assert status == 0 and 'the same command resumes the training' in output, (phase, output)
    assert seconds < 10, phase  # 5 s on an idle core
    if phase == 'evaluating':
      assert not (run / 'eval' / '20.json').exists()
  subprocess.run(command(data, run), check=True, capture_output=True)
  assert steps(run) == steps(undisturbed) == list(range(1, 61))
  for which in ('latest', 'best'):
    result, expected = (checkpoint_lookup.load(path, which) for path in (run, undisturbed))
    assert result[0] == expected[0]
    jax.tree.map(np.testing.assert_array_equal, result[1], expected[1])
  scores = [
    [
      json.loads(line).get('eval/miou')
      for line in (path / 'metrics.jsonl').read_text().splitlines()
    ]
    for path in (run, undisturbed)
  ]
  assert scores[0] == scores[1]
