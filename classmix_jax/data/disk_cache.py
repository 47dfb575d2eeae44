"""Decoded pictures on the disk: made once, resumable, then read through a memory map.

Synopsis:

    copied = copy_images(dataset.train, folder=Path('cache/camvid'))
    copied.read_image(0)        # no PNG is opened any more

A copy is a folder of its own:

    arrays.bin     uint8 arrays, one after the other, in the order of the rows
    rows.jsonl     one line per array: its index and shape; grows while the copy is made
    index.jsonl    the same, renamed when all are there: only then is the copy trusted

Its name is a digest of the names and of the source's version, so another working
resolution, an edited file or a changed class table makes another copy.
"""

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import fcntl
import hashlib
import itertools
import json
import os
from pathlib import Path
import shutil

import numpy as np

from classmix_jax.data.files.findings import raise_findings
from classmix_jax.data.source import Source
from classmix_jax.errors import UserError
from classmix_jax.utils.atomic_write import write_atomically
from classmix_jax.utils.progress import progress
from classmix_jax.utils.threads import in_parallel

CHUNK = 64  # arrays between two writes that survive a crash

Read = Callable[[int], np.ndarray]


def copy_images(source: Source, folder: Path) -> Source:
  """Returns the source with images read from a copy below `folder`; labels stay as they are.

  Raises:
    UserError: images that do not decode (all of them are looked at, the others are
      kept), no space, or a folder that cannot be written.

  Example: `copy_images(dataset.train, Path('cache'))`; the second call opens what the
    first one wrote.
  """
  return dataclasses.replace(source, read_image=_copied(source, 'images', folder))


def copy_labels(source: Source, folder: Path) -> Source:
  """Returns the source with labels read from a copy below `folder`; reads all its labels.

  Take the labelled subset first: labels of unlabelled examples must not be opened.
  """
  return dataclasses.replace(source, read_label=_copied(source, 'labels', folder))


def _copied(source: Source, kind: str, folder: Path) -> Read:
  read = {'images': source.read_image, 'labels': source.read_label}[kind]
  if source.version is None or not len(source):
    return read  # nobody knows when such a source changes
  identity = '\n'.join([kind, source.version(), *source.names])
  digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
  place = folder / f'{kind}-{len(source)}-{digest}'
  with _writable(place), _alone(place):
    if not (place / 'index.jsonl').exists():
      _prepare(place, read, source.names, kind)
  return _open(place)


# ------------------------------------------------------------------------ reading


def _open(place: Path) -> Read:
  """Returns index -> read-only array, from a finished copy."""
  rows = _read_rows(place / 'index.jsonl')
  sizes = [int(np.prod(shape)) for _, shape in rows]
  starts = np.concatenate([[0], np.cumsum(sizes)]).tolist()
  where = {
    index: (start, size, shape)
    for (index, shape), start, size in zip(rows, starts, sizes, strict=False)
  }
  path = place / 'arrays.bin'
  if not path.exists() or path.stat().st_size != starts[-1]:
    raise UserError(f'{place} is damaged (arrays.bin has not {starts[-1]} bytes): remove it.')
  memory = np.memmap(path, np.uint8, 'r')

  def read(i: int) -> np.ndarray:
    start, size, shape = where[int(i)]
    return memory[start : start + size].reshape(shape)

  return read


def _read_rows(path: Path) -> list[tuple[int, tuple[int, ...]]]:
  """Returns (index, shape) of every whole line; a line torn by a crash ends the list."""
  rows = []
  for line in path.read_text(encoding='utf-8').splitlines() if path.exists() else ():
    try:
      index, shape = json.loads(line)
    except ValueError:
      break
    rows.append((int(index), tuple(shape)))
  return rows


# ---------------------------------------------------------------------- preparing


def _prepare(place: Path, read: Read, names: tuple[str, ...], kind: str) -> None:
  """Appends what is missing, chunk by chunk; ends with all arrays there, or UserError."""
  rows = _resume(place)
  done = {index for index, _ in rows}
  missing = [index for index in range(len(names)) if index not in done]
  findings: list[tuple[str, str]] = []
  done_now = 0
  say = progress(f'preparing {len(names)} {kind} in {place}', len(missing))
  with (
    open(place / 'arrays.bin', 'ab') as arrays,
    open(place / 'rows.jsonl', 'a', encoding='utf-8') as lines,
  ):
    for chunk in _chunks(missing):
      decoded = in_parallel(lambda i: _attempt(read, names, i), chunk)
      kept = []
      for index, result in zip(chunk, decoded, strict=True):
        if isinstance(result, UserError):
          findings.append((names[index], str(result)))
        else:
          kept.append((index, result))
      _check_space(place, kept, len(missing) - done_now)
      # Arrays first: a row promises that its bytes are there.
      for _, array in kept:
        arrays.write(np.ascontiguousarray(array, np.uint8))
      _sync(arrays)
      lines.writelines(json.dumps([index, array.shape]) + '\n' for index, array in kept)
      _sync(lines)
      done_now += len(chunk)
      say(done_now)
  raise_findings(findings, len(names), kind)
  os.replace(place / 'rows.jsonl', place / 'index.jsonl')


def _resume(place: Path) -> list[tuple[int, tuple[int, ...]]]:
  """Returns the rows whose arrays are whole; cuts both files back to them."""
  rows = _read_rows(place / 'rows.jsonl')
  path = place / 'arrays.bin'
  held = path.stat().st_size if path.exists() else 0
  ends = np.cumsum([int(np.prod(shape)) for _, shape in rows], dtype=np.int64)
  rows = rows[: int(np.searchsorted(ends, held, side='right'))]
  with open(path, 'ab') as file:
    file.truncate(int(ends[len(rows) - 1]) if rows else 0)
  write_atomically(
    place / 'rows.jsonl', ''.join(json.dumps([index, shape]) + '\n' for index, shape in rows)
  )
  return rows


def _attempt(read: Read, names: tuple[str, ...], index: int) -> np.ndarray | UserError:
  try:
    array = read(index)
  except UserError as error:
    return error
  if array.dtype != np.uint8:
    raise ValueError(f'{names[index]}: expected uint8, got {array.dtype}')
  return array


def _chunks(indices: list[int]) -> Iterator[list[int]]:
  indices = iter(indices)
  while chunk := list(itertools.islice(indices, CHUNK)):
    yield chunk


def _check_space(place: Path, kept: list[tuple[int, np.ndarray]], missing: int) -> None:
  """Raises UserError where the disk cannot hold `missing` arrays of this size."""
  need = missing * np.mean([array.nbytes for _, array in kept]) if kept else 0
  free = shutil.disk_usage(place).free
  if free < need:
    raise UserError(
      f'{place} has {free / 1e9:.1f} GB free and needs about {need / 1e9:.1f} GB: free some, '
      'set --config.data.copy_root=DIR, or --config.data.working_copy=memory.'
    )


def _sync(file) -> None:
  file.flush()
  os.fsync(file.fileno())


@contextlib.contextmanager
def _writable(place: Path) -> Iterator[None]:
  """Creates the folder; what the system refuses there becomes a UserError."""
  try:
    place.mkdir(parents=True, exist_ok=True)
    yield
  except OSError as error:
    raise UserError(
      f'{place} cannot be written ({error.strerror}): set --config.data.copy_root=DIR, or '
      '--config.data.working_copy=memory.'
    ) from error


@contextlib.contextmanager
def _alone(place: Path) -> Iterator[None]:
  """Lets one process at a time prepare a copy; the others wait and then open it."""
  with open(place / 'lock', 'w') as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    yield
