"""Parses single cells of class tables: ids, colours and quoted names."""

import re

from classmix_jax.data.files.colors import Color
from classmix_jax.errors import UserError

_TRIPLE = re.compile(
  r'(?:(?:rgb)?[(\[]?|rgba\((?=.*,.*,.*,))\s*(\d+)(?:\s*,\s*|\s+)(\d+)(?:\s*,\s*|\s+)(\d+)'
  r'(?:(?<=\d)\s*,\s*[\d.]+(?=\s*\)))?\s*[)\]]?',  # the opacity of rgba(128, 64, 128, 1)
  re.IGNORECASE,
)
_QUOTES = ("''", '""', '``', '“”', '„“', '„”', '‘’', '‚‘', '«»', '»«', '「」', '『』')
_HEX = re.compile(r'#([0-9a-fA-F]{6})(?:[0-9a-fA-F]{2})?')  # two more digits are the opacity
_SHORT_HEX = re.compile(r'#[0-9a-fA-F]{3}')


def unquote(cell: str) -> str:
  """Removes spaces and one pair of quotes around a cell.

  Example:
    >>> unquote(" 'road' "), unquote("driver's seat")
    ('road', "driver's seat")
  """
  text = cell.strip()
  if len(text) >= 2 and text[0] + text[-1] in _QUOTES:
    return text[1:-1].strip()
  return text


def parse_integer(cell: str) -> int | None:
  """Returns a whole number, as in '7', '-1' or '7.0', None for other text.

  Example: `parse_integer('7.0') == 7`.
  """
  match = re.fullmatch(r'([+-]?\d{1,9})(?:\.0+)?', cell.strip())
  return int(match[1]) if match and match[1].isascii() else None


def parse_color(cell: str, where: str = '', line: str = '') -> Color | None:
  """Returns the colour in a cell, None for other text.

  It is written as '#804080', '128 64 128', '128,64,128', '(128, 64, 128)' or 'rgb(128, 64, 128)'.

  Args:
    cell: the text.
    where: file and line, for messages.
    line: text of the line, for messages; '' is the cell.

  Raises:
    UserError: a number is above 255.

  Example: `parse_color('#804080') == parse_color('128 64 128') == (128, 64, 128)`.
  """
  text = cell.strip()
  if _SHORT_HEX.fullmatch(text):
    text = '#' + ''.join(2 * digit for digit in text[1:])
  match = _HEX.fullmatch(text)
  if match:
    red, green, blue = bytes.fromhex(match[1])
    return red, green, blue
  match = _TRIPLE.fullmatch(text)
  return check_color([int(part) for part in match.groups()], line or text, where) if match else None


def check_color(values: list[int], text: str, where: str) -> Color:
  """Returns three integers as a colour; raises UserError if one is not in 0..255."""
  if not all(0 <= value <= 255 for value in values):
    raise UserError(f"{where} is '{text}': a colour is three integers from 0 to 255.")
  red, green, blue = values
  return red, green, blue
