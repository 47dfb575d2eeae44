"""Connects the processes of a training run and ends them if one is lost.

Synopsis:

    connect('10.0.0.1:9876', count=2, index=0)     # before JAX opens its devices
    with start_watch() as watch:
      watch.on_step(step)                          # after every step

A dead or frozen process blocks its peers in a collective indefinitely. So every process publishes a
heartbeat with its step every few seconds, and ends with the name of a peer whose heartbeat is
missing for too long. JAX itself detects only the death of process 0, the coordinator: it ends the
others within a second and reports the "leader task".
"""

from collections.abc import Callable, Mapping
import contextlib
import os
import socket
import sys
import threading
import time
import traceback
from typing import Any

import jax

from classmix_jax.errors import UserError
from classmix_jax.utils.text import describe_error

HEARTBEAT_TIMEOUT = 60.0  # seconds without a heartbeat after which a process counts as lost
STEP_TIMEOUT = 1800.0  # seconds without a step after which the slowest process counts as stuck
INTERVAL = 2.0  # seconds between two heartbeats
LOST = 3  # exit status of a process that has lost a peer
PREFIX = 'classmix_jax/alive/'
# Environment variables with the number of processes that a launcher has started.
LAUNCHERS: Mapping[str, str] = {'SLURM_STEP_NUM_TASKS': 'Slurm', 'OMPI_COMM_WORLD_SIZE': 'Open MPI'}


def launcher(environment: Mapping[str, str]) -> str | None:
  """Returns the launcher that has started several processes, or None.

  Example:
    >>> launcher({'SLURM_STEP_NUM_TASKS': '4'}), launcher({'SLURM_STEP_NUM_TASKS': '1'})
    ('Slurm', None)
  """
  for variable, name in LAUNCHERS.items():
    if int(environment.get(variable, '1')) > 1:
      return name
  return None


def connect(coordinator: str, count: int | None, index: int | None) -> None:
  """Connects to the other processes; must be called before anything else of JAX.

  Args:
    coordinator: 'HOST:PORT' of process 0, the same for all, with `count` and `index`; 'cluster'
      lets JAX read the environment (TPU pods, Kubernetes, Slurm, Open MPI); '' does so if Slurm or
      Open MPI has started several processes, and connects to nothing otherwise.
    count: number of processes.
    index: of this process, from 0.

  Raises:
    UserError: count and index are missing or do not fit, or the other processes do not connect.
  """
  options: dict[str, Any] = {}
  if coordinator not in ('', 'cluster'):
    if count is None or index is None or not 0 <= index < count:
      raise UserError(
        f'--coordinator={coordinator} needs --processes=N and --process=I with 0 <= I < N; '
        f'they are {count} and {index}.'
      )
    options = dict(coordinator_address=coordinator, num_processes=count, process_id=index)
  elif count is not None or index is not None:
    raise UserError('--processes and --process need --coordinator=HOST:PORT, which is missing.')
  elif not coordinator and launcher(os.environ) is None:
    return
  try:
    jax.distributed.initialize(**options)
  except (ValueError, RuntimeError) as error:
    raise UserError(f'the processes do not connect: {describe_error(error)}') from error


