"""Finds the classes in the values of JSON and YAML files: lists, mappings and records.

Synopsis:

    parse_value(['road', 'car'], 'x')                       # names by position
    parse_value({'0': 'road', '1': 'car'}, 'x')             # id2label
    parse_value({'categories': [{'id': 1, 'name': 'car'}]}, 'x')
"""

from collections.abc import Mapping, Sequence
from typing import Any

from classmix_jax.data.class_files.cells import check_color, parse_color, parse_integer
from classmix_jax.data.class_files.class_table import Entry
from classmix_jax.data.class_files.header_words import find_role
from classmix_jax.data.files.colors import Color
from classmix_jax.errors import UserError

# Fields that hold the classes: COCO and Label Studio, Supervisely, YOLO and this package,
# Hugging Face, CVAT, Mapillary and nnU-Net, FiftyOne, QuPath.
FIELDS = (
  'categories', 'classes', 'names', 'id2label', 'labels', 'class_names', 'label_names', 'label_map',
  'label2id', 'class_to_idx', 'mask_targets', 'default_mask_targets', 'pathClasses',
)  # fmt: skip
# Fields that hold one of those: Datumaro's `categories.label.labels`, `features.label.names`.
OUTER_FIELDS = ('features', 'label')
NAME_FIELDS = ('readable', 'title', 'name', 'label', 'class', 'class_name', 'label_name')
# Records with these fields are of CVAT, Supervisely and SuperAnnotate, whose ids are numbers of a
# data base.
DATABASE_FIELDS = ('attributes', 'shape', 'attribute_groups', 'project_id')
EXPECTED = (
  'expected are a list of names, {"0": "road", ...}, {"road": 0, ...} or records with a name, as '
  'in {"categories": [{"id": 0, "name": "road"}, ...]}'
)


class Object(dict):
  """A mapping of a file that keeps its first repeated key, or None."""

  repeated: str | None = None

  @classmethod
  def from_pairs(cls, pairs: Sequence[tuple[str, Any]]) -> 'Object':
    """Returns the mapping of the pairs; the last value of a repeated key counts."""
    result = cls(pairs)
    keys = [key for key, _ in pairs]
    if len(result) < len(keys):
      result.repeated = next(key for key in keys if keys.count(key) > 1)
    return result


def parse_value(value: Any, path: str) -> list[Entry]:
  """Returns the classes in a value.

  Raises:
    UserError: there are none, or they are malformed.

  Example: `parse_value({'car': 1}, 'x') == [Entry('entry 1', 'car', id=1)]`.
  """
  palette = None
  while field := find_field(value):
    palette, count = value.get('palette') or value.get('colors'), value.get('nc')
    value = value[field]
    if count is not None and parse_integer(str(count)) != len(value):
      raise UserError(
        f"{path} has nc: {count}, but {len(value)} entries in '{field}': correct one of them."
      )
  if isinstance(value, Mapping):
    entries = _parse_mapping(value, path)
  elif isinstance(value, list):
    entries = [_parse_item(item, number, path) for number, item in enumerate(value, start=1)]
  else:
    entries = []
  if not entries:
    raise UserError(f'{path} holds no classes; {EXPECTED}.')
  return add_colors(entries, palette, path) if palette else entries


def find_field(value: Any) -> str | None:
  """Returns the field of a mapping that holds the classes, None if there is none.

  Example: `find_field({'names': ['road']}) == 'names'`.
  """
  if not isinstance(value, Mapping):
    return None
  fields = [key for key in FIELDS if isinstance(value.get(key), list | Mapping)]
  return next(iter(fields), None) or next(
    (key for key in OUTER_FIELDS if find_field(value.get(key))), None
  )


def add_colors(entries: Sequence[Entry], palette: Any, path: str) -> list[Entry]:
  """Returns the entries with the colours of a palette.

  Args:
    entries: the classes.
    palette: a list of colours, a list of numbers red, green, blue, red, ..., or a mapping from
      names or ids.
    path: the file, for messages.

  Raises:
    UserError: the palette has another number of colours, or is something else.
  """
  if isinstance(palette, Mapping):
    colors = [palette.get(entry.name, palette.get(str(entry.id))) for entry in entries]
  else:
    colors = palette if isinstance(palette, list) else []
    if all(isinstance(number, int | float) for number in colors) and not len(colors) % 3:
      colors = [colors[start : start + 3] for start in range(0, len(colors), 3)]
  if len(colors) != len(entries):
    raise UserError(
      f'{path} has {len(colors)} colours in its palette for {len(entries)} classes: correct one of '
      'them.'
    )
  return [
    entry._replace(color=read_color(color, f'{path}, {entry.where}'))
    for entry, color in zip(entries, colors, strict=True)
  ]


