"""Parses the options that map the values of masks to classes.

Synopsis:

    parse_label_map('255:1', '7', ('road', 'car'))     # {255: 1, 7: 255}
    parse_colors('#ff0000:1', ('road', 'car'))         # {(255, 0, 0): 1}
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from classmix_jax.data.class_files.names import match_names
from classmix_jax.data.files.colors import Color
from classmix_jax.data.files.decoding import RAW_VALUES
from classmix_jax.errors import UserError
from classmix_jax.types import VOID

Key = TypeVar('Key')


def parse_label_map(text: str, ignore: str, class_names: Sequence[str]) -> dict[int, int]:
  """Returns raw value -> class id or `VOID` from the options `label_map` and `ignore`.

  Args:
    text: 'RAW:CLASS,...'; CLASS is an id, a name or void.
    ignore: 'RAW,...', values that are void.
    class_names: name of class 0, 1, ...

  Raises:
    UserError: an entry is malformed, or both options have the same value.

  Example: `parse_label_map('255:1', '7', ('road', 'car')) == {255: 1, 7: 255}`.
  """
  table = _parse_table('label_map', text, _parse_raw_value, '255:1,7:void', class_names)
  for entry in _entries(ignore):
    raw = _parse_raw_value(entry)
    if raw is None:
      raise UserError(
        f'--config.data.ignore={ignore!r}: {entry!r} is no value of a mask; expected are '
        "integers from 0, as in '0,3'."
      )
    if table.get(raw, VOID) != VOID:
      raise UserError(
        f'--config.data.ignore and --config.data.label_map both name {raw}: remove it from one.'
      )
    table[raw] = VOID
  return table


def parse_colors(text: str, class_names: Sequence[str]) -> dict[Color, int]:
  """Returns colour -> class id or `VOID` from the option `colors`, '#RRGGBB:CLASS,...'.

  Raises:
    UserError: an entry is malformed.

  Example: `parse_colors('#ff0000:1', ('road', 'car')) == {(255, 0, 0): 1}`.
  """
  return _parse_table('colors', text, _parse_color, '#804080:0,#000000:void', class_names)


def _parse_table(
  option: str,
  text: str,
  parse_key: Callable[[str], Key | None],
  sample: str,
  class_names: Sequence[str],
) -> dict[Key, int]:
  table: dict[Key, int] = {}
  for entry in _entries(text):
    left, _, right = (part.strip() for part in entry.partition(':'))
    key, label = parse_key(left), parse_class(right, class_names)
    if key is None or label is None:
      raise UserError(
        f"--config.data.{option}={text!r}: {entry!r} is invalid; expected is '{sample}' with "
        f'classes from 0 to {len(class_names) - 1}, their names, or void.'
      )
    if table.get(key, label) != label:
      raise UserError(f'--config.data.{option}={text!r} maps {left} twice: remove one entry.')
    table[key] = label
  return table


def _entries(text: str) -> list[str]:
  return [entry.strip() for entry in text.split(',') if entry.strip()]


def _parse_raw_value(text: str) -> int | None:
  return int(text) if text.isdecimal() and int(text) < RAW_VALUES else None


def parse_class(text: str, class_names: Sequence[str]) -> int | None:
  """Returns the id of a class from its id or name, `VOID` for 'void', or None for other text.

  Example: `parse_class('1', ('road', 'car')) == parse_class('Car', ('road', 'car')) == 1`.
  """
  if text == 'void':
    return VOID
  if text.isdecimal():
    return int(text) if int(text) < len(class_names) else None
  return match_names([text], class_names).get(text)


def _parse_color(text: str) -> Color | None:
  digits = text.removeprefix('#')
  if len(digits) != 6 or not set(digits.lower()) <= set('0123456789abcdef'):
    return None
  red, green, blue = bytes.fromhex(digits)
  return red, green, blue
