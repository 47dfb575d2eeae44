"""Records the images of a run in RUN/data.json, and compares them with those of another start.

    {"root": "DIR", "labeled": {"a": [[size, time, digest], [size, time, digest]]},
     "unlabeled": {"b": [[size, time, digest], null]}, "val": {...}}

Each image has a stamp of its own file and one of its mask's: bytes, time of the last change in ns,
and a digest of the content. Images that are not files have none. Masks of unlabelled images are
not opened.

Synopsis:

    record = record_images(root, labeled, unlabeled, val, read_record(run))
    describe_changes(read_record(run), record)   # ['2 unlabelled images are new (c, d)', ...]
"""

from collections.abc import Iterator, Mapping
import contextlib
import hashlib
import os
from pathlib import Path
from typing import Any, NamedTuple
import unicodedata

from classmix_jax.data.source import Source
from classmix_jax.utils.text import listed
from classmix_jax.utils.threads import in_parallel
from classmix_jax.workdir.run_files import read_object, write_json

RECORD = 'data.json'
ROLES = {'labeled': 'labelled', 'unlabeled': 'unlabelled', 'val': 'validation'}
EDGE = 2**15  # bytes that are read at either end of a file; checksums of PNG and zip are there
NAMES_SHOWN = 3

Stamp = list[Any]  # [bytes, time in ns, digest], as in JSON
Pair = list[Any]  # [stamp of the image, stamp of its mask], None if there is no such file


class ImageRecord(NamedTuple):
  """Images of a start: name -> stamps, for each role.

  Attributes:
    root: directory of the data set, '' if it has none.
    labeled, unlabeled, val: the images by name.
  """

  root: str
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
  types = {'root': str} | dict.fromkeys(ROLES, dict)
  return ImageRecord(**read_object(path, types)) if path.exists() else None


def write_record(run: Path, record: ImageRecord) -> None:
  """Writes data.json."""
  write_json(run / RECORD, record._asdict(), indent=None)


# ------------------------------------------------------------------------ stamps


def digest_file(path: Path, size: int) -> str:
  """Returns a digest of a file's size, beginning and end."""
  with open(path, 'rb') as file:
    edges = file.read(EDGE)
    if size > 2 * EDGE:
      file.seek(-EDGE, os.SEEK_END)
    edges += file.read(EDGE)
  return hashlib.blake2b(b'%d ' % size + edges, digest_size=8).hexdigest()


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


def record_images(
  root: str, labeled: Source, unlabeled: Source, val: Source, known: ImageRecord | None
) -> ImageRecord:
  """Returns the images of a start.

  Args:
    root: directory of the data set.
    labeled, unlabeled, val: its images; one that is labelled and unlabelled counts as labelled.
    known: images of the last start; files that have not been written since are not read again.
  """
  known = known or ImageRecord('', {}, {}, {})
  pairs, labeled_names = stamp_images(unlabeled, False, known.unlabeled), set(labeled.names)
  return ImageRecord(
    os.path.abspath(os.path.expanduser(root)) if root else '',
    stamp_images(labeled, True, known.labeled),
    {name: pair for name, pair in pairs.items() if name not in labeled_names},
    stamp_images(val, True, known.val),
  )


# ------------------------------------------------------------------- comparison


class Images(NamedTuple):
  """Images of a record, to look them up.

  Attributes:
    roles: role -> name in composed characters -> stamps: a move between machines may decompose
      accents.
    by_name: name -> roles.
    by_content: digest of the image -> roles.
  """

  roles: Mapping[str, Mapping[str, Pair]]
  by_name: Mapping[str, set[str]]
  by_content: Mapping[str, set[str]]


def digest_of(pair: Pair, index: int = 0) -> str:
  """Returns the digest of an image, or of its mask for index 1; '' if it is not known."""
  return pair[index][2] if pair[index] else ''


def index_images(record: ImageRecord) -> Images:
  """Returns the images of a record by role, by name and by content."""
  roles = {
    role: {unicodedata.normalize('NFC', name): pair for name, pair in getattr(record, role).items()}
    for role in ROLES
  }
  by_name: dict[str, set[str]] = {}
  by_content: dict[str, set[str]] = {}
  for role, pairs in roles.items():
    for name, pair in pairs.items():
      by_name.setdefault(name, set()).add(role)
      by_content.setdefault(digest_of(pair), set()).add(role)
  by_content.pop('', None)
  return Images(roles, by_name, by_content)


def find_roles(name: str, pair: Pair, images: Images) -> set[str]:
  """Returns the roles of an image in another record: by its content, or else by its name."""
  digest = digest_of(pair)
  if digest in images.by_content:
    return images.by_content[digest]
  return {
    role
    for role in images.by_name.get(name, ())
    if not (digest and digest_of(images.roles[role][name]))  # else another image of this name
  }


def find_moved(before: ImageRecord, after: ImageRecord) -> Iterator[tuple[str, str, str]]:
  """Yields (name, role before, role now) of images that have left their role for another."""
  old, new = index_images(before), index_images(after)
  for role, pairs in new.roles.items():
    for name, pair in pairs.items():
      roles = find_roles(name, pair, old)
      if roles and not roles & (find_roles(name, pair, new) | {role}):
        yield name, min(roles), role


def count_present(before: ImageRecord, after: ImageRecord) -> int:
  """Returns how many of the images labelled before are there.

  In the same directory an image is known by its name; in another one by its content, if there are
  files to compare, since names such as 0001 occur in many data sets.
  """
  old, new = index_images(before), index_images(after)
  same_root = before.root == after.root
  return sum(
    bool(find_roles(name, pair, new)) or (same_root and name in new.by_name)
    for name, pair in old.roles['labeled'].items()
  )


def differ(before: str, after: str) -> bool:
  """Returns whether two digests are known and differ."""
  return bool(before and after) and before != after


def describe_changes(before: ImageRecord, after: ImageRecord) -> list[str]:
  """Returns what changed, for example '2 unlabelled images are new (c, d)'."""
  old, new = index_images(before), index_images(after)
  texts: list[str] = []
  for role, adjective in ROLES.items():
    was, now = old.roles[role], new.roles[role]
    shared = [name for name in now if name in was]
    images, masks = (
      [name for name in shared if differ(digest_of(was[name], i), digest_of(now[name], i))]
      for i in (0, 1)
    )
    for names, noun, verb in (
      ([name for name in now if name not in was], 'image', 'new'),
      ([name for name in was if name not in now], 'image', 'gone'),
      (images, 'image', 'changed'),
      (masks, 'mask', 'changed'),
    ):
      if names:
        texts.append(describe_names(names, f'{adjective} {noun}', verb))
  return texts


def describe_names(names: list[str], noun: str, verb: str) -> str:
  """Returns for example '2 labelled masks changed (a, b)'.

  Example:
    >>> describe_names(['a'], 'labelled image', 'new')
    '1 labelled image is new (a)'
  """
  be = '' if verb == 'changed' else 'is ' if len(names) == 1 else 'are '
  plural = '' if len(names) == 1 else 's'
  return f'{len(names)} {noun}{plural} {be}{verb} ({listed(names, NAMES_SHOWN)})'
