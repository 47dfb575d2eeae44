"""Processes that connect, train together and time out; with a fake clock where possible."""

import json
import os
from pathlib import Path
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
import toy

from classmix_jax.errors import UserError
from classmix_jax.methods import METHODS
from classmix_jax.training import distributed
from classmix_jax.training.distributed import Watch, connect, launcher

ROOT = Path(__file__).resolve().parents[2]


class Store:
  """Stands for the coordinator; `gone` makes it raise, as it does when it is not there."""

  def __init__(self):
    self.said, self.gone = {}, False

  def key_value_set(self, key, value, allow_overwrite):
    assert allow_overwrite
    if self.gone:
      raise RuntimeError('UNAVAILABLE')
    self.said[key] = value

  def key_value_dir_get(self, prefix):
    return [(key, value) for key, value in self.said.items() if key.startswith(prefix)]


class Clock:
  now = 100.0

  def __call__(self):
    return self.now


@pytest.fixture
def world(monkeypatch):
  """Three processes that have all sent a heartbeat, at step 5."""
  clock, store = Clock(), Store()
  hosts = iter(['host0', 'host1', 'host2', 'spare'])
  monkeypatch.setattr(distributed.socket, 'gethostname', lambda: next(hosts))
  watches = [Watch(store, index, 3, clock=clock) for index in range(3)]
  for watch in watches:
    watch.on_step(5)
    watch.beat()
  watches[0].beat()
  return clock, store, watches


def test_all_is_well(world):
  clock, _, watches = world
  for _ in range(10):
    clock.now += 30
    for watch in watches:
      watch.beat()
    assert [watch.find_lost(60, 1e9) for watch in watches] == [None] * 3


def test_a_silent_process_is_named_with_its_host_and_step(world):
  clock, _, (first, second, _) = world
  for _ in range(3):
    clock.now += 25
    first.beat()
    second.beat()
  assert first.find_lost(60, 1e9) == (
    'process 2 of 3 on host2 has sent no heartbeat for 75 s; its last step was 5'
  )
  assert first.find_lost(80, 1e9) is None


def test_a_process_that_never_came_is_named(world):
  clock, store, _ = world
  watch = Watch(store, 0, 4, clock=clock)
  clock.now += 61
  store.said['classmix_jax/alive/1'] = '2 5 host1'
  store.said['classmix_jax/alive/2'] = '2 5 host2'
  watch.beat()
  assert watch.find_lost(60, 1e9).startswith('process 3 of 4 has sent no heartbeat for 61 s')


def test_only_a_silent_coordinator_is_named(world):
  clock, store, (_, second, _) = world
  store.gone = True
  clock.now += 61
  with pytest.raises(RuntimeError):
    second.beat()
  assert second.find_lost(60, 1e9) == (
    'process 0 of 3 on host0, the coordinator, has not answered for 61 s'
  )


def test_the_slowest_is_named_where_no_step_ends(world):
  """All processes are alive, process 1 is a step behind, and none continues."""
  clock, _, watches = world
  for index in (0, 2):
    watches[index].on_step(6)
  for _ in range(4):
    clock.now += 50
    for watch in watches:
      watch.beat()
  assert watches[0].find_lost(60, 250) is None
  assert watches[0].find_lost(60, 150) == (
    'no step was finished for 200 s; process 1 of 3 on host1 is behind, at step 5'
  )


def test_launchers():
  assert launcher({}) is None and launcher({'OMPI_COMM_WORLD_SIZE': '8'}) == 'Open MPI'


@pytest.mark.parametrize(
  'arguments, message',
  [
    (('', 2, None), '--processes and --process need --coordinator=HOST:PORT'),
    (('host:1', None, 0), 'needs --processes=N and --process=I .* None and 0'),
    (('host:1', 2, 2), 'with 0 <= I < N; they are 2 and 2'),
  ],
)
def test_what_does_not_fit_is_said_at_once(arguments, message):
  with pytest.raises(UserError, match=message):
    connect(*arguments)


def test_a_single_process_waits_for_no_other(monkeypatch):
  monkeypatch.setattr(distributed.jax.distributed, 'initialize', lambda **_: 1 / 0)
  for variable in distributed.LAUNCHERS:
    monkeypatch.delenv(variable, raising=False)
  connect('', None, None)
  with pytest.raises(ValueError, match='passed on'), Watch(None, 0, 1):
    raise ValueError('passed on')


# ------------------------------------------------------------------ for real


def free_port():
  with socket.socket() as listener:
    listener.bind(('127.0.0.1', 0))
    return listener.getsockname()[1]


def start(directory, run, steps, count, port=0, method='classmix', devices=1):
  """Starts a training in `count` processes of some devices, 4 + 4 images a step over all."""
  arguments = [
    sys.executable,
    str(ROOT / 'launch' / 'main.py'),
    f'--config={ROOT / "configs" / "folder.py"}:method={method},labeled=3',
    f'--config.data.root={directory}',
    f'--workdir={run}',
    f'--config.steps={steps}',
    '--config.batch_size=4',
    '--config.unlabeled_batch_size=4',
    '--config.data.crop=(32,32)',
    '--config.eval_every=0',
    '--config.log_every=1',
    '--config.checkpoint_every=5',
  ]

  def together(index):
    return [
      f'--coordinator=127.0.0.1:{port}',
      f'--processes={count}',
      f'--process={index}',
    ]

  return [
    subprocess.Popen(
      [*arguments, *(together(index) if count > 1 else [])],
      text=True,
      env={**os.environ, 'JAX_NUM_CPU_DEVICES': str(devices), 'XLA_FLAGS': ''},
      stdout=subprocess.DEVNULL,
      stderr=subprocess.PIPE,
    )
    for index in range(count)
  ]


