"""Reads labelmap.txt of CVAT: lines NAME:R,G,B:PARTS:ACTIONS; the colour is optional."""

import re

from classmix_jax.data.class_files.cells import parse_color
from classmix_jax.data.class_files.class_table import Entry
from classmix_jax.data.class_files.text import list_lines
from classmix_jax.errors import UserError

_LINE = re.compile(r'([^:]+):\s*((?:\d+\s*,\s*\d+\s*,\s*\d+)?)\s*:[^:]*:[^:]*')


def matches(text: str, suffix: str) -> bool:
  """Returns whether most lines have the three colons."""
  lines = list_lines(text)
  return 2 * sum(bool(_LINE.fullmatch(line.text)) for line in lines) > len(lines)


def parse(text: str, path: str) -> list[Entry]:
  """Returns the classes in the order of the lines.

  Example: `parse('road:128,64,128::', 'x') == [Entry('line 1', 'road', (128, 64, 128))]`.
  """
  entries = []
  for line in list_lines(text):
    match = _LINE.fullmatch(line.text)
    if not match:
      raise UserError(
        f"{path}, {line.where} is '{line.text}'; expected is 'NAME:R,G,B:PARTS:ACTIONS' as in the "
        "other lines: 'road:128,64,128::'."
      )
    entries.append(Entry(line.where, match[1], parse_color(match[2], f'{path}, {line.where}')))
  return entries
