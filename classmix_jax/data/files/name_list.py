"""Finds the images that the lines of a list name; one rule for every list of names.

Synopsis:

    lines = read_lines(Path('list.txt'))
    index = build_index(['city/a', 'photo', 'photo (1)'])
    find_line(lines[0].text, index)            # Match(name='photo (1)', other='')

A line is the name or the path of an image, or `image mask`. The whole line is tried first, then
its first column or path: 'photo (1).png' is never 'photo'. Directories and extensions of other
machines are ignored if the rest names one image, and no directory is against it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import csv
from pathlib import Path
import re
from typing import NamedTuple
import unicodedata

from classmix_jax.data.files.list_words import (
  HEADER_WORDS,
  LISTED_EXTENSIONS,
  may_lie_in,
)

_EXTENSION = '|'.join(extension[1:] for extension in LISTED_EXTENSIONS)
_SEVERAL_PATHS = re.compile(rf'\.({_EXTENSION})["\']?[\s,;]+\S', re.IGNORECASE)
_CITYSCAPES_SUFFIX = '_leftImg8bit'  # of the file names in published lists


class Line(NamedTuple):
  """A line with content: its number, from 1, and its text without spaces at the ends."""

  number: int
  text: str


class Index(NamedTuple):
  """Names of examples, whole and by the last part of their path."""

  names: frozenset[str]
  by_last_part: Mapping[str, Sequence[str]]


class Match(NamedTuple):
  """The example that a line names, and the text behind it: the mask of `image mask`, or ''."""

  name: str
  other: str = ''


class AmbiguousName(Exception):
  """A text that fits several examples: the text and their names."""


def read_lines(path: Path) -> list[Line]:
  """Returns the lines with content.

  Raises:
    OSError: the file cannot be read.
    ValueError: it is not text in UTF-8, or in UTF-16 with a byte order mark.

  Example: `read_lines(Path('list.txt')) == [Line(1, 'photo (1).png')]`.
  """
  data = path.read_bytes()
  utf16 = len(data) > 2 and data.startswith((b'\xff\xfe', b'\xfe\xff'))  # PowerShell's redirection
  text = data.decode('utf-16' if utf16 else 'utf-8').lstrip('\ufeff')
  lines = enumerate(re.split(r'\r\n|\r|\n', text), start=1)
  return [Line(number, line.strip()) for number, line in lines if line.strip()]


def build_index(names: Iterable[str]) -> Index:
  """Returns the index of names of examples.

  Example: `build_index(['city/a']).by_last_part == {'a': ['city/a']}`.
  """
  names = list(names)
  by_last_part: dict[str, list[str]] = {}
  for name in names:
    last = name.rsplit('/', 1)[-1].removesuffix(_CITYSCAPES_SUFFIX)
    by_last_part.setdefault(last, []).append(name)
  return Index(frozenset(names), by_last_part)


def find_name(text: str, index: Index) -> str | None:
  """Returns the example of a name or a path, None if there is none.

  Raises:
    AmbiguousName: several examples have this file name, and no directory of the path decides.

  Example: `find_name(r'C:\\data\\city\\a.PNG', build_index(['city/a', 'a'])) == 'city/a'`.
  """
  path = unicodedata.normalize('NFC', text.strip().strip('"')).replace('\\', '/')
  forms = list(dict.fromkeys([path, strip_extension(path)]))
  forms += [form.removesuffix(_CITYSCAPES_SUFFIX) for form in forms]
  for form in forms:
    if form in index.names:
      return form
  for form in forms:
    parts = form.split('/')
    for start in range(1, len(parts)):
      if '/'.join(parts[start:]) in index.names:
        return '/'.join(parts[start:])
    names = index.by_last_part.get(parts[-1], ())
    if len(names) > 1:
      raise AmbiguousName(text, names)
    if names and may_lie_in(names[0], parts):
      return names[0]
  return None


def find_line(line: str, index: Index, separator: str = '') -> Match | None:
  """Returns the example that a line names, None if there is none.

  Args:
    line: of the list.
    index: the examples.
    separator: ',' or ';' if the list is a table, see `find_separator`.

  Raises:
    AmbiguousName: several examples have this name.

  Example: `find_line('a b.jpg a b.png', build_index(['a', 'a b'])) == Match('a b', 'a b.png')`.
  """
  if line in index.names or strip_extension(line) in index.names:
    return Match(line if line in index.names else strip_extension(line))
  for image, other in split_pairs(line, separator):
    name = find_name(image, index)
    if name:
      return Match(name, other)
  name = None if has_several_paths(line) else find_name(line, index)
  if name is None and separator:
    cells = split_cells(line, separator)
    name = find_name(cells[0], index) if len(cells) > 1 else None
    return None if name is None else Match(name, cells[1])
  return None if name is None else Match(name)


def get_stem(path: str) -> str:
  """Returns the last part of a path without its extension.

  Example: `get_stem('C:\\\\x\\\\photo (1).png') == 'photo (1)'`.
  """
  return strip_extension(path.strip().replace('\\', '/').rsplit('/', 1)[-1])


def has_several_paths(line: str) -> bool:
  """Returns whether an extension is followed by more text, as in 'a.jpg b.png'."""
  return bool(_SEVERAL_PATHS.search(line))


def split_pairs(line: str, separator: str = '') -> Iterator[tuple[str, str]]:
  """Yields the ways to read a line as `image mask`, the longest image first.

  The image has an extension; or neither side has one, and the mask is named after the image or
  both are paths. So 'photo (1).png' and 'photo 1' are no pairs.

  Example:
    >>> list(split_pairs('a b.jpg a b.png')), list(split_pairs('photo (1).png'))
    ([('a b.jpg', 'a b.png')], [])
  """
  for delimiter in filter(None, ('\t', separator)):
    cells = split_cells(line, delimiter)
    if len(cells) > 1 and (delimiter == '\t' or _is_pair(*cells[:2])):
      yield cells[0], cells[1]
  if line.startswith('"'):
    cells = split_cells(line, ' ')
    if len(cells) == 2:
      yield cells[0], cells[1]
  for blank in reversed([match.span() for match in re.finditer(r'\s+', line)]):
    image, other = line[: blank[0]], line[blank[1] :]
    if _is_pair(image, other):
      yield image, other


def _is_pair(image: str, other: str) -> bool:
  if has_several_paths(image):
    return False
  if strip_extension(image) != image:
    return True  # the extension ends the name of the image: 'a.jpg b.png', 'a.jpg None'
  if strip_extension(other) != other:
    return False
  paths = [text.replace('\\', '/') for text in (image, other)]
  first, second = (path.rsplit('/', 1)[-1] for path in paths)
  named_after = second == first or second.startswith((f'{first}_', f'{first}-', f'{first}.'))
  return bool(first) and (named_after or all('/' in path for path in paths))


def split_cells(line: str, separator: str) -> list[str]:
  """Splits a line at a separator outside of quotes."""
  return [cell.strip() for cell in next(csv.reader([line], delimiter=separator))]


def strip_extension(text: str) -> str:
  """Returns a file name or path without the extension of an image or an annotation.

  Example:
    >>> strip_extension('a/b.1.JPG'), strip_extension('b.1')
    ('a/b.1', 'b.1')
  """
  head, dot, tail = text.rpartition('.')
  named = head and not head.endswith(('/', '\\'))
  return head if named and dot + tail.lower() in LISTED_EXTENSIONS else text


def find_separator(lines: Sequence[Line]) -> str:
  """Returns ',' or ';' if every line of a list has it, else ''.

  Example: `find_separator([Line(1, 'image,mask'), Line(2, 'a.png,b.png')]) == ','`.
  """
  return next((mark for mark in ',;' if lines and all(mark in line.text for line in lines)), '')


def drop_header(lines: Sequence[Line], index: Index | None = None) -> list[Line]:
  """Returns the lines below a header, from the column of the image on; all if there is none.

  A header is a first line such as 'image', 'image,mask' or 'id;filename' that names no example.

  Example: `drop_header([Line(1, 'id,filename'), Line(2, '7,a.png')]) == [Line(2, 'a.png')]`.
  """
  first = lines[0].text
  tabs = all('\t' in line.text for line in lines)
  separator = find_separator(lines) or ('\t' if tabs else '')
  ranks = [_rank_header(word) for word in (split_cells(first, separator) if separator else [first])]
  if len(lines) < 2 or min(ranks) == len(HEADER_WORDS) or (index and first in index.names):
    return list(lines)
  column = ranks.index(min(ranks))
  if column == 0:
    return list(lines[1:])
  return [
    Line(line.number, _join_cells(split_cells(line.text, separator)[column:], separator))
    for line in lines[1:]
  ]


def _rank_header(word: str) -> int:
  key = word.lower().replace(' ', '_')
  return HEADER_WORDS.index(key) if key in HEADER_WORDS else len(HEADER_WORDS)


def _join_cells(cells: Sequence[str], separator: str) -> str:
  return separator.join(f'"{cell}"' if separator in cell else cell for cell in cells)
