"""Copies of decoded images and labels on the disk, read through a memory map.

Synopsis:

    train = copy_images(dataset.train, directory=Path('cache/camvid'))
    train.read_image(0)        # opens no PNG

A copy is a directory:

    arrays.bin     uint8 arrays, one after the other, in the order of the rows
    rows.jsonl     one line per array: its index and shape; grows while the copy is made
    index.jsonl    the same, renamed when the copy is complete: only then is it used

The name of the directory is a digest of the examples' names and of the source's version: another
working resolution, an edited file or a changed class table leads to another copy. An interrupted
copy is continued.
"""

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
from pathlib import Path
import shutil

import numpy as np

from classmix_jax.data.files.findings import Finding, raise_findings
from classmix_jax.data.source import Source, cached
from classmix_jax.errors import UserError
from classmix_jax.utils.atomic_write import write_atomically
from classmix_jax.utils.file_lock import file_lock
from classmix_jax.utils.progress import progress
from classmix_jax.utils.threads import in_parallel

CHUNK = 64  # arrays that a crash loses at most
MEMORY_GB = 4.0  # of features that cannot be copied

ReadArray = Callable[[int], np.ndarray]


def copy_images(source: Source, directory: Path) -> Source:
  """Returns the source with images from a copy below `directory`; makes a missing copy first.

  Raises:
    UserError: images are unreadable (after all others were copied), the disk is full, or the
      directory cannot be written.

  Example: `copy_images(dataset.train, Path('cache'))`; a second call opens the copy of the first.
  """
  return dataclasses.replace(source, read_image=_open_or_make(source, 'images', directory))


def copy_labels(source: Source, directory: Path) -> Source:
  """Returns the source with labels from a copy below `directory`; reads all its labels.

  Pass the labelled subset: labels of unlabelled examples must not be opened.
  """
  return dataclasses.replace(source, read_label=_open_or_make(source, 'labels', directory))


def copy_features(source: Source, directory: Path) -> ReadArray:
  """Returns `read_image` of a source of features, from a copy below `directory`.

  Features of a source without a version are kept in memory.
  """
  if source.version is None:
    return cached(source, MEMORY_GB).read_image
  return _open_or_make(source, 'features', directory)


def _open_or_make(source: Source, kind: str, root: Path) -> ReadArray:
  read = source.load_label if kind == 'labels' else source.read_image
  if source.version is None or not len(source):
    return read  # a change of the source would go unnoticed
  identity = '\n'.join([kind, source.version(), *source.names])
  digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
  directory = root / f'{kind}-{len(source)}-{digest}'
  with _creating(directory), file_lock(directory / 'lock'):  # other processes wait for the copy
    if not (directory / 'index.jsonl').exists():
      _make_copy(directory, read, source.names, kind)
  return _open_copy(directory)


# ------------------------------------------------------------------------ reading


def _open_copy(directory: Path) -> ReadArray:
  """Returns index -> read-only array, from a complete copy."""
  rows = _read_rows(directory / 'index.jsonl')
  sizes = [int(np.prod(shape)) for _, shape in rows]
  starts = np.concatenate([[0], np.cumsum(sizes)]).tolist()
  spans = {
    index: (start, size, shape)
    for (index, shape), start, size in zip(rows, starts, sizes, strict=False)
  }
  path = directory / 'arrays.bin'
  if not path.exists() or path.stat().st_size != starts[-1]:
    raise UserError(f'{directory} is damaged (arrays.bin has not {starts[-1]} bytes): remove it.')
  memory = np.memmap(path, np.uint8, 'r')

  def read(i: int) -> np.ndarray:
    start, size, shape = spans[int(i)]
    return memory[start : start + size].reshape(shape)

  return read


def _read_rows(path: Path) -> list[tuple[int, tuple[int, ...]]]:
  """Returns (index, shape) of every line up to one that a crash has truncated."""
  rows = []
  for line in path.read_text(encoding='utf-8').splitlines() if path.exists() else ():
    try:
      index, shape = json.loads(line)
    except ValueError:
      break
    rows.append((int(index), tuple(shape)))
  return rows


