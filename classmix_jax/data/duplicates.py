"""Finds images of equal content, within and across the parts of a data set.

Synopsis:

    for warning in duplicate_warnings({'labelled': labeled, 'val': val}):
      print(f'warning: {warning}')
"""

from collections.abc import Callable, Iterable, Mapping
import hashlib
import os

from classmix_jax.data.files.checks import image_files
from classmix_jax.data.source import Source
from classmix_jax.utils.file_ends import read_ends
from classmix_jax.utils.text import have, listed, plural

END_BYTES = 4096  # compared before whole files
MAX_NAMED = 2  # pairs in a sentence


def duplicate_warnings(sources: Mapping[str, Source], most: int | None = None) -> list[str]:
  """Returns a sentence for each pair of parts, and each part, with images of equal content.

  Compares sizes, then the ends of files of one size, then all of these. An image that belongs to
  two parts by its path is no duplicate.

  Args:
    sources: title of the part -> its images.
    most: largest number of files of equal size to read, or None for any; [] if there are more.

  Example: `duplicate_warnings({'labelled': labeled, 'val': val}) == []`.
  """
  files: dict[str, tuple[str, str]] = {}  # real path -> title of the first part, path
  for title, source in sources.items():
    for path in image_files(source):
      files.setdefault(os.path.realpath(path), (title, path))
  groups = _group([path for path in files if _size(path)], _size)
  if most is not None and sum(map(len, groups)) > most:
    return []
  for key in (_hash_ends, _hash):
    groups = [smaller for group in groups for smaller in _group(group, key)]
  pairs: dict[tuple[str, str], list[tuple[str, str]]] = {}
  for first, *others in groups:
    for other in others:
      parts = files[first][0], files[other][0]
      pairs.setdefault(parts, []).append((files[other][1], files[first][1]))
  root = os.path.commonpath([os.path.dirname(path) for _, path in files.values()] or ['.'])
  return [_describe(*parts, equal, root) for parts, equal in pairs.items()]


def _describe(first: str, other: str, pairs: list[tuple[str, str]], root: str) -> str:
  verb = have(pairs)
  count = f'{len(pairs)} {other} {plural("image", pairs)}'
  named = listed(
    (' = '.join(os.path.relpath(path, root) for path in pair) for pair in pairs), MAX_NAMED
  )
  named += f' in {root}'
  if first == other:
    return f'{count} {verb} the same content as another: {named}.'
  leak = ', which makes its scores too high' if 'val' in (first, other) else ''
  return f'{count} {verb} the same content as {first} images{leak}: {named}. Remove one of each.'


def _size(path: str) -> int:
  """Returns the size of a file in bytes, 0 if there is none."""
  try:
    return os.path.getsize(path)
  except OSError:
    return 0


def _group(paths: Iterable[str], key: Callable[[str], object]) -> list[list[str]]:
  """Returns the groups of two or more files with equal keys; unreadable files are passed over."""
  groups: dict[object, list[str]] = {}
  for path in paths:
    try:
      groups.setdefault(key(path), []).append(path)
    except OSError:
      continue
  return [group for group in groups.values() if len(group) > 1]


def _hash_ends(path: str) -> bytes:
  return hashlib.sha256(read_ends(path, END_BYTES)).digest()


def _hash(path: str) -> bytes:
  with open(path, 'rb') as file:
    return hashlib.file_digest(file, 'sha256').digest()
