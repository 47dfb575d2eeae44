"""Finds the roles of the columns in a table of classes: by its header, else by its cells.

Synopsis:

    find_header(['Pixel Value', 'Class'], rows)     # ['id', 'name']
    infer_roles([['0', 'road'], ['1', 'car']])      # ('id', 'name')
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from classmix_jax.data.class_files.cells import parse_color, parse_integer
from classmix_jax.data.class_files.header_words import find_role, normalize_word
from classmix_jax.errors import UserError

RGB = ('red', 'green', 'blue')
KINDS_TO_ROLES: Mapping[tuple[str, ...], tuple[str, ...]] = {
  ('id', 'text'): ('id', 'name'),
  ('text', 'id'): ('name', 'id'),
  ('text', 'color'): ('name', 'color'),
  ('color', 'text'): ('color', 'name'),
  ('id', 'text', 'color'): ('id', 'name', 'color'),
  ('id', 'color', 'text'): ('id', 'color', 'name'),
  ('text', 'id', 'color'): ('name', 'id', 'color'),
  ('text', 'color', 'id'): ('name', 'color', 'id'),
  ('text', *['id'] * 3): ('name', *RGB),
  (*['id'] * 3, 'text'): (*RGB, 'name'),
  ('id', 'text', *['id'] * 3): ('id', 'name', *RGB),
  ('text', *['id'] * 4): ('name', 'id', *RGB),
  (*['id'] * 4, 'text'): ('id', *RGB, 'name'),
  ('text', *['id'] * 3, 'opacity'): ('name', *RGB, ''),
  ('id', 'text', *['id'] * 3, 'opacity'): ('id', 'name', *RGB, ''),
}


def find_kind(cell: str) -> str:
  """Returns 'id' for an integer, 'color' for a colour in one cell, '' if empty, else 'text'."""
  if not cell:
    return ''
  if parse_integer(cell) is not None:
    return 'id'
  try:
    return 'color' if parse_color(cell) else 'text'
  except UserError:  # a number above 255; the row is refused with its line
    return 'color'


def most_common_kind(rows: Sequence[Sequence[str]], column: int) -> str:
  """Returns the kind of most cells in a column."""
  kinds = Counter(find_kind(row[column]) for row in rows if len(row) > column)
  kinds.pop('', None)
  return kinds.most_common(1)[0][0] if kinds else ''


def find_header(cells: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[str, ...] | None:
  """Returns the roles that a header gives to its columns, '' for others; None for no header.

  Args:
    cells: of the first row.
    rows: below it; they decide whether 'class' and 'label' are a name or an id.

  Example: `find_header(['name', 'r', 'g', 'b'], []) == ('name', 'red', 'green', 'blue')`.
  """
  roles = [find_role(cell) for cell in cells]
  if (
    normalize_word(cells[0]) in ('', 'unnamed 0') and 'id' not in roles
  ):  # the index that pandas writes
    roles[0] = 'id' if most_common_kind(rows, 0) == 'id' else ''
  known = [role for role in roles if role]
  if not any(role.startswith('name') for role in roles) or len(known) < min(2, len(cells)):
    return None
  if any(find_kind(cell) in ('id', 'color') for cell in cells):
    return None
  result: list[str] = []
  for column, role in enumerate(roles):
    if role == 'name or id':
      is_id = most_common_kind(rows, column) == 'id'
      role = 'id' if is_id and 'id' not in roles else 'name'
      role = '' if role == 'name' and 'name' in roles else role
    if not role and 'color' not in roles and most_common_kind(rows, column) == 'color':
      role = 'color'
    result.append('' if role in result else role)  # the first column of a role counts
  return tuple(result) if 'name' in result else None


def infer_roles(rows: Sequence[Sequence[str]]) -> tuple[str, ...] | None:
  """Returns the roles of columns without a header, None if the cells do not show them.

  Example: `infer_roles([['road', '128', '64', '128']]) == ('name', 'red', 'green', 'blue')`.
  """
  widths = Counter(len(row) for row in rows if len(row) > 1)
  for width, _ in widths.most_common():
    chosen = [row for row in rows if len(row) == width]
    kinds = [most_common_kind(chosen, column) for column in range(width)]
    if width > 4 and all(row[-1] == '255' for row in chosen):
      kinds[-1] = 'opacity'
    roles = KINDS_TO_ROLES.get(tuple(kinds))
    if roles:
      return roles
  return None
