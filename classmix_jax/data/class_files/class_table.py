"""Classes of a file: names, colours and ids, checked for what masks can hold.

Synopsis:

    table = build_table([Entry('line 1', 'road', id=1), Entry('line 2', 'car', id=2)], 'a.csv')
    table.names                # ('road', 'car')
    table.label_map()          # {1: 0, 2: 1}
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from classmix_jax.data.class_files.names import are_file_names, check_name, clean_name
from classmix_jax.data.class_files.words import is_void
from classmix_jax.data.files.colors import Color
from classmix_jax.data.files.decoding import RAW_VALUES
from classmix_jax.errors import UserError
from classmix_jax.types import VOID
from classmix_jax.utils.text import listed

REMEDY = (
  "Write one class name per line, line 1 for class 0, with an optional colour: 'road 128 64 128'"
)
LABELME_IGNORE = '__ignore__'  # labelme gives this name the id -1: the class below it has id 0


class Entry(NamedTuple):
  """A class as a file has it.

  Attributes:
    where: its place in the file, as in 'line 3'.
    name: the name.
    color: the colour, or None.
    id: the id in masks, or None if the file has no ids: the first class has id 0.
  """

  where: str
  name: str
  color: Color | None = None
  id: int | None = None


class ClassTable(NamedTuple):
  """The classes of a file, in the order of their ids, without those that are void.

  Attributes:
    names: name of class 0, 1, ...
    colors: their colours, None for classes without one.
    raw_ids: their ids in masks, 0..65535 and increasing; other than 0, 1, ... if the file says so.
    places: their places in the file, as in 'line 3'.
    void_ids: ids in masks that are void.
    void_names: the names of void in the file.
    void_colors: their colours, None for those without one.
    kind: a key of `FORMATS`, the format of the file.
  """

  names: tuple[str, ...]
  colors: tuple[Color | None, ...]
  raw_ids: tuple[int, ...]
  places: tuple[str, ...]
  void_ids: tuple[int, ...] = ()
  void_names: tuple[str, ...] = ()
  void_colors: tuple[Color | None, ...] = ()
  kind: str = ''

  def label_map(self) -> dict[int, int]:
    """Returns id in masks -> class id or `VOID`."""
    return {raw: label for label, raw in enumerate(self.raw_ids)} | dict.fromkeys(
      self.void_ids, VOID
    )


def build_table(
  entries: Sequence[Entry], path: Path | str, *, least: int = 2, kind: str = ''
) -> ClassTable:
  """Returns the table of the classes in a file, sorted by id.

  Args:
    entries: in the order of the file. Either all or none have ids.
    path: the file, for messages.
    least: smallest number of classes.
    kind: its format.

  Raises:
    UserError: a name is no name of a class, a name or id is repeated, an id is not between 0 and
      65535 (-1 is allowed for void), or there are fewer than `least` or more than 254 classes.

  Example: `build_table([Entry('line 1', 'a'), Entry('line 2', 'b')], 'x').raw_ids == (0, 1)`.
  """
  entries = [entry._replace(name=clean_name(entry.name)) for entry in entries]
  for entry in entries:
    check_name(entry.name, f'{path}, {entry.where}')
  entries = number_entries(entries, path)
  voids = [entry for entry in entries if _is_void_entry(entry, entries)]
  classes = [entry for entry in entries if entry not in voids]
  _check_ids(classes, voids, path)
  _check_names(classes, path)
  if not least <= len(classes) < VOID:
    noun = 'class name' if len(classes) == 1 else 'class names'
    raise UserError(
      f'{path} holds {len(classes)} {noun}, expected are {least} to {VOID - 1}. {REMEDY}; '
      'the background is a class too.'
    )
  classes = sorted(classes, key=lambda entry: entry.id or 0)
  return ClassTable(
    tuple(entry.name for entry in classes),
    tuple(entry.color for entry in classes),
    tuple(entry.id or 0 for entry in classes),
    tuple(entry.where for entry in classes),
    tuple(sorted(entry.id for entry in voids if entry.id is not None and entry.id >= 0)),
    tuple(entry.name for entry in voids),
    tuple(entry.color for entry in voids),
    kind,
  )


def number_entries(entries: Sequence[Entry], path: Path | str) -> list[Entry]:
  """Returns the entries with ids: their own, else 0, 1, ... in the order of the file.

  Raises:
    UserError: some have an id and others have none.
  """
  with_id = [entry for entry in entries if entry.id is not None]
  greys = [color[0] for _, _, color, _ in entries if color and len(set(color)) == 1]
  if not with_id and greys and sorted(greys) == list(range(1, len(entries) + 1)):
    # 1 1 1, 2 2 2, ...: ids as colours, as in Supervisely's obj_class_to_machine_color.json.
    return [entry._replace(id=grey) for entry, grey in zip(entries, greys, strict=True)]
  if not with_id:
    first = -1 if entries and entries[0].name == LABELME_IGNORE else 0
    return [entry._replace(id=index) for index, entry in enumerate(entries, start=first)]
  for entry in entries:
    if entry.id is None:
      raise UserError(
        f"{path}, {entry.where} gives '{entry.name}' no id, but {with_id[0].where} has one: "
        'write an id to every class.'
      )
  return list(entries)


def _is_void_entry(entry: Entry, entries: Sequence[Entry]) -> bool:
  """Returns whether the name is void, or the id is 255 or -1 and that of several names."""
  several = sum(other.id == entry.id for other in entries) > 1
  return is_void(entry.name) or (entry.id in (VOID, -1) and several)


def _check_ids(classes: Sequence[Entry], voids: Sequence[Entry], path: Path | str) -> None:
  for entry in [*classes, *voids]:
    number = entry.id or 0
    if not (0 <= number < RAW_VALUES or (number == -1 and entry in voids)):
      raise UserError(
        f"{path}, {entry.where} gives '{entry.name}' the id {number}; expected are ids from 0 to "
        f'{RAW_VALUES - 1}, the values of masks.'
      )
  first: dict[int | None, Entry] = {entry.id: entry for entry in voids}
  for entry in classes:
    earlier = first.setdefault(entry.id, entry)
    if earlier is not entry:
      raise UserError(
        f"{path}, {entry.where} gives '{entry.name}' the id {entry.id}, which '{earlier.name}' has "
        f'in {earlier.where}: ids must differ.'
      )


def _check_names(classes: Sequence[Entry], path: Path | str) -> None:
  first: dict[str, Entry] = {}
  for entry in classes:
    earlier = first.setdefault(entry.name, entry)
    if earlier is not entry:
      raise UserError(
        f"{path} holds '{entry.name}' twice, {entry.where} repeats '{entry.name}' of "
        f'{earlier.where}: rename or remove one of them.'
      )
  if are_file_names([entry.name for entry in classes]):
    raise UserError(
      f"{path}, {classes[0].where} is '{classes[0].name}', and all {len(classes)} lines look like "
      "names of files; expected are names of classes, as in 'road'."
    )


def list_notes(table: ClassTable, path: Path | str) -> tuple[str, ...]:
  """Returns sentences on the file if it is not classes.txt, on ids, and on names of void.

  Example: 'a.csv gives the ids 1, 2: in masks they are classes 0 to 1, in this order.'
  """
  notes = [] if Path(path).name == 'classes.txt' else [f'The classes are read from {path}.']
  if table.raw_ids != tuple(range(len(table.names))):
    notes.append(
      f'{path} gives the ids {listed(table.raw_ids, 8)}: in masks they are classes 0 to '
      f'{len(table.names) - 1}, in this order.'
    )
  if table.void_names:
    ids = f' (id {listed(table.void_ids, 8)})' if table.void_ids else ''
    notes.append(
      f'{path} names {listed(table.void_names, 8)}{ids}: such pixels are void, excluded from '
      'training and metrics.'
    )
  return tuple(notes)


def color_table(table: ClassTable, path: Path) -> dict[Color, int]:
  """Returns colour -> class id or `VOID`; raises UserError if two classes share a colour.

  Example: `color_table(table, path)[128, 64, 128] == 0`.
  """
  colors: dict[Color, int] = {}
  for label, color in enumerate(table.colors):
    if color in colors:
      raise UserError(
        f'{path}, {table.places[label]} repeats the colour {" ".join(map(str, color))} of '
        f'{table.places[colors[color]]}, so that classes {colors[color]} and {label} have the '
        'same: colours must differ.'
      )
    if color is not None:
      colors[color] = label
  for name, color in zip(table.void_names, table.void_colors, strict=True):
    if color is not None and colors.setdefault(color, VOID) != VOID:
      raise UserError(
        f'{path} gives the colour {" ".join(map(str, color))} to class {colors[color]} and to '
        f"'{name}', which is void: colours must differ."
      )
  return colors
