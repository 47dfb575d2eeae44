"""A training that is asked to end: by Ctrl-C, or by SIGTERM before its machine is taken away.

Synopsis:

    stop = Stop().listen()    # nothing is to be saved yet: a signal ends the process at once
    stop.unsaved = True       # after every step; False where a save has begun
    if stop():                # after every step and between the batches of an evaluation
      save(); raise Stopped(step)

What is on the disk is whole at every moment, so whoever has nothing to save just ends, whatever it
is doing: reading data, compiling, drawing pictures. A thread does that, because Python's signal
handlers wait while the main thread compiles. The second signal always ends the process at once.

Several processes must end after the same step. There JAX is told of the first signal, tells the
others, and says to all of them after which call of `stop()` they end.
"""

from collections.abc import Callable
import ctypes
import os
import select
import signal
import sys
import threading

SIGNALS = (signal.SIGTERM, signal.SIGINT)
LOOK = 0.05  # seconds between two looks at whether there is something to save


def say(sentence: str) -> None:
  # Not `print`: the main thread may be just printing, and its buffer is locked.
  os.write(sys.stderr.fileno(), f'{sentence}\n'.encode())


def take_back(number: int) -> Callable[[], None]:
  """Lets Python hear a signal again for which a library has set a handler in C.

  Returns:
    What tells the library that the signal has come; nothing where there is no such handler.
  """
  library = ctypes.CDLL(None)
  library.signal.restype, library.signal.argtypes = ctypes.c_void_p, (ctypes.c_int, ctypes.c_void_p)
  address = library.signal(number, None) or 0
  signal.signal(number, signal.getsignal(number))
  if address in (signal.SIG_DFL, signal.SIG_IGN):
    return lambda: None
  theirs = ctypes.CFUNCTYPE(None, ctypes.c_int)(address)
  return lambda: theirs(number)


class Stop:
  """Whether a training shall end: never, unless it listens to signals.

  Attributes:
    unsaved: whether there are steps that no save has taken over.
    finish: waits for the save in the background; raises if it has failed.
    signal: the name of the signal, '' before there was one.
  """

  def __init__(self):
    self.unsaved = False
    self.finish: Callable[[], None] = lambda: None
    self.signal = ''
    self._several = False
    self._tell_jax: Callable[[], None] = lambda: None
    self._calls = 0
    self._told = False
    self._ending = threading.Lock()

  def __call__(self) -> bool:
    """Returns whether to end now; among several processes the same at the same call."""
    self._calls += 1
    if self._several:
      from jax.experimental import multihost_utils

      return multihost_utils.reached_preemption_sync_point(self._calls)
    with self._ending:  # held by the thread that ends this process: nobody goes on then
      self._told = bool(self.signal)
    return self._told

  def together(self, count: int) -> None:
    """Asks JAX when to end if there are several processes; they must have met.

    When they met, JAX took over SIGTERM. It would hear a second one as it heard the first.
    """
    self._several = count > 1
    if self._several:
      self._tell_jax = take_back(signal.SIGTERM)

  def leave(self) -> None:
    """Ends this process with status 0, without the seconds in which libraries are taken down.

    Several processes return from this, and say goodbye to each other.
    """
    if not self._several:
      sys.stdout.flush()
      sys.stderr.flush()
      os._exit(0)

  def listen(self) -> 'Stop':
    """Takes over SIGTERM and SIGINT, in the main thread, for the rest of the process."""
    self._pipe = os.pipe()
    for end in self._pipe:
      os.set_blocking(end, False)
    signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
    # The handlers do nothing: Python writes the signal's number into the pipe at once.
    for number in SIGNALS:
      signal.signal(number, lambda *_: None)
    threading.Thread(target=self._listen, daemon=True, name='listen to signals').start()
    return self

  def _listen(self) -> None:
    while not (number := self._next_signal(None)):
      pass
    self.signal = signal.Signals(number).name
    self._tell_jax()
    say(f'{self.signal}: saving and ending; once more ends at once')
    while True:
      if number := self._next_signal(LOOK):
        os._exit(128 + number)
      if not (self._several or self.unsaved):
        self._end()

  def _next_signal(self, seconds: float | None) -> int | None:
    """Returns the number of a signal, None if there was none of SIGNALS in that time."""
    ready, _, _ = select.select([self._pipe[0]], [], [], seconds)
    number = os.read(self._pipe[0], 1)[0] if ready else None
    return number if number in SIGNALS else None

  def _end(self) -> None:
    """Ends this process, unless the main thread has been told and does it itself."""
    with self._ending:
      if self._told:
        return
      try:
        self.finish()
      except Exception as error:
        say(f'error: {error}')
        os._exit(2)
      say(f'{self.signal}: everything is saved; the same command goes on')
      os._exit(0)
