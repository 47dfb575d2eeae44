"""Archives that would fill a disk or the memory are refused before a byte is unpacked."""

from pathlib import Path
import zipfile

from classmix_jax.errors import UserError


def check_growth(path: Path, archive: zipfile.ZipFile, most: float) -> None:
  """Raises UserError where the members of an archive are together more than `most` times its size.

  Example: `check_growth(path, zipfile.ZipFile(path), most=20)`.
  """
  size = path.stat().st_size
  unpacked = sum(member.file_size for member in archive.infolist())
  if unpacked > most * max(size, 10_000):
    raise UserError(
      f'{path} has {size:,} bytes and would unpack to {unpacked:,}, which no such file does: it '
      'is refused. Get it again from where it was published.'
    )