# ------------------------------------------------------------------------- copying


def _make_copy(directory: Path, read: ReadArray, names: tuple[str, ...], kind: str) -> None:
  """Appends the missing arrays, chunk by chunk; raises UserError if some are unreadable."""
  rows = _resume(directory)
  done = {index for index, _ in rows}
  missing = [index for index in range(len(names)) if index not in done]
  findings: list[Finding] = []
  num_done = 0
  report = progress(f'preparing {len(names)} {kind} in {directory}', len(missing))
  with (
    open(directory / 'arrays.bin', 'ab') as array_file,
    open(directory / 'rows.jsonl', 'a', encoding='utf-8') as row_file,
  ):
    for chunk in _chunks(missing):
      results = in_parallel(lambda i: _try_read(read, names, i), chunk)
      arrays = []
      for index, result in zip(chunk, results, strict=True):
        if isinstance(result, UserError):
          findings.append(Finding.of(names[index], result))
        else:
          arrays.append((index, result))
      _check_space(directory, arrays, len(missing) - num_done)
      # Arrays first: after a crash every row must have its bytes.
      for _, array in arrays:
        array_file.write(np.ascontiguousarray(array, np.uint8).data)
      _sync(array_file)
      row_file.writelines(json.dumps([index, array.shape]) + '\n' for index, array in arrays)
      _sync(row_file)
      num_done += len(chunk)
      report(num_done)
  raise_findings(findings, len(names), kind)
  os.replace(directory / 'rows.jsonl', directory / 'index.jsonl')


def _resume(directory: Path) -> list[tuple[int, tuple[int, ...]]]:
  """Returns the rows whose arrays are complete; truncates both files to them."""
  rows = _read_rows(directory / 'rows.jsonl')
  path = directory / 'arrays.bin'
  num_bytes = path.stat().st_size if path.exists() else 0
  ends = np.cumsum([int(np.prod(shape)) for _, shape in rows], dtype=np.int64)
  rows = rows[: int(np.searchsorted(ends, num_bytes, side='right'))]
  with open(path, 'ab') as file:
    file.truncate(int(ends[len(rows) - 1]) if rows else 0)
  write_atomically(
    directory / 'rows.jsonl', ''.join(json.dumps([index, shape]) + '\n' for index, shape in rows)
  )
  return rows


def _try_read(read: ReadArray, names: tuple[str, ...], index: int) -> np.ndarray | UserError:
  try:
    array = read(index)
  except UserError as error:
    return error
  if array.dtype != np.uint8:
    raise ValueError(f'{names[index]}: expected uint8, got {array.dtype}')
  return array


def _chunks(indices: list[int]) -> Iterator[list[int]]:
  iterator = iter(indices)
  while chunk := list(itertools.islice(iterator, CHUNK)):
    yield chunk


def _check_space(directory: Path, arrays: list[tuple[int, np.ndarray]], missing: int) -> None:
  """Raises UserError if the disk cannot hold `missing` arrays as large as these."""
  need = missing * np.mean([array.nbytes for _, array in arrays]) if arrays else 0
  free = shutil.disk_usage(directory).free
  if free < need:
    raise UserError(
      f'{directory} has {free / 1e9:.1f} GB free and needs about {need / 1e9:.1f} GB: free some, '
      'set --config.data.copy_root=DIR, or --config.data.working_copy=memory.'
    )


def _sync(file) -> None:
  file.flush()
  os.fsync(file.fileno())


@contextlib.contextmanager
def _creating(directory: Path) -> Iterator[None]:
  """Creates the directory; converts errors of the system inside the block to UserError."""
  try:
    directory.mkdir(parents=True, exist_ok=True)
    yield
  except OSError as error:
    raise UserError(
      f'{directory} cannot be written ({error.strerror}): set --config.data.copy_root=DIR, or '
      '--config.data.working_copy=memory.'
    ) from error
