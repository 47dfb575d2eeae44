"""Finds lists of names and directories of images that a layout does not use.

Synopsis:

    find_lists(root, ['a', 'b'])    # [root / 'val.txt'], if it lists a or b
    find_unread(root, layout)       # [root / 'color'], if it holds images
"""

from collections.abc import Collection, Iterator
from pathlib import Path

from classmix_jax.data.files.directory_walk import reason_to_skip
from classmix_jax.data.splits import choose_labeled
from classmix_jax.datasets.folder.layouts import Layout
from classmix_jax.datasets.folder.layouts.words import VAL, children, has_images
from classmix_jax.errors import UserError

MAX_UNREAD = 20  # directories that are looked for
LIST_NAMES = tuple(
  f'{name}.{extension}'
  for part in VAL
  for name in (part, f'{part}_list', f'{part}_names', f'{part}_images')
  for extension in ('txt', 'csv', 'lst')
)


def find_lists(root: Path, names: Collection[str]) -> list[Path]:
  """Returns lists of names for validation, as val.txt or splits/valid.txt.

  Args:
    root: the directory; lists are looked for in it and in the directories in it.
    names: of the images with a mask; files with other names in them are left out.
  """
  paths = [path for place in (root, *children(root)) for path in _files(place)]
  candidates = [path for path in paths if path.name.lower() in LIST_NAMES]
  return [path for path in candidates if _is_list(path, names)]


def _files(directory: Path) -> list[Path]:
  return [path for extension in ('txt', 'csv', 'lst') for path in directory.glob(f'*.{extension}')]


def _is_list(path: Path, names: Collection[str]) -> bool:
  try:
    return 0 < len(choose_labeled(tuple(names), str(path), seed=0)) < len(names)
  except UserError:
    return False


def find_unread(root: Path, layout: Layout) -> list[Path]:
  """Returns directories below the root that hold images, but are in no part of the layout."""
  parts = [*layout.train, *layout.val, *layout.test]
  read = {path for part in parts for path in (part.images, part.masks)} | {*layout.unlabeled}
  if root in read:
    return []
  ancestors = {parent for path in read for parent in path.parents}
  unread = _walk_unread(root, read, ancestors)
  return [path for path, _ in zip(unread, range(MAX_UNREAD), strict=False)]


def _walk_unread(
  directory: Path, read: Collection[Path], ancestors: Collection[Path]
) -> Iterator[Path]:
  for child in children(directory):
    if child in read:
      continue
    if child in ancestors:
      yield from _walk_unread(child, read, ancestors)
    elif not reason_to_skip(child.name, child) and has_images(child):
      yield child
