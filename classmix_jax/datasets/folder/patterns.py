"""Finds files by patterns, and names them by what varies between the files.

Synopsis:

    find_pattern(root, 'images', 'day*/photos/*.jpg')    # {'day1/a': root / 'day1/photos/a.jpg'}
    find_pattern(root, 'masks', 'gt/{name}_mask.png')    # {'a': root / 'gt/a_mask.png'}
"""

import os
from pathlib import Path
import re
from typing import NamedTuple

from classmix_jax.data.files.find_images import image_name, image_paths, is_image_name
from classmix_jax.errors import UserError
from classmix_jax.utils.text import listed

WILDCARDS = re.compile(r'[*?\[]|\{name\}')
NAME = '{name}'


class Patterns(NamedTuple):
  """Fields of `config.data` that replace what a layout finds; '' replaces nothing."""

  images: str = ''
  masks: str = ''
  unlabeled_images: str = ''
  val: str = ''

  def below(self, directory: Path) -> 'Patterns':
    """Returns the patterns without the name of a directory at their beginnings."""
    prefix = f'{directory.as_posix()}/'
    entries = [[entry.strip() for entry in pattern.split(',')] for pattern in self]
    if not any(one.startswith(prefix) for each in entries for one in each):
      return self
    return Patterns(*(','.join(one.removeprefix(prefix) for one in each) for each in entries))

  def directories(self, root: Path) -> tuple[Path, Path] | None:
    """Returns the directories of images and of masks, None if one of these is a pattern."""
    images, masks = (root / os.path.expanduser(one) for one in (self.images, self.masks))
    named = self.images and self.masks and os.path.isdir(images) and os.path.isdir(masks)
    return (images, masks) if named else None


def find_pattern(root: Path, field: str, pattern: str) -> dict[str, Path]:
  """Returns name -> path of the images that a pattern matches, sorted by name.

  `*` and `?` stand for letters of one directory or file name, `**` for any directories, and
  `{name}` for the name of the image that a mask belongs to. A directory stands for all images below
  it. Several patterns are separated by commas; the case of letters does not matter.

  The name of an image consists of the parts of its path that have wildcards, without the extension.

  Args:
    root: directory that patterns are relative to.
    field: the field of `config.data`, for messages.
    pattern: one or more patterns.

  Raises:
    UserError: a pattern matches nothing, or two images get the same name.

  Example: `find_pattern(root, 'images', 'photos/*.jpg')` has 'a' for photos/a.jpg.
  """
  paths: dict[str, Path] = {}
  whole = os.path.exists(root / os.path.expanduser(pattern))  # a path may have commas
  for entry in [pattern] if whole else filter(None, map(str.strip, pattern.split(','))):
    matches = _find_entry(root, entry)
    if not matches:
      raise UserError(
        f"--config.data.{field}='{pattern}': {entry} matches no image below {root}, which holds "
        f'{describe_content(root)}.'
      )
    for path, name in matches:
      if paths.setdefault(name, path) != path:
        raise UserError(
          f"--config.data.{field}='{pattern}': {paths[name]} and {path} both have the name "
          f"'{name}': write a pattern with wildcards where they differ."
        )
  return dict(sorted(paths.items()))


def describe_content(directory: Path, most: int = 6) -> str:
  """Returns the first names in a directory, directories with '/', as 'a/, b.txt and 3 more'."""
  try:
    entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
  except OSError as error:
    return f'nothing that can be read ({error.strerror})'
  names = [f'{e.name}/' if os.path.isdir(e) else e.name for e in entries if e.name[0] != '.']
  return listed(names, most) or 'nothing'


def _find_entry(root: Path, entry: str) -> list[tuple[Path, str]]:
  """Returns (path, name) of the images that one pattern matches."""
  entry = os.path.expanduser(entry.replace('\\', '/'))
  path = root / entry
  if os.path.isdir(path):  # its name may have brackets
    return [(file, image_name(file, path)) for file in sorted(image_paths(path))]
  if os.path.isfile(path):
    return [(path, image_name(path, path.parent))] if is_image_name(path.name) else []
  if not WILDCARDS.search(entry):
    return []
  parts = entry.split('/')
  fixed = next(index for index, part in enumerate(parts) if WILDCARDS.search(part))
  directory = root / ('/'.join(parts[:fixed]) or ('/' if entry.startswith('/') else ''))
  regex = _compile(parts[fixed:])
  result = []
  for path in sorted(image_paths(directory)):
    match = regex.fullmatch(path.relative_to(directory).as_posix())
    if match:
      name = '/'.join(group for group in match.groups() if group)
      # Names from {name} have no extension, others end in that of the file.
      suffix = '' if NAME in entry else path.suffix
      result.append((path, image_name(Path(name.removesuffix(suffix) + '.png'), '')))
  return result


def _compile(parts: list[str]) -> re.Pattern[str]:
  """Returns the expression of a path whose groups are what names consist of."""
  has_name = any(NAME in part for part in parts)
  texts = []
  for index, part in enumerate(parts):
    is_last = index == len(parts) - 1
    if part == '**':
      texts.append('(.*)' if is_last and not has_name else '(?:.*/)?' if has_name else '(?:(.*)/)?')
      continue
    text = ''.join(map(_translate, re.split(r'(\{name\}|\*|\?|\[[^\]]+\])', part)))
    group = f'({text})' if WILDCARDS.search(part) and not has_name else text
    texts.append(group if is_last else f'{group}/')
  return re.compile(''.join(texts), re.IGNORECASE)


def _translate(text: str) -> str:
  if text.startswith('[') and text.endswith(']'):
    return f'[^{text[2:]}' if text.startswith('[!') else text
  return {NAME: '(.+)', '*': '[^/]*', '?': '[^/]'}.get(text, re.escape(text))
