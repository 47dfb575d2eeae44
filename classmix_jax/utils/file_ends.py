"""Reads the beginning and the end of a file, which tell most files apart."""

import os
from pathlib import Path


def read_ends(path: str | Path, count: int) -> bytes:
  """Reads the first and the last `count` bytes of a file, all bytes if there are no more.

  Raises:
    OSError: the file cannot be read.

  Example: of a file 'abcde' `read_ends(path, 2) == b'abde'`.
  """
  with open(path, 'rb') as file:
    head = file.read(count)
    size = file.seek(0, os.SEEK_END)
    file.seek(max(count, size - count))
    return head + file.read()
