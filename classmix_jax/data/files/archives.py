"""Refuses archives that would fill the disk or the memory."""

from pathlib import Path
import zipfile

from classmix_jax.errors import UserError


def check_growth(path: Path, archive: zipfile.ZipFile, limit: float) -> None:
  """Raises UserError if an archive would unpack to more than `limit` times its size.

  Example: `check_growth(path, zipfile.ZipFile(path), limit=20)`.
  """
  size = path.stat().st_size
  unpacked = sum(member.file_size for member in archive.infolist())
  if unpacked > limit * max(size, 10_000):
    raise UserError(
      f'{path} has {size:,} bytes and would unpack to {unpacked:,}, which no such file does: it '
      'is refused. Get it again from where it was published.'
    )
