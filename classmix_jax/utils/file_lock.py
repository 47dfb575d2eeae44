"""Locks that exclude other processes, on files.

Synopsis:

    with file_lock(directory / 'lock'):
      ...
"""

from collections.abc import Iterator
import contextlib
import fcntl
import os
from pathlib import Path
import socket


class LockedError(Exception):
  """Another process holds the lock.

  Attributes:
    holder: the process that holds it, e.g. 'process 17 on host', or ''.
  """

  def __init__(self, holder: str):
    super().__init__(f'locked by {holder or "another process"}')
    self.holder = holder


@contextlib.contextmanager
def file_lock(path: Path, wait: bool = True) -> Iterator[None]:
  """Holds an exclusive lock on a file, which it creates and into which it writes the holder.

  The kernel releases the lock when the process ends, even if it is killed; the file stays.

  Args:
    path: the file; its directory must exist.
    wait: whether to wait for another process, or to raise LockedError.

  Raises:
    LockedError: another process holds the lock, and `wait` is False.
    OSError: the file cannot be written.
  """
  with open(path, 'a+', encoding='utf-8') as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
      file.seek(0)
      raise LockedError(file.read().strip()) from None
    file.truncate(0)
    print(f'process {os.getpid()} on {socket.gethostname()}', file=file, flush=True)
    yield
