"""Files that a crash leaves whole: the old one or the new one, never half of one.

Synopsis:

    write_atomically(run / 'config.json', text)
    write_png(run / 'predictions.png', image)
    with replacing(path) as temporary:
      np.save(temporary, array)
"""

from collections.abc import Iterator
import contextlib
import os
from pathlib import Path

from PIL import Image


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
  """Replaces a file so that a crash leaves the old one or the new one.

  Yields where to write; at the end that is on the disk and takes the name of `path`. Several
  processes may replace the same file: the last one wins.
  """
  temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
  try:
    yield temporary
    with open(temporary, 'rb+') as file:
      os.fsync(file.fileno())
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
  """Replaces a text file as `replacing` does."""
  with replacing(path) as temporary:
    temporary.write_text(text, encoding='utf-8')


def write_png(path: Path, image: Image.Image) -> None:
  """Replaces a picture as `replacing` does; a link is replaced, not followed."""
  with replacing(path) as temporary:
    image.save(temporary, 'PNG')
