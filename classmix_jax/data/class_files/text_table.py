"""Reads classes from lines of text: names, with ids or colours, in columns or words.

Separators are tabs, semicolons, commas, colons, '=' or blanks. The columns are 'name', 'id,name',
'name,id' or 'name,r,g,b' in any common order, with or without a header.
"""

from collections.abc import Sequence
import csv
import re

from classmix_jax.data.class_files.cells import check_color, parse_color, parse_integer, unquote
from classmix_jax.data.class_files.class_table import Entry
from classmix_jax.data.class_files.columns import RGB, find_header, infer_roles
from classmix_jax.data.class_files.text import Line, list_lines
from classmix_jax.data.class_files.words_table import ends_in_color, parse_words, split_color
from classmix_jax.errors import UserError

_MARKUP = re.compile(r'<([!?]|html|body|head|svg|view|annotation)', re.IGNORECASE)
_ARROW = re.compile(r'^(\d+)\s*(?:[-=]>|[→：，；、．＝])\s*')
SEPARATORS = ('\t', ';', ',', '|', ':', '=')


def matches(text: str, suffix: str) -> bool:
  """Returns True: this format is the last that is tried."""
  return True


def parse(text: str, path: str) -> list[Entry]:
  """Returns the classes in the order of the lines.

  Raises:
    UserError: a line of a table is not like the others.

  Example: `parse('0: road', 'x') == [Entry('line 1', 'road', id=0)]`.
  """
  lines = list_lines(text)
  if lines and (_MARKUP.match(lines[0].text) or (lines[0].text[0] == '<' and '</' in text)):
    raise UserError(
      f"{path}, line 1 is '{lines[0].text[:40]}', a piece of markup; expected is the name of a "
      "class, as in 'road'."
    )
  lines = [Line(line.number, _ARROW.sub(r'\1=', line.text)) for line in lines]
  for separator in SEPARATORS:
    entries = parse_columns(lines, separator, path)
    if entries is not None:
      return entries
  for line in lines:
    if '\t' in line.text or _is_table(lines):
      raise UserError(
        f"{path}, {line.where} is '{line.text[:60]}', a row of a table; expected are the columns "
        'id,name or name,r,g,b, or a header with such words.'
      )
  return parse_words(lines, path)


def _is_table(lines: Sequence[Line]) -> bool:
  """Returns whether all lines have as many cells, and no blank behind a separator or a colour.

  A colon with a blank behind it separates, too: 'road: red'.
  """
  if len(lines) < 2 or any(ends_in_color(line.text) for line in lines):
    return False
  for separator in (',', ';'):
    widths = {len(split_cells(line.text, separator)) for line in lines}
    unspaced = all(re.search(rf'{separator}\S', line.text) for line in lines)
    if len(widths) == 1 and widths != {1} and unspaced:
      return True
  return all(re.search(r'^[^"].*\w:\s', line.text) for line in lines)


def parse_columns(lines: Sequence[Line], separator: str, path: str) -> list[Entry] | None:
  """Returns the classes in a table with a separator, None if the lines are no such table.

  Raises:
    UserError: most lines are rows of a table, but one is not.

  Example: `parse_columns([Line(1, '0,road')], ',', 'x') == [Entry('line 1', 'road', id=0)]`.
  """
  rows = [split_cells(line.text, separator) for line in lines]
  if not rows or 2 * sum(len(row) > 1 for row in rows) < len(rows):
    return None
  header = find_header(rows[0], rows[1:])
  if separator == '\t' and not header:  # columns may be aligned by several tabs
    rows = [[cell for cell in row if cell] for row in rows]
  roles = header or infer_roles(rows)
  if roles is None:
    return None
  first = 1 if header else 0
  return [
    parse_row(row, roles, line, f'{path}, {line.where}')
    for row, line in zip(rows[first:], lines[first:], strict=True)
  ]


def split_cells(line: str, separator: str) -> list[str]:
  """Splits a line at a separator outside of quotes; drops empty cells at its end.

  Example: `split_cells('0, "bus, coach",', ',') == ['0', 'bus, coach']`.
  """
  try:
    cells = next(csv.reader([line], delimiter=separator, skipinitialspace=True))
  except csv.Error:
    cells = line.split(separator)
  cells = [unquote(cell) for cell in cells]
  while len(cells) > 1 and not cells[-1]:
    cells.pop()
  return cells


def parse_row(row: Sequence[str], roles: Sequence[str], line: Line, where: str) -> Entry:
  """Returns the class in a row; raises UserError if a cell does not fit its role."""
  cells = {role: cell for role, cell in zip(roles, row, strict=False) if role}
  number, color = None, None
  if cells.get('id'):
    number = parse_integer(cells['id'])
  rgb = [parse_integer(cells.get(channel, '')) for channel in RGB]
  if None not in rgb:
    color = check_color([value for value in rgb if value is not None], line.text, where)
  elif cells.get('color'):
    color = parse_color(cells['color'], where, line.text)
  wrong_color = color is None and any(cells.get(role) for role in (*RGB, 'color'))
  if (
    len(row) > len(roles)
    or not cells.get('name')
    or wrong_color
    or ('id' in roles and number is None)
  ):
    names = ','.join(role or '...' for role in roles)
    raise UserError(
      f"{where} is '{line.text[:60]}'; expected are the columns {names} of the other lines (quote "
      'names that have the separator).'
    )
  name = cells['name']
  if not {'red', 'color'} & set(roles):
    name, color = split_color(name, where, line.text)
  return Entry(line.where, name, color, number)
