"""Reads a file of class names in any of the formats.

Synopsis:

    table = read_class_file(Path('_classes.csv'))
    table.names, table.raw_ids        # ('background', 'cabinet'), (0, 1)
    names, colors = read_classes(Path('classes.txt'))
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from classmix_jax.data.class_files import (
  json_file,
  label_map_pbtxt,
  labelmap,
  text_table,
  yaml_file,
)
from classmix_jax.data.class_files.class_table import ClassTable, Entry, build_table
from classmix_jax.data.class_files.text import read_text
from classmix_jax.data.files.colors import Color


class Format(NamedTuple):
  """A format of class files: `matches(text, suffix)` and `parse(text, path)`."""

  matches: Callable[[str, str], bool]
  parse: Callable[[str, str], list[Entry]]


FORMATS: Mapping[str, Format] = {
  'json': Format(json_file.matches, json_file.parse),
  'pbtxt': Format(label_map_pbtxt.matches, label_map_pbtxt.parse),
  'labelmap': Format(labelmap.matches, labelmap.parse),
  'yaml': Format(yaml_file.matches, yaml_file.parse),
  'text': Format(text_table.matches, text_table.parse),
}


def read_class_file(
  path: Path, *, least: int = 2, option: str = '--config.data.classes'
) -> ClassTable:
  """Reads the classes in a file: names, colours and ids, in the first format that matches.

  Args:
    path: the file.
    least: smallest number of classes.
    option: the option that sets another file, for messages.

  Raises:
    UserError: the file is missing or is not text, is no class file or is malformed, or holds
      fewer than `least` or more than 254 classes, or a name or an id twice.

  Example: for a file of the line 'road 128 64 128' and the line 'void 0 0 0',
    `read_class_file(path, least=1).void_colors == ((0, 0, 0),)`.
  """
  text = read_text(path, option)
  kind = next(name for name, form in FORMATS.items() if form.matches(text, path.suffix.lower()))
  entries = FORMATS[kind].parse(text, str(path))
  return build_table(entries, path, least=least, kind=kind)


def read_classes(path: Path) -> tuple[tuple[str, ...], tuple[Color | None, ...]]:
  """Reads the names in a class file and their colours, None for classes without one.

  Raises:
    UserError: as `read_class_file`.

  Example: a file of 'road 128 64 128' and 'traffic light' gives
    `(('road', 'traffic light'), ((128, 64, 128), None))`.
  """
  table = read_class_file(path)
  return table.names, table.colors
