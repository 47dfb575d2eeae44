"""Saves and ends a training run after Ctrl-C, or after SIGTERM, which precedes preemption.

Synopsis:

    stop = Stop().listen()    # nothing to save yet: a signal ends the process at once
    stop.unsaved = True       # after every step; False once a save has begun
    if stop():                # after every step and between the batches of an evaluation
      save(); raise Stopped(step)

Files on disk are complete at every moment, so a process with nothing to save ends at once, whether
it reads data, compiles or draws. A thread ends it, because Python's signal handlers wait while the
main thread compiles. The second signal always ends the process at once.

Several processes must end after the same step: JAX passes the first signal on to all of them, and
decides the call of `stop()` that returns True.
"""

from collections.abc import Callable
import ctypes
import os
import select
import signal
import sys
import threading

SIGNALS = (signal.SIGTERM, signal.SIGINT)
POLL = 0.05  # seconds between two checks whether everything is saved


def write_stderr(sentence: str) -> None:
  """Writes a line to the standard error from any thread."""
  # Not `print`, whose buffer is locked while the main thread prints.
  os.write(sys.stderr.fileno(), f'{sentence}\n'.encode())


def restore_python_handler(number: int) -> Callable[[], None]:
  """Restores Python's handler of a signal for which a library has set a handler in C.

  Returns:
    A function that calls the library's handler; it does nothing if there was none.
  """
  library = ctypes.CDLL(None)
  library.signal.restype, library.signal.argtypes = ctypes.c_void_p, (ctypes.c_int, ctypes.c_void_p)
  address = library.signal(number, None) or 0
  signal.signal(number, signal.getsignal(number))
  if address in (signal.SIG_DFL, signal.SIG_IGN):
    return lambda: None
  library_handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(address)
  return lambda: library_handler(number)


class Stop:
  """Decides whether a training run ends early: never, unless it listens to signals.

  Attributes:
    unsaved: whether there are steps that no save includes.
    finish: waits for the save in the background; raises if it has failed.
    signal: the name of the received signal, '' before there is one.
  """

  def __init__(self):
    self.unsaved = False
    self.finish: Callable[[], None] = lambda: None
    self.signal = ''
    self._several = False
    self._notify_jax: Callable[[], None] = lambda: None
    self._calls = 0
    self._returned_true = False
    self._ending = threading.Lock()

  def __call__(self) -> bool:
    """Returns whether to end now; among several processes the same at the same call."""
    self._calls += 1
    if self._several:
      from jax.experimental import multihost_utils

      return multihost_utils.reached_preemption_sync_point(self._calls)
    with self._ending:  # blocks while the thread ends this process
      self._returned_true = bool(self.signal)
    return self._returned_true

  def together(self, count: int) -> None:
    """Lets JAX decide when to end if there are several processes, which must be connected.

    JAX has set a handler for SIGTERM when they connected, which would also take the second signal.
    """
    self._several = count > 1
    if self._several:
      self._notify_jax = restore_python_handler(signal.SIGTERM)

  def leave(self) -> None:
    """Ends this process with status 0, without the seconds that libraries take to shut down.

    Does nothing among several processes, which shut down together.
    """
    if not self._several:
      sys.stdout.flush()
      sys.stderr.flush()
      os._exit(0)

  def listen(self) -> 'Stop':
    """Handles SIGTERM and SIGINT for the rest of the process; call it in the main thread."""
    self._pipe = os.pipe()
    for end in self._pipe:
      os.set_blocking(end, False)
    signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
    # The handlers do nothing, because Python writes the signal's number into the pipe at once.
    for number in SIGNALS:
      signal.signal(number, lambda *_: None)
    threading.Thread(target=self._listen, daemon=True, name='listen to signals').start()
    return self

  def _listen(self) -> None:
    while not (number := self._next_signal(None)):
      pass
    self.signal = signal.Signals(number).name
    self._notify_jax()
    write_stderr(f'{self.signal}: saving and ending; once more ends at once')
    while True:
      if number := self._next_signal(POLL):
        os._exit(128 + number)
      if not (self._several or self.unsaved):
        self._end()

  def _next_signal(self, seconds: float | None) -> int | None:
    """Returns the number of a signal, or None if none of SIGNALS arrives in that time."""
    ready, _, _ = select.select([self._pipe[0]], [], [], seconds)
    number = os.read(self._pipe[0], 1)[0] if ready else None
    return number if number in SIGNALS else None

  def _end(self) -> None:
    """Ends this process, unless `stop()` has returned True and the main thread ends it."""
    with self._ending:
      if self._returned_true:
        return
      try:
        self.finish()
      except Exception as error:
        write_stderr(f'error: {error}')
        os._exit(2)
      write_stderr(f'{self.signal}: everything is saved; the same command resumes the training')
      os._exit(0)
