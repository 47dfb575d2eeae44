"""Reads files of class names: one name per line, with an optional colour.

Synopsis:

    names, colors = read_classes(Path('classes.txt'))
"""

from collections.abc import Sequence
from pathlib import Path

from classmix_jax.data.files.colors import Color
from classmix_jax.errors import UserError
from classmix_jax.types import VOID

REMEDY = (
  "Write one class name per line, line 1 for class 0, with an optional colour: 'road 128 64 128'"
)


def read_classes(path: Path) -> tuple[tuple[str, ...], tuple[Color | None, ...]]:
  """Reads the names in a class file and their colours, None for lines without one.

  Raises:
    UserError: the file is missing or is not text, has fewer than 2 or more than 254 names, one
      name twice, the name void, or a colour outside 0..255.

  Example: a file of 'road 128 64 128' and 'traffic light' gives
    `(('road', 'traffic light'), ((128, 64, 128), None))`.
  """
  lines = enumerate(_read_text(path).splitlines(), start=1)
  rows = [
    _parse_class(line.strip(), f'{path}, line {number}')
    for number, line in lines
    if line.strip() and not line.strip().startswith('#')
  ]
  names = tuple(name for name, _ in rows)
  if not 2 <= len(names) < VOID:
    raise UserError(
      f'{path} holds {len(names)} class names, expected are 2 to {VOID - 1}. {REMEDY}; '
      'the background is a class too.'
    )
  repeated = sorted({name for name in names if names.count(name) > 1})
  if repeated:
    raise UserError(f"{path} holds '{repeated[0]}' twice: rename or remove one of the lines.")
  return names, tuple(color for _, color in rows)


def _read_text(path: Path) -> str:
  try:
    return path.read_text(encoding='utf-8-sig')  # editors on Windows write a byte order mark
  except (FileNotFoundError, IsADirectoryError):
    raise UserError(
      f'There is no file {path} with the class names. {REMEDY}; or set --config.data.classes=FILE.'
    ) from None
  except UnicodeDecodeError:
    raise UserError(f'{path} is not text in UTF-8: save it in this encoding.') from None


def split_color(line: str, where: str) -> tuple[str, Color | None]:
  """Splits a line into a name and a colour, None if it does not end in three integers.

  Args:
    line: the line.
    where: its place in messages.

  Raises:
    UserError: an integer is above 255.

  Example: `split_color('traffic light 250 170 30', '') == ('traffic light', (250, 170, 30))`.
  """
  words = line.split()
  if len(words) < 4 or not all(word.isdecimal() for word in words[-3:]):
    return ' '.join(words), None
  red, green, blue = map(int, words[-3:])
  color = red, green, blue
  if max(color) > 255:
    raise UserError(f"{where} is '{line}': a colour is three integers from 0 to 255.")
  return ' '.join(words[:-3]), color


def _parse_class(line: str, where: str) -> tuple[str, Color | None]:
  name, color = split_color(line, where)
  if name.lower() == 'void':
    raise UserError(
      f"{where} is '{line}', but void is no class: remove the line and set "
      "--config.data.label_map='ID:void' or --config.data.colors='#RRGGBB:void'."
    )
  return name, color


def color_table(colors: Sequence[Color | None], path: Path) -> dict[Color, int]:
  """Returns colour -> class id; raises UserError if two classes of the file share a colour."""
  table: dict[Color, int] = {}
  for label, color in enumerate(colors):
    if color in table:
      raise UserError(
        f'{path} gives the colour {" ".join(map(str, color))} to classes {table[color]} and '
        f'{label}: colours must differ.'
      )
    if color is not None:
      table[color] = label
  return table
