"""Reads COCO: one annotations.json of instances, or of panoptic segments with their PNGs.

Synopsis:

    export = read(Path('annotations.json'), {})
    image = next(export.items)       # larger regions first, so that small ones lie on top

Instances are polygons or run lengths. Regions with `iscrowd` are treated like all others. Panoptic
PNGs are in a directory with the name of the JSON file, or beside the file.
"""

from collections.abc import Iterator, Mapping, Sequence
import functools
from pathlib import Path
from typing import Any

import numpy as np

from classmix_jax.data.files.colors import Color, unpack_color
from classmix_jax.errors import UserError
from classmix_jax.tools.annotations.annotation import (
  AnnotatedImage,
  Export,
  Point,
  Problem,
  attempt,
)
from classmix_jax.tools.annotations.parsing import (
  find_annotation_file,
  parse_class_name,
  parse_image_name,
  parse_points,
  parse_relative_path,
  parse_size,
  read_json_file,
)
from classmix_jax.tools.annotations.raster import ColorRegion, read_packed_colors
from classmix_jax.tools.annotations.rle import Runs, encode_polygons, import_mask_module, parse_runs
from classmix_jax.types import Size
from classmix_jax.utils.text import listed

Record = dict[str, Any]


def read(path: Path, classes: Mapping[str, Color | None]) -> Export:
  """Reads a COCO file; the classes are its categories, sorted by name.

  Args:
    path: the JSON file, or a directory with one.
    classes: unused.

  Raises:
    UserError: the file is not a COCO file, or pycocotools is not installed.

  Example: `read(Path('instances.json'), {}).class_names == ('car', 'road')`.
  """
  file = find_annotation_file(path, '.json')
  try:
    data = read_json_file(file)
    images, annotations, categories = (
      get_records(data, key) for key in ('images', 'annotations', 'categories')
    )
    names = {
      get_id(category, 'id'): parse_class_name(category.get('name')) for category in categories
    }
    by_image: dict[int | str, list[Record]] = {get_id(image, 'id'): [] for image in images}
    for annotation in annotations:
      by_image.setdefault(get_id(annotation, 'image_id'), []).append(annotation)
  except UserError as error:
    raise UserError(f'{file} is not an annotation file of COCO: {error}') from None
  if any(annotation.get('segmentation') for annotation in annotations):
    import_mask_module()  # raises once if it is not installed, instead of once per image
  colors = {names[category['id']]: get_color(category) for category in categories}
  return Export(
    tuple(sorted(set(names.values()))),
    colors,
    len(images),
    parse_images(file, images, by_image, names),
  )


def get_records(data: Any, key: str) -> list[Record]:
  """Returns the list of objects at a key; raises UserError if there is none."""
  records = data.get(key) if isinstance(data, dict) else None
  if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
    raise UserError(f"it has no list of objects '{key}'; set --input to the right file.")
  return records


def get_color(category: Record) -> Color | None:
  """Returns the colour of a category, which panoptic files have; None if it has none."""
  color = category.get('color')
  if not isinstance(color, list) or len(color) != 3:
    return None
  if not all(type(value) is int and 0 <= value <= 255 for value in color):
    return None
  red, green, blue = color
  return red, green, blue


def parse_images(
  file: Path,
  images: Sequence[Record],
  by_image: Mapping[int | str, Sequence[Record]],
  names: Mapping[int | str, str],
) -> Iterator[AnnotatedImage | Problem]:
  """Yields one item per image, and a final Problem if annotations belong to no image."""
  for image in images:
    source = f'{file}, image {image.get("file_name")!r}'
    annotations = by_image[image['id']]
    yield attempt(source, functools.partial(parse_image, file, image, annotations, names, source))
  unknown_ids = by_image.keys() - {image['id'] for image in images}
  if unknown_ids:
    count = sum(len(by_image[image_id]) for image_id in unknown_ids)
    yield Problem(
      str(file),
      f'{count} annotations have an image_id that no image has: '
      f'{listed(sorted(unknown_ids, key=str), 3)}; export again, or remove them.',
    )


