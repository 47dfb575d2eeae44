"""Reads the text of a class file in the encodings of editors and spreadsheets."""

import codecs
from pathlib import Path
import re
from typing import NamedTuple

from classmix_jax.data.class_files.class_table import REMEDY
from classmix_jax.errors import UserError

MAX_BYTES = 50_000_000  # a COCO annotation file is read for its categories
MISSING = 'missing class files'  # the kind of the error
SPACES = ' \t\xa0\u200b\ufeff'  # the last three have no width or look like a space
_LINE_END = re.compile('\r\n|[\r\n\x0b\x0c\x85\u2028\u2029]')
_HEX_FIRST = re.compile(r'#[0-9a-fA-F]{6}\b')


class Line(NamedTuple):
  """A line with content: its number, from 1, and its text."""

  number: int
  text: str

  @property
  def where(self) -> str:
    """Returns the place in messages."""
    return f'line {self.number}'


def read_text(path: Path, option: str = '--config.data.classes') -> str:
  """Reads a file in UTF-8, or in UTF-16 if a byte order mark says so.

  Args:
    path: the file.
    option: the option that sets another file, for messages.

  Raises:
    UserError: the file is missing, unreadable, too large or is not text.
  """
  try:
    if path.stat().st_size > MAX_BYTES:
      raise UserError(f'{path} has {path.stat().st_size:,} bytes: a file of class names is small.')
    data = path.read_bytes()
  except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
    raise UserError(
      f'There is no file {path} with the class names. {REMEDY}; or set {option}=FILE.', MISSING
    ) from None
  except (OSError, ValueError) as error:
    reason = getattr(error, 'strerror', None) or error
    raise UserError(f'{path} cannot be read ({reason}): give a file of class names.') from None
  utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
  if b'\0' in data and not utf16:
    raise UserError(f'{path} is binary, not text in UTF-8. {REMEDY}.')
  try:
    # The marks are what Notepad and Excel write before text.
    return data.decode('utf-16' if utf16 else 'utf-8-sig')
  except UnicodeDecodeError:
    raise UserError(f'{path} is not text in UTF-8: save it in this encoding.') from None


def list_lines(text: str) -> list[Line]:
  """Returns the lines with content: not empty, and no comments behind '#' or '//'.

  Example: `list_lines('# two\\nroad  # tar\\n\\ncar') == [Line(2, 'road'), Line(4, 'car')]`.
  """
  lines = [
    Line(number, line.strip(SPACES))
    for number, line in enumerate(_LINE_END.split(text), start=1)
    if line.strip(SPACES + ',;')
    and not re.fullmatch(r'sep=.', line)  # Excel's line of the separator
  ]
  if lines and all(_HEX_FIRST.match(line.text) for line in lines):
    return lines  # every line begins with a colour, not with a comment
  lines = [Line(line.number, re.sub(r'\s(#|//)\s.*', '', line.text)) for line in lines]
  return [line for line in lines if not line.text.startswith(('#', '//'))]
