"""Records checksums of the masks that this program wrote: OUTPUT/masks.sha256.

Synopsis:

    record = read_record(Path('OUT/masks.sha256'))
    record.add('city/a', data)             # before masks/city/a.png is written
    record.holds('city/a', data)           # True: the file was not edited since
    record.compact()

The file has the format of the program sha256sum. A line is appended before the mask is written, so
that a killed conversion leaves no mask without a line. A line of a mask that was not written in the
end does no harm: no file has its checksum.
"""

import hashlib
from pathlib import Path

from classmix_jax.utils.atomic_write import write_atomically

PREFIX, SUFFIX = 'masks/', '.png'
HEX_DIGITS = 64


class MaskRecord:
  """Checksums of written masks; see `read_record`."""

  def __init__(self, path: Path, checksums: dict[str, list[str]], text: str) -> None:
    self._path = path
    self._checksums = checksums  # name -> checksums, the latest last
    self._is_compact = text == self._format()
    # After a kill the last line may be incomplete.
    self._separator = '\n' if text and not text.endswith('\n') else ''

  def holds(self, name: str, data: bytes) -> bool:
    """Returns whether a mask file with this content was written by this program."""
    return hash_bytes(data) in self._checksums.get(name, ())

  def add(self, name: str, data: bytes) -> None:
    """Appends the checksum of a mask; raises OSError if the file cannot be written."""
    checksum = hash_bytes(data)
    self._checksums.setdefault(name, []).append(checksum)
    self._path.parent.mkdir(parents=True, exist_ok=True)
    with open(self._path, 'a', encoding='utf-8') as file:
      file.write(self._separator + format_line(name, checksum))
    self._separator, self._is_compact = '', False

  def compact(self) -> None:
    """Keeps the latest line of each mask; raises OSError if the file cannot be written."""
    if not self._is_compact:
      write_atomically(self._path, self._format())
      self._is_compact = True

  def _format(self) -> str:
    names = sorted(self._checksums.items())
    return ''.join(format_line(name, checksums[-1]) for name, checksums in names)


def read_record(path: Path) -> MaskRecord:
  """Reads a record; incomplete lines are skipped, and a missing file is an empty record.

  Example: `read_record(Path('OUT/masks.sha256')).holds('a', Path('OUT/masks/a.png').read_bytes())`.
  """
  checksums: dict[str, list[str]] = {}
  try:
    text = path.read_text(encoding='utf-8', errors='replace')
  except OSError:
    text = ''
  for line in text.split('\n'):
    checksum, name = line[:HEX_DIGITS], line[HEX_DIGITS + 2 :]
    if name.startswith(PREFIX) and name.endswith(SUFFIX):
      checksums.setdefault(name[len(PREFIX) : -len(SUFFIX)], []).append(checksum)
  return MaskRecord(path, checksums, text)


def format_line(name: str, checksum: str) -> str:
  """Returns the line of a mask, as sha256sum writes it."""
  return f'{checksum}  {PREFIX}{name}{SUFFIX}\n'


def hash_bytes(data: bytes) -> str:
  """Returns the SHA-256 of data in hexadecimal digits."""
  return hashlib.sha256(data).hexdigest()
