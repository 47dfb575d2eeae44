"""Finds the file of class names in directories.

Synopsis:

    path = find_class_file(Path('DIR'))     # DIR/classes.txt, DIR/_classes.csv, ... or None
"""

import os
from pathlib import Path

from classmix_jax.data.class_files.class_table import ClassTable
from classmix_jax.data.class_files.reader import read_class_file
from classmix_jax.errors import UserError
from classmix_jax.utils.text import listed

FILE_NAMES = (
  'classes.txt', 'classes.json', '_classes.csv', 'classes.csv', 'class_dict.csv',
  '_class_dict.csv', 'class_dict_seg.csv', 'label_class_dict.csv', 'labelmap.txt',
  'label_colors.txt', 'labels.txt',
  'labels.csv', 'class_names.txt', 'label_names.txt', 'names.txt', 'codes.txt',
  'objectinfo150.txt', 'label_map.pbtxt', 'labelmap.pbtxt', 'obj.names', 'classes.names',
  'class_names.json', 'labels.json', 'categories.json', 'id2label.json', 'meta.json',
  'notes.json', 'dataset.json', 'classes.yaml', 'data.yaml', 'dataset.yaml',
)  # fmt: skip

# Names that other files have, too: such a file without classes is no mistake.
COMMON_NAMES = (
  'names.txt', 'codes.txt', 'labels.csv', 'labels.json', 'meta.json', 'notes.json',
  'dataset.json', 'data.yaml', 'dataset.yaml',
)  # fmt: skip


def find_class_file(
  *directories: Path, least: int = 2, option: str = '--config.data.classes'
) -> Path | None:
  """Returns the file of class names in one of the directories, None if there is none.

  Files with the names in `FILE_NAMES` are read, in any case; those that hold no classes are
  passed over if another does. Of files that agree, the first with colours is returned.

  Args:
    directories: in the order of preference.
    least: smallest number of classes.
    option: the option that sets a file, for messages.

  Raises:
    UserError: two files disagree on names or ids, or the only ones are malformed.

  Example: `find_class_file(Path('DIR')) == Path('DIR/_classes.csv')`.
  """
  tables: dict[Path, ClassTable] = {}
  errors = []
  for path in (path for directory in directories for path in _list_candidates(directory)):
    try:
      tables[path] = read_class_file(path, least=least, option=option)
    except UserError as error:
      errors += [] if path.name.lower() in COMMON_NAMES else [error]
  if not tables:
    if errors:
      raise errors[0]
    return None
  (first, table), *others = tables.items()
  for path, other in others:
    if (other.names, other.label_map()) != (table.names, table.label_map()):
      raise UserError(
        f'{first} and {path} disagree ({describe_difference(table, other)}): remove or correct '
        f'one of them, or set {option}={first}.'
      )
  return next((path for path, other in tables.items() if any(other.colors)), first)


def _list_candidates(directory: Path) -> list[Path]:
  if not directory.is_dir():
    return []
  names = {name.lower(): name for name in sorted(os.listdir(directory))}
  paths = [directory / names[name] for name in FILE_NAMES if name in names]
  return [path for path in paths if path.is_file()]


def describe_difference(table: ClassTable, other: ClassTable) -> str:
  """Returns the first difference of two tables in words.

  Example: '3 and 4 classes', or 'class 1 is car and bus'.
  """
  if len(table.names) != len(other.names):
    return f'{len(table.names)} and {len(other.names)} classes'
  for label, names in enumerate(zip(table.names, other.names, strict=True)):
    if names[0] != names[1]:
      return f"class {label} is '{names[0]}' and '{names[1]}'"
  ids = [listed(one.label_map(), 8) for one in (table, other)]
  return f'their ids are {ids[0]} and {ids[1]}'
