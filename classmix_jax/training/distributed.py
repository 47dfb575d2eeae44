"""Several processes as one training: how they meet, and what happens when one is late.

Synopsis:

    connect('10.0.0.1:9876', count=2, index=0)     # before JAX looks for devices
    with start_watch() as watch:
      watch.on_step(step)                          # after every step

A process that is dead or stopped leaves the others waiting for it in a collective, for ever
where nobody looks. Here every process says every few seconds that it is there, and how far it is;
whoever finds that another one has been silent for too long says its name and ends. Only the death
of process 0, which coordinates, is noticed by JAX itself: it ends the others within a second and
speaks of the "leader task".
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

PATIENCE = 60.0  # seconds after which a silent process counts as lost
STALL = 1800.0  # seconds without a step after which the slowest process counts as stuck
INTERVAL = 2.0  # seconds between two signs of life
LOST = 3  # status with which a process ends that has lost another one
PREFIX = 'classmix_jax/alive/'
# Environment variables that say how many processes a launcher has started.
LAUNCHERS: Mapping[str, str] = {'SLURM_STEP_NUM_TASKS': 'Slurm', 'OMPI_COMM_WORLD_SIZE': 'Open MPI'}


def launcher(environment: Mapping[str, str]) -> str | None:
  """Returns who has started this process together with others, if it can be told.

  Example:
    >>> launcher({'SLURM_STEP_NUM_TASKS': '4'}), launcher({'SLURM_STEP_NUM_TASKS': '1'})
    ('Slurm', None)
  """
  found = [name for variable, name in LAUNCHERS.items() if int(environment.get(variable, '1')) > 1]
  return found[0] if found else None


def connect(coordinator: str, count: int | None, index: int | None) -> None:
  """Joins the other processes; before anything else is asked of JAX.

  Args:
    coordinator: 'HOST:PORT' of process 0, the same for all, with `count` and `index`;
      'cluster' lets JAX ask the environment (TPU pods, Kubernetes, Slurm, Open MPI); '' does
      so where Slurm or Open MPI has started several processes, and is alone elsewhere.
    count: of the processes.
    index: of this one, from 0.

  Raises:
    UserError: count and index are missing or do not fit; the others did not come.
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
    raise UserError(f'the processes do not meet: {str(error).splitlines()[0]}') from error


class Watch:
  """Signs of life of all processes, kept in the store of JAX's coordinator, process 0.

  Attributes:
    index: of this process.
    count: of all.
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
    self._stepped = now  # when this process last finished a step
    self._answered = now  # when the coordinator last answered
    self._said = dict.fromkeys(range(count), ('', now))  # what each last said, and since when

  def on_step(self, step: int) -> None:
    """Records that this process has finished a step."""
    self._step, self._stepped = step, self._clock()

  def beat(self) -> None:
    """Says that this process is there, and hears the others; waits for the coordinator."""
    self._beats += 1
    own = f'{self._beats} {self._step} {self._host}'
    self._client.key_value_set(f'{PREFIX}{self.index}', own, allow_overwrite=True)
    found = self._client.key_value_dir_get(PREFIX)
    now = self._answered = self._clock()
    for key, said in found:
      other = int(key.rpartition('/')[2])
      if said != self._said[other][0]:
        self._said[other] = said, now

  def name(self, index: int) -> str:
    said, _ = self._said[index]
    host = f' on {said.split(" ", 2)[2]}' if said else ''
    return f'process {index} of {self.count}{host}'

  def steps(self) -> dict[int, int]:
    """Returns the last step of every process that has been heard of."""
    return {index: int(said.split(' ')[1]) for index, (said, _) in self._said.items() if said}

  def lost(self, patience: float = PATIENCE, stall: float = STALL) -> str | None:
    """Returns a sentence about the process that is late, None while all is well."""
    now = self._clock()
    if self.index != 0 and now - self._answered > patience:
      return f'{self.name(0)}, which coordinates, has not answered for {now - self._answered:.0f} s'
    # Who hears nothing from the coordinator knows nothing of the others either.
    silent = {
      index: now - since
      for index, (_, since) in self._said.items()
      if index != self.index and now - since > patience and now - self._answered < patience
    }
    if silent:
      index = max(silent, key=silent.__getitem__)
      return (
        f'{self.name(index)} has not been heard of for {silent[index]:.0f} s; its last '
        f'step was {self.steps().get(index, 0)}'
      )
    if now - self._stepped > stall and (steps := self.steps()):
      index = min(steps, key=steps.__getitem__)
      return (
        f'no step was finished for {now - self._stepped:.0f} s; {self.name(index)} is '
        f'behind, at step {steps[index]}'
      )
    return None

  def __enter__(self) -> 'Watch':
    if self.count > 1:
      for work in (beat_on, end_when_lost):
        threading.Thread(target=work, args=(self,), daemon=True, name=work.__name__).start()
    return self

  def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
    """Among several processes a failed one ends at once, without JAX's farewell to the others."""
    if self.count == 1 or error is None:
      return
    if isinstance(error, UserError):
      end(str(error), status=2)
    traceback.print_exception(error)
    # Perhaps it failed because another one is gone: then `end_when_lost` says which, and ends.
    time.sleep(PATIENCE + 5 * INTERVAL)
    os._exit(1)


def beat_on(watch: Watch) -> None:
  """Gives signs of life for ever."""
  while True:
    # The coordinator may be gone: that it does not answer is what counts.
    with contextlib.suppress(Exception):
      watch.beat()
    time.sleep(INTERVAL)


def end_when_lost(watch: Watch) -> None:
  """Ends this process as soon as another one is lost."""
  while (sentence := watch.lost()) is None:
    time.sleep(INTERVAL)
  end(f'{sentence}. The same command on all hosts goes on from the last checkpoint.', status=LOST)


def end(sentence: str, status: int) -> None:
  """Ends this process although threads of it wait in collectives."""
  print(f'error: {sentence}', file=sys.stderr, flush=True)
  os._exit(status)


def start_watch() -> Watch:
  """Returns the watch of this process; enter it to begin."""
  from jax._src import distributed  # there is no public way to the coordinator's store

  return Watch(distributed.global_state.client, jax.process_index(), jax.process_count())
