"""Reads classes from lines of words: 'road', 'road 128 64 128', '0 road', 'road 0'."""

from collections.abc import Sequence
import re

from classmix_jax.data.class_files.cells import parse_color, unquote
from classmix_jax.data.class_files.class_table import Entry
from classmix_jax.data.class_files.columns import find_header
from classmix_jax.data.class_files.text import Line
from classmix_jax.data.files.colors import Color
from classmix_jax.errors import UserError
from classmix_jax.types import VOID

_COLOR_LAST = re.compile(
  r'(?P<name>.*?[^\s,:;=–—-])(?:\s*[,:;=]|\s+[-–—])?\s+'
  r'(?P<color>(?:rgb)?[(\[]?\s*\d+(?:\s*,\s*|\s+)\d+(?:\s*,\s*|\s+)\d+\s*[)\]]?'
  r'|rgba\([\d\s,.]+\)|#[0-9a-fA-F]{6,8})',
  re.IGNORECASE,
)
_ID_FIRST = re.compile(r'[\[(]?(?P<id>-?\d{1,5})(?:(?:\s+[-–—])?\s+|[.)\]]\s*)(?P<name>\D.*)')
_ID_JOINED = re.compile(r'(?P<id>\d{1,5})[-_](?P<name>[^\W\d].*)')  # '0_road', '1-car'
_ID_LAST = re.compile(r'(?P<name>.*?\D)(?:\s+(?:[-–—→]|[-=]>))?\s+[\[(]?(?P<id>-?\d{1,5})[\])]?')
_NUMBERED = re.compile(
  r'(?P<word>(?:\D{0,12}?|0x))\s*(?P<id>\d{1,5})[.º°ª]?[\s:=–—-]+(?P<name>[^\W\d].*)'
)
_BULLET = re.compile(r'[*•·‣◦+–—-]\s+')
_RGB = r'(?P<color>\d+\s+\d+\s+\d+)'
# Rows that are read if all lines have their form. The opacity is 0 or 255, or 0 to 1 in ITK-SNAP.
WHOLE_ROWS = {
  'ITK-SNAP': re.compile(rf'(?P<id>\d+)\s+{_RGB}\s+[\d.]+\s+[01]\s+[01]\s+"(?P<name>[^"]+)"'),
  '3D Slicer': re.compile(rf'(?P<id>\d+)\s+(?P<name>\D.*?)\s+{_RGB}\s+(?:0|255)'),
  'id r g b name': re.compile(rf'(?P<id>\d+)\s+{_RGB}\s+(?P<name>\D.*)'),
  'r g b name': re.compile(rf'{_RGB}\s+(?P<name>\D.*)'),
  '#rrggbb name': re.compile(r'(?P<color>#[0-9a-fA-F]{6,8})\s+(?P<name>\D.*)'),
  'name r g b 255': re.compile(rf'(?P<name>\D.*?)\s+{_RGB}\s+255'),
}


def parse_words(lines: Sequence[Line], path: str) -> list[Entry]:
  """Returns the classes of lines without separators, which may hold ids and colours.

  Numbers before or behind all names are ids if both names and ids differ. Behind the names they
  must begin with 0 or 1: 'boeing 737' is a name. Quotes keep a name whole: '"3 doors"'.

  Raises:
    UserError: an id is missing in a line, or a colour is above 255.

  Example: `parse_words([Line(1, '0 road 1 2 3')], 'x') == [Entry('line 1', 'road', (1, 2, 3), 0)]`.
  """
  words = [line.text.split() for line in lines]
  lines = lines[1:] if lines and find_header(words[0], words[1:]) else lines
  texts = _remove_marks([line.text for line in lines])
  for pattern in WHOLE_ROWS.values():
    rows = [pattern.fullmatch(text) for text in texts]
    if rows and all(rows):
      return [_read_row(row, line, path) for row, line in zip(rows, lines, strict=True) if row]
  pairs = [
    split_color(text, f'{path}, {line.where}', line.text)
    for text, line in zip(texts, lines, strict=True)
  ]
  names, ids = split_ids([text for text, _ in pairs], lines, path)
  return [
    Entry(line.where, unquote(name), color, number)
    for line, name, (_, color), number in zip(lines, names, pairs, ids, strict=True)
  ]