def read_color(value: Any, where: str) -> Color | None:
  """Returns a colour from text or a list [red, green, blue(, alpha)], None for None.

  Raises:
    UserError: it is something else.
  """
  if value in (None, '', []):
    return None
  if isinstance(value, str):
    color = parse_color(value, where)
    if color:
      return color
  if isinstance(value, list) and len(value) in (3, 4):
    numbers = [parse_integer(str(number)) for number in value[:3]]
    if None not in numbers:
      return check_color([number for number in numbers if number is not None], str(value), where)
  raise UserError(
    f'{where} has the colour {str(value)[:40]!r}; expected is "#804080" or [128, 64, 128].'
  )


def _parse_item(item: Any, number: int, path: str) -> Entry:
  where = f'entry {number}'
  if isinstance(item, str | int | float) and not isinstance(item, bool):
    return Entry(where, str(item))
  if isinstance(item, Mapping):
    return _parse_record(item, where, path, _get_name(item))
  raise UserError(f'{path}, {where} is {str(item)[:40]!r}; {EXPECTED}.')


def _parse_record(record: Mapping[str, Any], where: str, path: str, name: Any) -> Entry:
  if not isinstance(name, str | int) or isinstance(name, bool):
    raise UserError(f'{path}, {where} is {str(dict(record))[:60]!r}, without a name; {EXPECTED}.')
  number = None
  if not any(field in record for field in DATABASE_FIELDS):
    value = _get(record, 'id')
    number = None if value is None else _read_id(value, f'{path}, {where}')
  return Entry(where, str(name), read_color(_get(record, 'color'), f'{path}, {where}'), number)


def _get_name(record: Mapping[str, Any]) -> Any:
  names = (record[field] for field in NAME_FIELDS if record.get(field) is not None)
  return next(names, None) or _get(record, 'name')


def _get(record: Mapping[str, Any], role: str) -> Any:
  """Returns the value of the first field of a role, 'id' before others; None if there is none."""
  fields = [field for field in record if find_role(str(field)).split(' ')[0] == role]
  fields.sort(key=role.__ne__)
  return next((record[field] for field in fields if record[field] is not None), None)


def _read_id(value: Any, where: str) -> int:
  number = None if isinstance(value, bool) else parse_integer(str(value))
  if number is None:
    raise UserError(f'{where} has the id {str(value)[:40]!r}; expected is an integer.')
  return number


def _parse_mapping(value: Mapping[str, Any], path: str) -> list[Entry]:
  if getattr(value, 'repeated', None) is not None:
    raise UserError(f"{path} has the key '{value.repeated}' twice: rename or remove one.")  # type: ignore[attr-defined]
  by_id = all(parse_integer(str(key)) is not None for key in value)
  entries = []
  for number, (key, item) in enumerate(value.items(), start=1):
    where = f'entry {number}'
    if by_id and isinstance(item, str):
      entries.append(Entry(where, item, id=parse_integer(str(key))))
    elif isinstance(item, Mapping):
      if not by_id and _get(item, 'id') is None and _get(item, 'color') is None:
        raise UserError(f'{path}, {where} is {str(key)[:40]!r}: {str(item)[:40]!r}; {EXPECTED}.')
      name = _get_name(item) if by_id else key
      entry = _parse_record(item, where, path, name)
      entries.append(entry._replace(id=parse_integer(str(key))) if by_id else entry)
    elif not by_id and parse_integer(str(item)) is not None and not isinstance(item, bool):
      entries.append(Entry(where, str(key), id=parse_integer(str(item))))
    elif not by_id and _is_color(item):
      entries.append(Entry(where, str(key), read_color(item, f'{path}, {where}')))
    else:
      raise UserError(f'{path}, {where} is {str(key)[:40]!r}: {str(item)[:40]!r}; {EXPECTED}.')
  return entries


def _is_color(item: Any) -> bool:
  if isinstance(item, list):
    return len(item) in (3, 4) and all(parse_integer(str(number)) is not None for number in item)
  return isinstance(item, str) and parse_color(item) is not None
