"""Reads the tables of a COCO file: images, their annotations, and categories.

Synopsis:

    tables = read_tables(Path('annotations.json'))
    for image in tables.images:
      tables.annotations[image['id']]          # its records

Ids are matched as they are. If some then match nothing, numbers and text are matched by value: 1,
1.0 and '1' are one id, as pandas and some programs write them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import functools
from pathlib import Path
from typing import Any, NamedTuple

from classmix_jax.data.files.colors import Color
from classmix_jax.errors import UserError
from classmix_jax.tools.annotations.annotation import (
  AnnotatedImage,
  Export,
  Problem,
  attempt,
  create_problem,
)
from classmix_jax.tools.annotations.image_files import ImageIndex, name_image
from classmix_jax.tools.annotations.parsing import (
  find_annotation_file,
  parse_class_name,
  parse_whole,
  read_json_file,
)
from classmix_jax.utils.text import listed

Record = dict[str, Any]
Id = int | str


class Tables(NamedTuple):
  """The tables of a COCO file.

  Attributes:
    file: the file.
    images: one record per image.
    annotations: id of an image -> its annotations in the order of the file.
    names: category id, as annotations write it -> class name.
    colors: colour of each class; None if it has none.
    astray: image ids of annotations that no image has, one per annotation.
    shared_ids: image ids of several images, whose annotations cannot be separated.
  """

  file: Path
  images: Sequence[Record]
  annotations: Mapping[Id, Sequence[Record]]
  names: Mapping[Id, str]
  colors: Mapping[str, Color | None]
  astray: Sequence[Id]
  shared_ids: frozenset[Id]


def read_tables(path: Path) -> Tables:
  """Reads the tables of a COCO file.

  Args:
    path: the JSON file, or a directory with one.

  Raises:
    UserError: the file is not a COCO file, or its ids are ambiguous.
  """
  file = find_annotation_file(path, '.json')
  try:
    data = read_json_file(file)
    images, annotations, categories = (
      get_records(data, key) for key in ('images', 'annotations', 'categories')
    )
    images = drop_copies(images)
    grouped, astray = group_annotations(images, annotations)
    names = name_categories(categories, annotations)
  except UserError as error:
    raise UserError(f'{file} is not an annotation file of COCO: {error}') from None
  counts = Counter(get_id(image, 'id') for image in images)
  shared = frozenset(key for key, count in counts.items() if count > 1)
  colors = {parse_class_name(category.get('name')): get_color(category) for category in categories}
  return Tables(file, images, grouped, names, colors, astray, shared)


def get_records(data: Any, key: str) -> list[Record]:
  """Returns the list of objects at a key; raises UserError if there is none."""
  records = data.get(key) if isinstance(data, dict) else None
  if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
    raise UserError(f"it has no list of objects '{key}'; set --input to the right file.")
  return records


def get_id(record: Record, key: str) -> Id:
  """Returns the id of a record; raises UserError if it is not a whole number or text."""
  value = record.get(key)
  if isinstance(value, float) and value.is_integer():
    return int(value)
  if type(value) is not int and type(value) is not str:
    raise UserError(f'{str(record)[:60]} has {key} = {value!r}; expected an integer.')
  return value


def drop_copies(images: Sequence[Record]) -> list[Record]:
  """Removes images that repeat an earlier one with the same id and file name."""
  first = {(get_id(image, 'id'), str(image.get('file_name'))): image for image in reversed(images)}
  return list(reversed(first.values())) if len(first) < len(images) else list(images)


def group_annotations(
  images: Sequence[Record], annotations: Sequence[Record]
) -> tuple[dict[Id, list[Record]], list[Id]]:
  """Returns image id -> annotations, and the image ids that no image has, one per annotation."""
  references = [get_id(annotation, 'image_id') for annotation in annotations]
  lookup = match_ids([get_id(image, 'id') for image in images], references, 'image')
  grouped: dict[Id, list[Record]] = {get_id(image, 'id'): [] for image in images}
  for reference, annotation in zip(references, annotations, strict=True):
    if reference in lookup:
      grouped[lookup[reference]].append(annotation)
  return grouped, [reference for reference in references if reference not in lookup]


def name_categories(categories: Sequence[Record], annotations: Sequence[Record]) -> dict[Id, str]:
  """Returns category id -> class name, for all ids of categories and known ids of annotations.

  Raises:
    UserError: two categories of different names have one id.
  """
  names: dict[Id, str] = {}
  for category in categories:
    name, key = parse_class_name(category.get('name')), get_id(category, 'id')
    if names.setdefault(key, name) != name:
      raise UserError(
        f"the categories '{names[key]}' and '{name}' have the same id {key!r}: correct one of them."
      )
  records = [
    record
    for annotation in annotations
    for record in (annotation, *_get_segments(annotation))
    if parse_whole(record.get('category_id')) is not None
    or isinstance(record.get('category_id'), str)
  ]
  lookup = match_ids(list(names), [get_id(record, 'category_id') for record in records], 'category')
  return {**names, **{reference: names[key] for reference, key in lookup.items()}}


def _get_segments(annotation: Record) -> list[Record]:
  segments = annotation.get('segments_info')
  return [item for item in segments if isinstance(item, dict)] if isinstance(segments, list) else []


def match_ids(ids: Sequence[Id], references: Iterable[Id], noun: str) -> dict[Id, Id]:
  """Maps references to the ids that they mean; those that mean none are left out.

  Args:
    ids: of the records that are referred to.
    references: to these.
    noun: of the records, for messages.

  Raises:
    UserError: some references match by value only, and two ids have the same value.

  Example:
    >>> match_ids([1, 'b'], ['1', 'b', 7], 'image')
    {'1': 1, 'b': 'b'}
  """
  wanted = set(references)
  exact = set(ids)
  if wanted <= exact:
    return {reference: reference for reference in wanted}
  by_value: dict[Id, Id] = {}
  for key in exact:
    other = by_value.setdefault(get_value(key), key)
    if other != key:
      raise UserError(
        f'the {noun} ids {other!r} and {key!r} are the same number in text and digits, so that '
        f'{listed(sorted(wanted - exact, key=str), 3)} may be either: write all ids alike.'
      )
  values = {reference: get_value(reference) for reference in sorted(wanted, key=str)}
  return {key: by_value[value] for key, value in values.items() if value in by_value}


def get_value(key: Id) -> Id:
  """Returns the number that an id is written as, or the text itself."""
  whole = parse_whole(key)
  return key if whole is None else whole


def get_color(category: Record) -> Color | None:
  """Returns the colour of a category, which panoptic files have; None if it has none."""
  color = category.get('color')
  if not isinstance(color, list) or len(color) != 3:
    return None
  if not all(type(value) is int and 0 <= value <= 255 for value in color):
    return None
  red, green, blue = color
  return red, green, blue


def get_category_name(record: Record, names: Mapping[Id, str]) -> str:
  """Returns the category name of a record; raises UserError if its category is unknown."""
  category = get_id(record, 'category_id')
  if category not in names:
    raise UserError(
      f'annotation {record.get("id")} has the category_id {category!r}, which is not in '
      "'categories': add it, or export again."
    )
  return names[category]


def build_export(
  tables: Tables,
  parse: Callable[[Record, Sequence[Record], str], AnnotatedImage],
  images: ImageIndex,
) -> Export:
  """Returns the export of a COCO file; the classes are its categories, sorted by name.

  Args:
    tables: of the file.
    parse: `(image, its annotations, source) -> AnnotatedImage`.
    images: the images, for their names.
  """
  return Export(
    tuple(sorted(tables.colors)),
    tables.colors,
    len(tables.images),
    parse_images(tables, parse, images),
    strays=list_strays(tables),
  )


def parse_images(
  tables: Tables,
  parse: Callable[[Record, Sequence[Record], str], AnnotatedImage],
  images: ImageIndex,
) -> Iterator[AnnotatedImage | Problem]:
  """Yields one item per image.

  While annotations belong to no image, images without any are problems: they may be theirs.

  Args:
    tables: see `read_tables`.
    parse: parses an image from its record, its annotations and its source.
    images: see `index_images`.
  """
  for image in tables.images:
    source = f'{tables.file}, image {image.get("file_name")!r}'
    key = get_id(image, 'id')
    annotations = tables.annotations[key]
    find_name = functools.partial(name_image, image.get('file_name'), images)
    if key in tables.shared_ids:
      sentence = f'another image has the same id {key!r}: give each its own.'
      yield create_problem(source, sentence, find_name)
    elif tables.astray and not annotations:
      sentence = (
        f'it has no annotation, and {len(tables.astray)} annotations of the file belong to no '
        'image: correct their image_id, or remove them.'
      )
      yield create_problem(source, sentence, find_name)
    else:
      yield attempt(source, functools.partial(parse, image, annotations, source), find_name)


def list_strays(tables: Tables) -> list[Problem]:
  """Returns a problem if annotations belong to no image."""
  if not tables.astray:
    return []
  unknown = sorted(set(tables.astray), key=str)
  sentence = (
    f'{len(tables.astray)} annotations have an image_id that no image has: {listed(unknown, 3)}; '
    'export again, or remove them.'
  )
  return [Problem(str(tables.file), sentence)]
