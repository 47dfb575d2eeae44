"""Finds the file of class names in a directory.

Synopsis:

    path = find_class_file(Path('DIR'))     # DIR/classes.txt, DIR/_classes.csv, ... or None
"""

from pathlib import Path

from classmix_jax.data.class_files.class_table import ClassTable
from classmix_jax.data.class_files.reader import read_class_file
from classmix_jax.errors import UserError

FILE_NAMES = (
  'classes.txt', 'classes.json', 'classes.csv', '_classes.csv', 'class_dict.csv',
  'class_dict_seg.csv', 'labelmap.txt', 'label_colors.txt', 'labels.txt', 'label_map.pbtxt',
  'labelmap.pbtxt', 'class_names.txt', 'obj.names', 'meta.json', 'id2label.json', 'labels.json',
  'categories.json', 'classes.yaml', 'data.yaml', 'dataset.yaml', 'notes.json', 'dataset.json',
)  # fmt: skip


def find_class_file(directory: Path) -> Path | None:
  """Returns the file of class names in a directory, None if there is none.

  Files with the names in `FILE_NAMES` are read, in any case; those that hold no classes are
  passed over if another does.

  Raises:
    UserError: two files disagree on names or ids, or the only ones are malformed.

  Example: `find_class_file(Path('DIR')) == Path('DIR/_classes.csv')`.
  """
  present = {path.name.lower(): path for path in sorted(directory.glob('*')) if path.is_file()}
  tables: dict[Path, ClassTable] = {}
  errors = []
  for name in FILE_NAMES:
    if name in present:
      try:
        tables[present[name]] = read_class_file(present[name])
      except UserError as error:
        errors.append(error)
  if not tables:
    if errors:
      raise errors[0]
    return None
  (first, table), *others = tables.items()
  for path, other in others:
    if (other.names, other.raw_ids) != (table.names, table.raw_ids):
      raise UserError(
        f'{directory} holds {first.name} and {path.name}, which disagree '
        f'({describe_difference(table, other)}): remove one of them, or set '
        f'--config.data.classes={first.name}.'
      )
  return next((path for path, other in tables.items() if any(other.colors)), first)


def describe_difference(table: ClassTable, other: ClassTable) -> str:
  """Returns the first difference of two tables in words.

  Example: '3 and 4 classes', or 'class 1 is car and bus'.
  """
  if len(table.names) != len(other.names):
    return f'{len(table.names)} and {len(other.names)} classes'
  for label, names in enumerate(zip(table.names, other.names, strict=True)):
    if names[0] != names[1]:
      return f"class {label} is '{names[0]}' and '{names[1]}'"
  return f'their ids are {table.raw_ids[:8]} and {other.raw_ids[:8]}'
