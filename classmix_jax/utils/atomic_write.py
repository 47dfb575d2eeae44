"""Atomic writes: after a crash a file has its old or its new content, never a part.

Synopsis:

    write_atomically(run / 'config.json', text)
    write_png(run / 'predictions.png', image)
    with replacing(path) as temporary:
      np.save(temporary, array)
"""

from collections.abc import Iterator
import contextlib
import hashlib
import os
from pathlib import Path

from PIL import Image

MAX_NAME_BYTES = 200  # of 255 in most file systems


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
  """Yields a temporary path to write to; replaces `path` by it at the end of the block.

  The content is on the disk before it gets its name. If several processes replace the same file,
  the last one wins.
  """
  temporary = path.with_name(name_temporary(path.name))
  try:
    yield temporary
    with open(temporary, 'rb+') as file:
      os.fsync(file.fileno())
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)


def name_temporary(name: str) -> str:
  """Returns the name of a temporary file, which is not longer than file systems allow.

  Example: `name_temporary('a.png')` is `.a.png.123.tmp` in process 123.
  """
  data = name.encode()
  if len(data) > MAX_NAME_BYTES:  # the start does not tell all files apart, a checksum does
    start = data[: MAX_NAME_BYTES - 16].decode(errors='ignore')
    name = f'{start}{hashlib.sha256(data).hexdigest()[:16]}'
  return f'.{name}.{os.getpid()}.tmp'


def write_atomically(path: Path, text: str) -> None:
  """Writes a text file atomically."""
  with replacing(path) as temporary:
    temporary.write_text(text, encoding='utf-8')


def write_png(path: Path, image: Image.Image) -> None:
  """Writes a PNG atomically; replaces a link instead of following it."""
  with replacing(path) as temporary:
    image.save(temporary, 'PNG')
