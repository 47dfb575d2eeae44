"""Finds the files of a pattern or of a list, without results of our programs.

Synopsis:

    match_pattern('photos/**/*.jpg').paths
    read_list(Path('list.txt')).base        # names of images are relative to it
"""

from collections.abc import Iterable, Iterator
import glob
import itertools
import os
from pathlib import Path
from typing import NamedTuple

from classmix_jax.data.files.directory_walk import (
  OUTPUT,
  SYSTEM,
  find_results,
  is_system_file,
  reason_to_skip,
)
from classmix_jax.data.files.find_images import is_image_name
from classmix_jax.data.files.name_list import read_lines, split_pairs
from classmix_jax.data.files.unused import describe_groups, find_remedy, is_sidecar
from classmix_jax.errors import UserError


class Files(NamedTuple):
  """Image files of a source.

  Attributes:
    base: directory to which the names of the images are relative.
    paths: of the images.
    notes: sentences about what is left out.
  """

  base: Path
  paths: list[Path]
  notes: list[str]


def match_pattern(pattern: str, output: Path | None = None) -> Files:
  """Finds the files that match a pattern; the base is its part before the first wildcard.

  So the names of images do not depend on which others match.

  Args:
    pattern: as 'photos/**/*.jpg'.
    output: directory of the results, which may lie below the base.
  """
  matches = glob.iglob(pattern, recursive=True)
  fixed = itertools.takewhile(lambda part: not glob.has_magic(part), Path(pattern).parent.parts)
  return _select(matches, Path(*fixed), output)


def read_list(path: Path, output: Path | None = None) -> Files:
  """Reads a list of images; the base is their common directory.

  A line is the path of an image, from the working directory or else from that of the list; a mask
  may stand behind it. Files that do not exist are returned, too.

  Args:
    path: of the list.
    output: directory of the results, which may lie below the base.

  Raises:
    UserError: the list cannot be read.
  """
  try:
    lines = [line.text for line in read_lines(path)]
  except (OSError, ValueError) as error:
    raise UserError(f'{path} cannot be read as a list of images ({error}).') from None
  files = [_find_listed(line, path.parent) for line in lines]
  parents = [os.path.abspath(file.parent) for file in files]
  return _select(files, Path(os.path.commonpath(parents) if parents else '.'), output)


def _find_listed(line: str, directory: Path) -> Path:
  """Returns the file that a line names, below the working directory if none exists."""
  texts = [line.strip('"'), *(image for image, _ in split_pairs(line))]
  paths = [Path(os.path.expanduser(text)) for text in texts]
  paths += [directory / path for path in paths]
  return next((path for path in paths if path.is_file()), paths[0])


def _select(files: Iterable[str | Path], base: Path, output: Path | None) -> Files:
  """Sorts out the results of programs and files that are known and not read."""
  # abspath removes '..', which the base would leave inside the names.
  paths = dict.fromkeys(Path(os.path.abspath(file)) for file in files)
  base = Path(os.path.abspath(base))
  if not all(path.is_relative_to(base) for path in paths):  # the pattern has '*/..'
    base = Path(os.path.commonpath([path.parent for path in paths]))
  real = os.path.realpath(output) if output else ''
  directories = {path.parent for path in paths}
  skipped = {directory: _find_skipped(directory, base, real) for directory in directories}
  results = {directory: _find_results(directory) for directory in directories}
  groups: dict[str, list[Path]] = {}
  kept = []
  for path in sorted(paths):
    directory, reason = skipped[path.parent]
    if reason:
      groups.setdefault(reason, []).append(directory)
    elif path.is_dir() or is_system_file(path.name) or is_sidecar(path.name):
      continue
    elif path.name in results[path.parent]:
      groups.setdefault('results of predict', []).append(path)
    elif not is_image_name(path.name) and find_remedy(path.suffix):
      groups.setdefault(f'*{path.suffix.lower()}', []).append(path)
    else:
      kept.append(path)
  groups.pop(SYSTEM, None)
  return Files(base, kept, describe_groups(groups))


def _find_skipped(directory: Path, base: Path, output: str) -> tuple[Path, str]:
  """Returns the uppermost directory below `base` that is not entered, and the reason or ''."""
  for parent in _directories_between(base, directory):
    if output and os.path.realpath(parent) == output:
      return parent, OUTPUT
    reason = reason_to_skip(parent.name, parent)
    if reason:
      return parent, reason
  return directory, ''


def _directories_between(base: Path, directory: Path) -> Iterator[Path]:
  """Yields the directories below `base` that lead to `directory`, which is the last one."""
  parts = directory.relative_to(base).parts
  for count in range(1, len(parts) + 1):
    yield base.joinpath(*parts[:count])


def _find_results(directory: Path) -> set[str]:
  try:
    return find_results(os.listdir(directory))
  except OSError:  # a listed directory may not exist
    return set()


def links_to_result(path: Path) -> bool:
  """Returns whether a file is a link to a result of predict."""
  target = Path(os.path.realpath(path))
  return path.is_symlink() and target.name in _find_results(target.parent)