def parse_image(
  file: Path,
  image: Record,
  annotations: Sequence[Record],
  names: Mapping[int | str, str],
  source: str,
) -> AnnotatedImage:
  """Parses one image with its regions; raises UserError if a value is invalid."""
  name = parse_image_name(image.get('file_name'))
  size = parse_size(image.get('height'), image.get('width'))
  if any('segments_info' in annotation for annotation in annotations):
    shapes = [
      shape for annotation in annotations for shape in read_segments(file, annotation, names, size)
    ]
    return AnnotatedImage(name, source, size, shapes)
  regions: list[tuple[str, Runs]] = []
  skipped = []
  for annotation in annotations:
    region = parse_region(annotation, size)
    if region is None:
      skipped.append('annotation without polygon or mask')
    else:
      regions.append((get_category_name(annotation, names), region))
  regions.sort(key=lambda shape: -shape[1].area)  # stable: equal areas stay in the file's order
  return AnnotatedImage(name, source, size, regions, skipped)


def get_id(record: Record, key: str) -> int | str:
  """Returns the id of a record; raises UserError if it is not an integer or text."""
  value = record.get(key)
  if type(value) is not int and type(value) is not str:
    raise UserError(f'{str(record)[:60]} has {key} = {value!r}; expected an integer.')
  return value


def get_category_name(record: Record, names: Mapping[int | str, str]) -> str:
  """Returns the category name of a record; raises UserError if its category is unknown."""
  category = get_id(record, 'category_id')
  if category not in names:
    raise UserError(
      f'annotation {record.get("id")} has the category_id {category!r}, which is not in '
      "'categories': add it, or export again."
    )
  return names[category]


def parse_region(annotation: Record, size: Size) -> Runs | None:
  """Parses the region of an instance; returns None if it has a box only."""
  segmentation = annotation.get('segmentation')
  if isinstance(segmentation, dict):
    return parse_runs(segmentation, size)
  if segmentation is not None and not isinstance(segmentation, list):
    raise UserError(
      f'annotation {annotation.get("id")} has the segmentation {str(segmentation)[:40]!r}, '
      'expected polygons or run lengths.'
    )
  polygons = [parse_polygon(numbers) for numbers in segmentation or []]
  polygons = [polygon for polygon in polygons if len(polygon) > 2]  # others have no area
  return encode_polygons(polygons, size) if polygons else None


def parse_polygon(numbers: Any) -> tuple[Point, ...]:
  """Parses [x, y, x, y, ...] as points; raises UserError if it is anything else."""
  if not isinstance(numbers, list) or len(numbers) % 2:
    raise UserError(f'a polygon is {str(numbers)[:40]}; expected [x, y, x, y, ...].')
  return parse_points(list(zip(numbers[::2], numbers[1::2], strict=True)))


def read_segments(
  file: Path,
  annotation: Record,
  names: Mapping[int | str, str],
  size: Size,
) -> list[tuple[str, ColorRegion]]:
  """Reads the segments of a panoptic PNG, whose colours are ids R + 256 G + 65536 B.

  Args:
    file: the JSON file.
    annotation: of the image, with `file_name` and `segments_info`.
    names: category id -> class name.
    size: (height, width) of the image.

  Raises:
    UserError: the PNG is missing or has another size, or a segment is unknown.
  """
  name = parse_relative_path(annotation.get('file_name'))
  directories = [
    directory for directory in (file.with_suffix(''), file.parent) if (directory / name).is_file()
  ]
  if not directories:
    raise UserError(f'there is no {name} in {file.with_suffix("")} or {file.parent}: add it.')
  path = directories[0] / name
  packed = read_packed_colors(path)
  if packed.shape != size:
    raise UserError(f'{path} is {packed.shape[::-1]}; expected {size[::-1]} (width, height).')
  infos = get_records(annotation, 'segments_info')
  known = {get_id(info, 'id'): get_category_name(info, names) for info in infos}
  # A segment id has R in its lowest byte.
  present = map(unpack_color, np.unique(packed).tolist())
  ids = {red + 256 * green + 65536 * blue: (red, green, blue) for red, green, blue in present}
  unknown = sorted(ids.keys() - known.keys() - {0})
  if unknown:
    raise UserError(f'{path} holds segments that segments_info lacks: {listed(unknown, 4)}.')
  return [(known[key], ColorRegion(path, color)) for key, color in ids.items() if key in known]
