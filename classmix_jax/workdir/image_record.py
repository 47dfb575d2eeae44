"""Records the images of a run in RUN/data.json.

    {"root": "DIR", "values": digest,
     "labeled": {"a": [[size, time, digest], [size, time, digest]], ...},
     "unlabeled": {"b": [[size, time, digest], null], ...}, "val": {...}}

Each image has a stamp of its own file and one of its mask's: bytes, time of the last change in ns,
and a digest of the content. Images that are not files have none. Masks of unlabelled images are
not opened.

Synopsis:

    record = record_images(root, labeled, unlabeled, val, read_record(run))
    write_record(run, record)
"""

from collections.abc import Mapping
import contextlib
import hashlib
import os
from pathlib import Path
from typing import Any, NamedTuple

from classmix_jax.data.files.image_io import read_header
from classmix_jax.data.source import Source
from classmix_jax.errors import UserError
from classmix_jax.utils.file_ends import read_ends
from classmix_jax.utils.threads import in_parallel
from classmix_jax.workdir.run_files import read_object, write_json

RECORD = 'data.json'
ROLES = {'labeled': 'labelled', 'unlabeled': 'unlabelled', 'val': 'validation'}
EDGE = 2**15  # bytes that are read at either end of a file; checksums of PNG and zip are there

Stamp = list[Any]  # [bytes, time in ns, digest], as in JSON
Pair = list[Any]  # [stamp of the image, stamp of its mask], None if there is no such file


class ImageRecord(NamedTuple):
  """Images of a start: name -> stamps, for each role.

  Attributes:
    root: directory of the data set, '' if it has none.
    values: digest of the classes of masks' values, '' if it is not known.
    labeled, unlabeled, val: the images by name.
  """

  root: str
  values: str
  labeled: Mapping[str, Pair]
  unlabeled: Mapping[str, Pair]
  val: Mapping[str, Pair]


# ------------------------------------------------------------------------- files


def read_record(run: Path) -> ImageRecord | None:
  """Returns the images of the last start of a run, None before the first.

  Raises:
    UserError: data.json is damaged.
  """
  path = run / RECORD
  types = {'root': str, 'values': str} | dict.fromkeys(ROLES, dict)
  return ImageRecord(**read_object(path, types)) if path.exists() else None


def write_record(run: Path, record: ImageRecord) -> None:
  """Writes data.json."""
  write_json(run / RECORD, record._asdict(), indent=None)


# ------------------------------------------------------------------------ stamps


def digest_file(path: Path, size: int) -> str:
  """Returns a digest of a file's size, beginning and end."""
  return hashlib.blake2b(b'%d ' % size + read_ends(path, EDGE), digest_size=8).hexdigest()


def stamp_file(file: Any, known: Stamp | None) -> Stamp | None:
  """Returns the stamp of a file, None if it is no file; a known one of the same time is kept."""
  if not isinstance(file, str | Path):
    return None
  with contextlib.suppress(OSError):  # reading the data reports it, or leaves the example out
    status = os.stat(file)
    if known and known[:2] == [status.st_size, status.st_mtime_ns]:
      return known
    return [
      status.st_size,
      status.st_mtime_ns,
      digest_file(Path(file), status.st_size),
    ]
  return None


def stamp_images(source: Source, masks: bool, known: Mapping[str, Pair]) -> dict[str, Pair]:
  """Returns the stamps of a source by name; those of masks only if `masks` is True."""
  files = source.files
  readers = (files and files.image, files and masks and files.mask)

  def stamp(index: int) -> Pair:
    before = known.get(source.names[index], [None, None])
    return [
      stamp_file(read and read(index), old)
      for read, old in zip(readers, before, strict=True)
    ]  # fmt: skip

  return dict(zip(source.names, in_parallel(stamp, range(len(source))), strict=True))


def digest_values(source: Source) -> str:
  """Returns a digest of which values of masks are which classes, '' if it is not known.

  Colours count if the first mask has colours; else they are those of figures.
  """
  files = source.files
  if files is None or files.mask is None or files.decoding is None or not len(source):
    return ''
  digest = hashlib.blake2b(files.decoding.table.tobytes(), digest_size=8)
  with contextlib.suppress(UserError):  # reading the data reports it
    if read_header(files.mask(0)).mode.startswith('RGB'):
      digest.update(repr(sorted(files.decoding.colors.items())).encode())
  return digest.hexdigest()


def record_images(
  root: str, labeled: Source, unlabeled: Source, val: Source, known: ImageRecord | None
) -> ImageRecord:
  """Returns the images of a start.

  Args:
    root: directory of the data set.
    labeled, unlabeled, val: its images; one that is labelled and unlabelled counts as labelled.
    known: images of the last start; files that have not been written since are not read again.
  """
  known = known or ImageRecord('', '', {}, {}, {})
  pairs, labeled_names = stamp_images(unlabeled, False, known.unlabeled), set(labeled.names)
  return ImageRecord(
    os.path.abspath(os.path.expanduser(root)) if root else '',
    digest_values(labeled),
    stamp_images(labeled, True, known.labeled),
    {name: pair for name, pair in pairs.items() if name not in labeled_names},
    stamp_images(val, True, known.val),
  )


def digest_of(pair: Pair, index: int = 0) -> str:
  """Returns the digest of an image, or of its mask for index 1; '' if it is not known."""
  return pair[index][2] if pair[index] else ''


def differ(before: str, after: str) -> bool:
  """Returns whether two digests are known and differ."""
  return bool(before and after) and before != after


def same_images(pairs: Mapping[str, Pair], source: Source) -> bool:
  """Returns whether a source has the recorded images, wherever its files are."""
  now = stamp_images(source, True, pairs)
  return pairs.keys() == now.keys() and not any(
    differ(digest_of(pairs[name]), digest_of(now[name])) for name in now
  )