class Watch:
  """Exchanges heartbeats through the key-value store of JAX's coordinator, process 0.

  Attributes:
    index: of this process.
    count: number of processes.
  """

  def __init__(
    self, client: Any, index: int, count: int, *, clock: Callable[[], float] = time.monotonic
  ):
    self.index = index
    self.count = count
    self._client = client
    self._clock = clock
    self._host = socket.gethostname()
    self._beats = 0
    self._step = 0
    now = clock()
    self._step_time = now  # of the last step of this process
    self._answer_time = now  # of the last answer of the coordinator
    self._heartbeats = dict.fromkeys(range(count), ('', now))  # the last of each, and its time

  def on_step(self, step: int) -> None:
    """Records that this process has finished a step."""
    self._step, self._step_time = step, self._clock()

  def beat(self) -> None:
    """Publishes a heartbeat and reads those of the others; waits for the coordinator."""
    self._beats += 1
    heartbeat = f'{self._beats} {self._step} {self._host}'
    self._client.key_value_set(f'{PREFIX}{self.index}', heartbeat, allow_overwrite=True)
    entries = self._client.key_value_dir_get(PREFIX)
    now = self._answer_time = self._clock()
    for key, heartbeat in entries:
      index = int(key.rpartition('/')[2])
      if heartbeat != self._heartbeats[index][0]:
        self._heartbeats[index] = heartbeat, now

  def name(self, index: int) -> str:
    """Returns a description of a process for error messages."""
    heartbeat, _ = self._heartbeats[index]
    host = f' on {heartbeat.split(" ", 2)[2]}' if heartbeat else ''
    return f'process {index} of {self.count}{host}'

  def steps(self) -> dict[int, int]:
    """Returns the last step of every process that has sent a heartbeat."""
    heartbeats = {index: text for index, (text, _) in self._heartbeats.items() if text}
    return {index: int(text.split(' ')[1]) for index, text in heartbeats.items()}

  def silences(self) -> dict[int, float]:
    """Returns the seconds since the last heartbeat of every other process."""
    now = self._clock()
    times = {index: since for index, (_, since) in self._heartbeats.items()}
    return {index: now - since for index, since in times.items() if index != self.index}

  def find_lost(
    self, timeout: float = HEARTBEAT_TIMEOUT, step_timeout: float = STEP_TIMEOUT
  ) -> str | None:
    """Returns a sentence about a lost or stuck process, or None if there is none."""
    now = self._clock()
    unanswered, stalled = now - self._answer_time, now - self._step_time
    if self.index != 0 and unanswered > timeout:
      return f'{self.name(0)}, the coordinator, has not answered for {unanswered:.0f} s'
    # Without the coordinator there are no heartbeats, so nothing is known of the others.
    silences = self.silences() if unanswered < timeout else {}
    index, silence = max(silences.items(), key=lambda item: item[1], default=(0, 0.0))
    if silence > timeout:
      return (
        f'{self.name(index)} has sent no heartbeat for {silence:.0f} s; its last step was '
        f'{self.steps().get(index, 0)}'
      )
    if stalled > step_timeout and (steps := self.steps()):
      index = min(steps, key=steps.__getitem__)
      return (
        f'no step was finished for {stalled:.0f} s; {self.name(index)} is behind, at step '
        f'{steps[index]}'
      )
    return None

  def __enter__(self) -> 'Watch':
    if self.count > 1:
      for target in (send_heartbeats, end_if_lost):
        threading.Thread(target=target, args=(self,), daemon=True, name=target.__name__).start()
    return self

  def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
    """Ends a failed process among several at once, without JAX's shutdown barrier."""
    if self.count == 1 or error is None:
      return
    if isinstance(error, UserError):
      end(str(error), status=2)
    traceback.print_exception(error)
    # If the cause is a lost peer, `end_if_lost` ends the process with its name in the meantime.
    time.sleep(HEARTBEAT_TIMEOUT + 5 * INTERVAL)
    os._exit(1)


def send_heartbeats(watch: Watch) -> None:
  """Sends heartbeats until the process ends."""
  while True:
    # An error means that the coordinator does not answer, which `find_lost` detects by its time.
    with contextlib.suppress(Exception):
      watch.beat()
    time.sleep(INTERVAL)


def end_if_lost(watch: Watch) -> None:
  """Ends this process as soon as another one is lost."""
  while (sentence := watch.find_lost()) is None:
    time.sleep(INTERVAL)
  end(f'{sentence}. The same command on all hosts resumes from the last checkpoint.', status=LOST)


def end(sentence: str, status: int) -> None:
  """Ends this process even if its threads wait in collectives."""
  print(f'error: {sentence}', file=sys.stderr, flush=True)
  os._exit(status)


def start_watch() -> Watch:
  """Returns the watch of this process, which starts when it is entered."""
  # jax 0.10 has no public access to the coordinator's key-value store.
  from jax._src import distributed

  return Watch(distributed.global_state.client, jax.process_index(), jax.process_count())