def losses(run):
  rows = map(json.loads, (run / 'metrics.jsonl').read_text().splitlines())
  return [[row[key] for key in sorted(row) if key.startswith('loss/')] for row in rows]


def wait_for_step(run, step, seconds=240):
  begin = time.monotonic()
  while not (run / 'metrics.jsonl').exists() or len(losses(run)) < step:
    assert time.monotonic() - begin < seconds, 'the training does not get on'
    time.sleep(0.5)


def two_at_work(tmp_path):
  """Returns data, run directory and two processes that have done eight steps of many."""
  directory, run = toy.write_folder(tmp_path / 'data'), tmp_path / 'run'
  pair = start(directory, run, 100_000, 2, free_port())
  wait_for_step(run, 8)
  return directory, run, pair


# On one core XLA divides the work of a process with two devices otherwise than that of two
# processes. It rounds otherwise, then, and at the first pixel that turns two trainings part.
SAME = dict(steps=20, atol=1e-6) if len(os.sched_getaffinity(0)) > 1 else dict(steps=5, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize('method', METHODS)
def test_two_processes_learn_what_one_learns(tmp_path, method):
  """20 steps on two devices; then, for one method, one process resumes where two stopped.

  That 1 device learns what 2 do is shown in test_invariance.py, by a network that learns smoothly.
  """
  directory = toy.write_folder(tmp_path / 'data')
  for count, run in ((1, tmp_path / 'one'), (2, tmp_path / 'two')):
    started = start(directory, run, 20, count, free_port(), method, devices=2 // count)
    output = [process.communicate(timeout=500)[1] for process in started]
    assert [process.returncode for process in started] == [0] * count, output
  alone = np.array(losses(tmp_path / 'one'))
  assert len(alone) == 20 and np.ptp(alone, axis=0).max() > 0.05  # something happens
  same = slice(SAME['steps'])
  np.testing.assert_allclose(losses(tmp_path / 'two')[same], alone[same], rtol=0, atol=SAME['atol'])
  if method != 'classmix':
    return
  (alone,) = start(directory, tmp_path / 'two', 25, 1)
  output = alone.communicate(timeout=500)[1]
  assert alone.returncode == 0 and len(losses(tmp_path / 'two')) == 25, output


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_one_is_asked_to_end_and_all_end_after_the_same_step(tmp_path, number):
  directory, run, pair = two_at_work(tmp_path)
  begin = time.monotonic()
  pair[1].send_signal(number)
  output = [process.communicate(timeout=120)[1] for process in pair]
  assert [process.returncode for process in pair] == [0, 0], output
  assert time.monotonic() - begin < 30
  (alone,) = start(directory, run, len(losses(run)) + 3, 1)
  output = alone.communicate(timeout=500)[1]
  assert alone.returncode == 0, output


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_one_of_two_at_once(tmp_path, number):
  """Process 1 cannot end, because process 0 is stopped."""
  _, _, (first, second) = two_at_work(tmp_path)
  first.send_signal(signal.SIGSTOP)
  second.send_signal(number)
  with pytest.raises(subprocess.TimeoutExpired):
    second.wait(timeout=3)
  second.send_signal(number)
  assert second.wait(timeout=3) == 128 + number
  assert f'{number.name}: saving and ending' in second.stderr.read()
  first.kill()
  first.communicate()


@pytest.mark.slow
@pytest.mark.parametrize('blow', [signal.SIGKILL, signal.SIGSTOP])
def test_the_others_end_and_name_the_missing_process(tmp_path, blow):
  """Process 1 dies or freezes: process 0 ends within 120 s; the training resumes afterwards."""
  directory, run, (first, second) = two_at_work(tmp_path)
  second.send_signal(blow)
  begin = time.monotonic()
  output = first.communicate(timeout=180)[1]
  second.kill()
  second.communicate()
  assert time.monotonic() - begin < 120 and first.returncode == distributed.LOST
  assert 'error: process 1 of 2 on' in output and 'has sent no heartbeat' in output
  steps = 10 + 5 * (len(losses(run)) // 5)
  pair = start(directory, run, steps, 2, free_port())
  output = [process.communicate(timeout=500)[1] for process in pair]
  assert [process.returncode for process in pair] == [0, 0], output
  assert len(losses(run)) == steps


def test_processes_that_do_not_connect(monkeypatch):
  def fail(**_):
    raise RuntimeError('no coordinator\nat all')

  monkeypatch.setattr(jax.distributed, 'initialize', fail)
  toy.assert_fails(
    lambda: distributed.connect('host:1', 2, 0), 'the processes do not connect: no coordinator'
  )
