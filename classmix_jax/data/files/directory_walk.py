"""Walks through a directory of images, without caches, system files and our own results.

Synopsis:

    for folder in walk_directory('images'):
      print(folder.path, folder.files, folder.skipped)
"""

from collections.abc import Collection, Iterator
import os
from pathlib import Path
from typing import NamedTuple

from classmix_jax.utils.paths import is_within

# Directories of thumbnails and deleted files (Synology, QNAP, Windows, macOS); others are hidden.
SYSTEM_DIRECTORIES = (
  '__macosx',
  '@eadir',
  '#recycle',
  '@recycle',
  '$recycle.bin',
  'lost+found',
  'system volume information',
)
SYSTEM_FILES = ('thumbs.db', 'ehthumbs.db', 'desktop.ini', 'icon\r', 'picasa.ini')
SYSTEM = 'system'
OUTPUT = 'the directory of the results'
RESULT_SUFFIXES = ('_overlay.png', '_confidence.png')  # of predictions, beside NAME.png


class Folder(NamedTuple):
  """A directory whose images are read.

  Attributes:
    path: of the directory.
    files: names of its files, hidden ones included.
    skipped: name -> reason of each directory in it that is not entered, `SYSTEM` or a noun phrase
      such as 'results of predict'.
  """

  path: Path
  files: list[str]
  skipped: dict[str, str]


def walk_directory(directory: str | Path, exclude: Collection[Path] = ()) -> Iterator[Folder]:
  """Yields a directory and those below it; follows links, but not in circles.

  Args:
    directory: the first one, which is entered in any case.
    exclude: directories that are not entered.

  Example: `[folder.path for folder in walk_directory('images')]`.
  """
  excluded = {os.path.realpath(path) for path in exclude}
  ancestors: dict[str, tuple[str, ...]] = {
    os.fspath(directory): (os.path.realpath(directory),)
  }  # real path of each ancestor
  for parent, directories, files in os.walk(directory, followlinks=True):
    chain, entered, skipped = ancestors.pop(parent), [], {}
    for name in sorted(directories):
      path = os.path.join(parent, name)
      real = os.path.realpath(path)
      # A link to an ancestor would yield every image again and again.
      if any(is_within(ancestor, real) for ancestor in chain):
        continue
      reason = OUTPUT if real in excluded else reason_to_skip(name, path)
      if reason:
        skipped[name] = reason
      else:
        ancestors[path] = (*chain, real)
        entered.append(name)
    directories[:] = entered  # os.walk enters these only
    yield Folder(Path(parent), sorted(files), skipped)


def is_system_file(name: str) -> bool:
  """Returns whether a file is hidden or written by an operating system.

  Example: `is_system_file('._photo.jpg') and is_system_file('Thumbs.db')`.
  """
  return name.startswith('.') or name.lower() in SYSTEM_FILES


def is_system_directory(name: str) -> bool:
  """Returns whether a directory is hidden, or of thumbnails or deleted files.

  Example: `is_system_directory('.git') and is_system_directory('__MACOSX')`.
  """
  return name.startswith('.') or name.lower() in SYSTEM_DIRECTORIES


def reason_to_skip(name: str, path: str | Path) -> str:
  """Returns why a directory is not entered, '' if it is."""
  if is_system_directory(name):
    return SYSTEM
  try:
    return describe_results(os.listdir(path))
  except OSError:  # os.walk passes over it, too
    return ''


def describe_results(names: Collection[str]) -> str:
  """Returns of what program the files in a directory are the results, '' if of none.

  Example: `describe_results(['config.json', 'checkpoints']) == 'a training run'`.
  """
  names = set(names)
  if 'config.json' in names and names & {'checkpoints', 'metrics.jsonl'}:
    return 'a training run'
  if 'report.txt' in names and names & {'contact_sheet.png', 'mixed.png'}:
    return 'a report of check_data'
  results = find_results(names)
  images = {name for name in names if name.lower().endswith(('.png', '.jpg', '.jpeg', '.tif'))}
  if results and ('classes.json' in names or images <= results):
    return 'results of predict'
  return ''


def find_results(names: Collection[str]) -> set[str]:
  """Returns the files that predict has written, by their three names for one image.

  Example: `find_results(['a.jpg', 'a.png']) == set()`.
  """
  overlay, confidence = RESULT_SUFFIXES
  results = set()
  for name in names:
    stem = name.removesuffix(overlay)
    triple = {f'{stem}.png', f'{stem}{overlay}', f'{stem}{confidence}'}
    if stem != name and triple <= set(names):
      results |= triple
  return results