def _remove_marks(texts: Sequence[str]) -> list[str]:
  """Returns the lines without commas at their ends and without bullets."""
  texts = [text.rstrip(',;，；') for text in texts]
  bullets = all(_BULLET.match(text) for text in texts)
  return [_BULLET.sub('', text) for text in texts] if bullets else texts


def ends_in_color(text: str) -> bool:
  """Returns whether a text ends in a colour, also one with a number above 255.

  Example: `ends_in_color('road (128, 64, 128)')`.
  """
  return _COLOR_LAST.fullmatch(text) is not None


def split_color(text: str, where: str, line: str) -> tuple[str, Color | None]:
  """Splits a text into a name and the colour behind it, None if there is none.

  Raises:
    UserError: a number of the colour is above 255.

  Example: `split_color('road 128 64 128', '', '') == ('road', (128, 64, 128))`.
  """
  match = _COLOR_LAST.fullmatch(text)
  return (match['name'], parse_color(match['color'], where, line)) if match else (text, None)


def _read_row(row: re.Match, line: Line, path: str) -> Entry:
  color = parse_color(row['color'], f'{path}, {line.where}', line.text)
  number = row.groupdict().get('id')
  return Entry(line.where, row['name'], color, None if number is None else int(number))


def split_ids(
  texts: Sequence[str], lines: Sequence[Line], path: str
) -> tuple[list[str], list[int | None]]:
  """Splits names and ids; the ids are None if there are none.

  Raises:
    UserError: most lines begin with an id, but one does not.

  Example: `split_ids(['0 road', '7 car'], lines, 'x') == (['road', 'car'], [0, 7])`.
  """
  rows = [_ID_FIRST.fullmatch(text) for text in texts]
  joined = [_ID_JOINED.fullmatch(text) for text in texts]
  if all(joined) and _differ(joined):
    rows = joined
  if 2 * len(read := [row for row in rows if row]) > len(texts) and _differ(read, 'name'):
    if len(read) < len(rows):  # '3 doors', '5 doors' are names
      odd = lines[rows.index(None)]
      raise UserError(
        f"{path}, {odd.where} is '{odd.text[:60]}'; expected are an id and a name as in the "
        f"other lines: '{read[0].string}'."
      )
    return [row['name'] for row in read], [int(row['id']) for row in read]
  rows = [_ID_LAST.fullmatch(text) for text in texts]
  if all(rows) and _differ(rows) and min(int(row['id']) for row in rows if row) in (0, 1):
    return [row['name'].rstrip() for row in rows if row], [int(row['id']) for row in rows if row]
  _refuse_numbers(texts, lines, path)
  return list(texts), [None] * len(texts)


def _differ(rows: Sequence[re.Match | None], *groups: str) -> bool:
  """Returns whether at least two rows have names and ids that are not repeated."""
  return all(
    len({row[group] for row in rows if row}) == len(rows) for group in groups or ('name', 'id')
  ) and len(rows) > bool(not groups)


def _refuse_numbers(texts: Sequence[str], lines: Sequence[Line], path: str) -> None:
  """Raises UserError if most names have a number that may be an id: 'road 7', 'class 1 road'.

  Numbers above 254 are no ids without a table: 'boeing 737' is a name.
  """
  for pattern in (_ID_LAST, _NUMBERED):
    rows = [row for row in map(pattern.fullmatch, texts) if row and 0 <= int(row['id']) < VOID]
    words = {row.groupdict().get('word', '') for row in rows}
    if 2 * len(rows) > len(texts) > 1 and _differ(rows, 'name') and len(words) == 1:
      line = lines[texts.index(rows[0].string)]
      name = rows[0]['name'].strip()
      raise UserError(
        f"{path}, {line.where} is '{line.text[:60]}', a row of a table or a name with a number: "
        f"write '{rows[0]['id']},{name}' if '{name}' has this id, else quotes around the names."
      )
