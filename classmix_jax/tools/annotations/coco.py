"""Reads COCO: one annotations.json of instances with polygons or run lengths.

Synopsis:

    export = read(Path('annotations.json'), Options())
    image = next(export.items)       # larger regions first, so that small ones lie on top

Regions with `iscrowd` are treated like all others. Files of panoptic segments are read as
`coco_panoptic`.
"""

from collections.abc import Mapping, Sequence
import functools
import math
from pathlib import Path
from typing import Any

from classmix_jax.errors import UserError
from classmix_jax.tools.annotations import coco_panoptic
from classmix_jax.tools.annotations.annotation import (
  AnnotatedImage,
  Export,
  Options,
  Point,
  Shape,
)
from classmix_jax.tools.annotations.coco_records import (
  Id,
  Record,
  build_export,
  get_category_name,
  read_tables,
)
from classmix_jax.tools.annotations.detect import Sample
from classmix_jax.tools.annotations.image_files import (
  ImageIndex,
  complete_size,
  index_images,
  name_image,
)
from classmix_jax.tools.annotations.parsing import (
  check_pixels,
  parse_coordinate,
  parse_points,
)
from classmix_jax.tools.annotations.raster import Rectangle
from classmix_jax.tools.annotations.rle import (
  Runs,
  build_shape,
  encode_polygons,
  import_mask_module,
  parse_runs,
)
from classmix_jax.types import Size


def matches(sample: Sample) -> bool:
  """Returns whether a sample is of COCO instances."""
  return any(map(has_tables, sample.contents)) and not coco_panoptic.matches(sample)


def has_tables(content: Any) -> bool:
  """Returns whether the value of a JSON file has the three tables of COCO."""
  return isinstance(content, dict) and {'images', 'annotations', 'categories'} <= content.keys()


def read(path: Path, options: Options) -> Export:
  """Reads a COCO file; the classes are its categories, sorted by name.

  Args:
    path: the JSON file, or a directory with one.
    options: `images` are the images, for their names and for records without a size.

  Raises:
    UserError: the file is not a COCO file, or pycocotools is not installed.

  Example: `read(Path('instances.json'), Options()).class_names == ('car', 'road')`.
  """
  tables = read_tables(path)
  images = index_images(options.images)
  records = [record for group in tables.annotations.values() for record in group]
  if any('segments_info' in record for record in records):
    return coco_panoptic.parse_tables(tables, images)
  if any(record.get('segmentation') for record in records):
    import_mask_module()  # raises once if it is not installed, instead of once per image
  parse = functools.partial(parse_image, names=tables.names, images=images)
  return build_export(tables, parse, images)


def parse_image(
  image: Record,
  annotations: Sequence[Record],
  source: str,
  names: Mapping[Id, str],
  images: ImageIndex,
) -> AnnotatedImage:
  """Parses one image with its regions; raises UserError if a value is invalid."""
  name = name_image(image.get('file_name'), images)
  size = complete_size(image.get('height'), image.get('width'), images, str(image.get('file_name')))
  regions: list[tuple[int, Shape]] = []
  others: list[Shape] = []
  unplaced = []
  for annotation in annotations:
    region, lines = parse_annotation(annotation, names, size)
    others += lines
    if region is not None:
      regions.append((region.area, Shape(get_category_name(annotation, names), region)))
    elif lines:
      continue
    elif box := parse_box(annotation.get('bbox')):
      others.append(Shape('', box, 'annotation with a box only'))
    else:
      unplaced.append('annotation without polygon, mask or box')
  regions.sort(key=_get_negative_area)  # stable: equal areas stay in the file's order
  shapes = [shape for _, shape in regions] + others
  return AnnotatedImage(name, source, size, shapes, unplaced=unplaced)


def _get_negative_area(region: tuple[int, Shape]) -> int:
  return -region[0]


def parse_annotation(
  annotation: Record, names: Mapping[Id, str], size: Size
) -> tuple[Runs | None, list[Shape]]:
  """Parses the region of an instance, None if it has none, and its polygons without an area."""
  segmentation = annotation.get('segmentation')
  if isinstance(segmentation, dict):
    runs = parse_runs(segmentation, size)
    return runs if runs.area else None, []
  if segmentation is not None and not isinstance(segmentation, list):
    raise UserError(
      f'annotation {annotation.get("id")} has the segmentation {str(segmentation)[:40]!r}, '
      'expected polygons or run lengths.'
    )
  polygons = list(filter(None, map(parse_polygon, split_polygons(segmentation or []))))
  shapes = [
    build_shape(get_category_name(annotation, names), polygon, size) for polygon in polygons
  ]
  lines = [shape for shape in shapes if shape.kind]
  regions = [polygon for polygon, shape in zip(polygons, shapes, strict=True) if not shape.kind]
  return encode_polygons(regions, size) if regions else None, lines


def split_polygons(segmentation: list[Any]) -> list[Any]:
  """Returns the polygons of a segmentation, each as [x, y, x, y, ...].

  A single polygon without the outer list, and corners in pairs, are understood too.

  Example:
    >>> split_polygons([1, 1, 3, 1, 3, 3]), split_polygons([[[1, 1], [3, 1], [3, 3]]])
    ([[1, 1, 3, 1, 3, 3]], [[1, 1, 3, 1, 3, 3]])
  """
  is_flat = not any(isinstance(item, list) for item in segmentation)
  is_of_pairs = len(segmentation) > 2 and all(map(_is_pair, segmentation))
  if segmentation and (is_flat or is_of_pairs):
    segmentation = [segmentation]
  return [
    [number for pair in polygon for number in pair]
    if isinstance(polygon, list) and polygon and all(map(_is_pair, polygon))
    else polygon
    for polygon in segmentation
  ]


def _is_pair(item: Any) -> bool:
  return isinstance(item, list) and len(item) == 2 and not isinstance(item[0], list)


def parse_polygon(numbers: Any) -> tuple[Point, ...]:
  """Parses [x, y, x, y, ...] as points; raises UserError if it is anything else."""
  if not isinstance(numbers, list) or len(numbers) % 2:
    raise UserError(f'a polygon is {str(numbers)[:40]}; expected [x, y, x, y, ...].')
  points = parse_points(list(zip(numbers[::2], numbers[1::2], strict=True)))
  check_pixels(points)
  return points


def parse_box(numbers: Any) -> Rectangle | None:
  """Parses [x, y, width, height] as the pixels that it touches; None if there is no such box."""
  if not isinstance(numbers, list) or len(numbers) != 4:
    return None
  left, top, width, height = map(parse_coordinate, numbers)
  if width <= 0 or height <= 0:
    return None
  right, bottom = math.ceil(left + width) - 1, math.ceil(top + height) - 1
  return Rectangle(math.floor(left), math.floor(top), right, bottom)
