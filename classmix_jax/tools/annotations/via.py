"""Reads VGG Image Annotator (VIA) 1 and 2: a project or exported annotations, JSON or CSV.

Synopsis:

    export = read(Path('via_project.json'), Options(images=Path('IMAGES'), attribute='type'))
    image = next(export.items)       # regions in the order of the file, later ones on top

The files have no sizes: they are read from the images.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
import csv
import functools
import io
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from classmix_jax.errors import UserError
from classmix_jax.tools.annotations.annotation import (
  AnnotatedImage,
  Export,
  Options,
  Point,
  Problem,
  Shape,
  attempt,
)
from classmix_jax.tools.annotations.detect import Sample
from classmix_jax.tools.annotations.image_files import (
  ImageIndex,
  find_image,
  index_images,
  name_image,
  read_size,
)
from classmix_jax.tools.annotations.outlines import outline_box, outline_ellipse, rotate
from classmix_jax.tools.annotations.parsing import (
  check_pixels,
  parse_class_name,
  parse_coordinate,
  parse_image_name,
  parse_points,
  read_json_file,
)
from classmix_jax.tools.annotations.raster import Line
from classmix_jax.tools.annotations.rle import build_shape, import_mask_module
from classmix_jax.types import Size
from classmix_jax.utils.text import listed

Record = Mapping[str, Any]

METADATA = '_via_img_metadata'
ONLY_CLASS = 'object'  # of regions if no region has an attribute
CSV_COLUMNS = ('region_shape_attributes', 'region_attributes')
CLASS_KEYS = ('class', 'label', 'name', 'type', 'category', 'object')  # preferred among several


class Entry(NamedTuple):
  """An image of a VIA file: its file name and its regions as (shape attributes, attributes)."""

  filename: str
  regions: Sequence[tuple[Record, Record]]


def matches(sample: Sample) -> bool:
  """Returns whether a sample is of VIA 1 or 2."""
  return any(CSV_COLUMNS[0] in text for text in sample.texts) or any(
    isinstance(content, dict) and bool(content) and (METADATA in content or is_flat(content))
    for content in sample.contents
  )


def is_flat(content: Record) -> bool:
  """Returns whether a JSON object has images as values, as exported annotations have."""
  return all(
    isinstance(value, dict) and {'filename', 'regions'} <= value.keys()
    for value in content.values()
  )


def read(path: Path, options: Options) -> Export:
  """Reads a VIA file.

  Args:
    path: the JSON or CSV file, or a directory with one.
    options: `images` are the images; without, they are looked for beside the file. `attribute` is
      the attribute of the regions with their class; without, it is found.

  Raises:
    UserError: the file is not of VIA, or it is not certain which attribute has the class.

  Example: `read(Path('via.json'), Options()).class_names == ('car', 'road')`.
  """
  file = find_file(path)
  try:
    entries = read_csv(file) if file.suffix.lower() == '.csv' else read_json(file)
  except UserError as error:
    raise UserError(f'{file} is not an annotation file of VIA: {error}') from None
  regions = [attributes for entry in entries for _, attributes in entry.regions]
  attribute = choose_attribute(regions, options.attribute)
  if regions:
    import_mask_module()  # raises once if it is not installed, instead of once per image
  images = index_images(options.images or file.parent, is_required=bool(options.images))
  notes = []
  if not attribute and regions:
    notes.append(f"no region has an attribute: all are of the class '{ONLY_CLASS}'.")
  elif regions:
    notes.append(f"the class of a region is its attribute '{attribute}'.")
  return Export((), {}, len(entries), parse_images(file, entries, attribute, images), notes)


def find_file(path: Path) -> Path:
  """Returns the annotation file; raises UserError if there are no or several."""
  if path.is_file():
    return path
  files = sorted([*path.rglob('*.json'), *path.rglob('*.csv')])
  if len(files) != 1:
    raise UserError(
      f'{path} has {len(files)} JSON and CSV files{": " * bool(files)}{listed(files, 3)}; set '
      '--input to the one with the annotations.'
    )
  return files[0]


def read_json(file: Path) -> list[Entry]:
  """Reads a project or exported annotations; raises UserError if the file is neither."""
  data = read_json_file(file)
  metadata = data.get(METADATA, data) if isinstance(data, dict) else None
  if not isinstance(metadata, dict) or not is_flat(metadata):
    raise UserError(f"it has no '{METADATA}' and no images with 'filename' and 'regions'.")
  entries = []
  for record in metadata.values():
    regions = record['regions']
    regions = list(regions.values()) if isinstance(regions, dict) else regions  # VIA 1
    if not isinstance(regions, list):
      raise UserError(f"'regions' is {str(regions)[:40]}; expected a list.")
    entries.append(Entry(str(record['filename']), [split_region(region) for region in regions]))
  return entries


def split_region(region: Any) -> tuple[Record, Record]:
  """Returns the shape and the attributes of a region; raises UserError if it is no region."""
  if not isinstance(region, dict) or not isinstance(region.get('shape_attributes'), dict):
    raise UserError(f"a region is {str(region)[:40]}; expected an object with 'shape_attributes'.")
  attributes = region.get('region_attributes')
  return region['shape_attributes'], attributes if isinstance(attributes, dict) else {}


def read_csv(file: Path) -> list[Entry]:
  """Reads a CSV file with one region a line; raises UserError if it is malformed."""
  try:
    text = file.read_text(encoding='utf-8-sig')
  except OSError as error:
    raise UserError(f'it cannot be read ({error.strerror}): check the file.') from None
  except UnicodeDecodeError:
    raise UserError('it is not text in UTF-8: save it in this encoding.') from None
  rows = csv.DictReader(io.StringIO(text, newline=''))
  names = [name.strip().lstrip('#') for name in rows.fieldnames or ()]
  if not {'filename', *CSV_COLUMNS} <= set(names):
    raise UserError(f'line 1 lacks the columns filename, {", ".join(CSV_COLUMNS)}.')
  rows.fieldnames = names
  images: dict[str, list[tuple[Record, Record]]] = {}
  try:
    for row in rows:
      regions = images.setdefault(str(row['filename']), [])
      shape, attributes = (json.loads(row[column] or '{}') for column in CSV_COLUMNS)
      if shape:
        regions.append(split_region({'shape_attributes': shape, 'region_attributes': attributes}))
  except (csv.Error, ValueError, RecursionError) as error:
    raise UserError(f'line {rows.line_num} does not parse ({error}): export again.') from None
  return [Entry(filename, regions) for filename, regions in images.items()]


def choose_attribute(regions: Sequence[Record], attribute: str) -> str:
  """Returns the attribute of regions that holds their class, '' if no region has attributes.

  Args:
    regions: the attributes of each region.
    attribute: of --attribute, or ''.

  Raises:
    UserError: no region has `attribute`, or several attributes may hold the class.

  Example:
    >>> choose_attribute([{'type': 'car'}, {'type': 'road', 'note': ''}], '')
    'type'
  """
  counts = Counter(key for region in regions for key, value in region.items() if value)
  if attribute and regions and attribute not in counts:
    known = listed(counts, 6) or 'empty'
    raise UserError(f'--attribute={attribute} is in no region; their attributes are {known}.')
  if attribute or not counts:
    return attribute
  often = [key for key, count in counts.items() if count == max(counts.values())]
  usual = [key for key in often if key.lower() in CLASS_KEYS]
  if len(usual if len(often) > 1 else often) != 1:
    raise UserError(
      f'the regions have the attributes {listed(sorted(often), 6)}: set --attribute to the one '
      'with the class.'
    )
  return (usual if len(often) > 1 else often)[0]


def parse_images(
  file: Path, entries: Sequence[Entry], attribute: str, images: ImageIndex
) -> Iterator[AnnotatedImage | Problem]:
  """Yields one item per image."""
  for entry in entries:
    source = f'{file}, image {entry.filename!r}'
    yield attempt(
      source,
      functools.partial(parse_image, entry, attribute, images, source),
      functools.partial(name_image, entry.filename, images),
    )


def parse_image(entry: Entry, attribute: str, images: ImageIndex, source: str) -> AnnotatedImage:
  """Parses one image with its regions; raises UserError if a value is invalid."""
  match = find_image(images, entry.filename)
  if match is None:
    raise UserError(
      'the file has no size of it, and there is no image of this name: set --images to the '
      'directory of the images.'
    )
  name, size = parse_image_name(match[0]), read_size(match[1])
  shapes = [parse_region(shape, attributes, attribute, size) for shape, attributes in entry.regions]
  return AnnotatedImage(name, source, size, shapes)


def parse_region(shape: Record, attributes: Record, attribute: str, size: Size) -> Shape:
  """Parses a region; raises UserError if its shape is unknown or malformed."""
  kind = str(shape.get('name'))
  name = parse_class(attributes.get(attribute)) if attribute else ONLY_CLASS
  if kind == 'point':
    return Shape(name, Line((parse_point(shape),)), kind)
  if kind == 'polyline' or kind == 'line':
    return Shape(name, Line(parse_corners(shape)), kind)
  if kind not in OUTLINES:
    raise UserError(
      f"a region has the shape '{kind}', known are {', '.join(OUTLINES)}, polyline and point."
    )
  return build_shape(name, OUTLINES[kind](shape), size, '' if name else 'region without a class')


def parse_class(value: Any) -> str:
  """Parses the class of a region: text, or the only ticked box; '' if there is none."""
  if isinstance(value, dict):
    ticked = [key for key, is_ticked in value.items() if is_ticked]
    value = ticked[0] if len(ticked) == 1 else ''
  return parse_class_name(value) if value not in ('', None) else ''


def parse_corners(shape: Record) -> tuple[Point, ...]:
  """Parses 'all_points_x' and 'all_points_y'; raises UserError if they are no points."""
  xs, ys = shape.get('all_points_x'), shape.get('all_points_y')
  if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys) or not xs:
    raise UserError(f'a {shape.get("name")} has no all_points_x and all_points_y: export again.')
  points = parse_points(list(zip(xs, ys, strict=True)))
  check_pixels(points)
  return points


def parse_numbers(shape: Record, *keys: str) -> list[float]:
  """Parses coordinates of a shape; raises UserError if one is missing."""
  return [parse_coordinate(shape.get(key)) for key in keys]


def parse_point(shape: Record) -> Point:
  """Parses {'cx', 'cy'}."""
  x, y = parse_numbers(shape, 'cx', 'cy')
  return x, y


def parse_rectangle(shape: Record) -> list[Point]:
  """Parses {'x', 'y', 'width', 'height'}."""
  x, y, width, height = parse_numbers(shape, 'x', 'y', 'width', 'height')
  return outline_box(x, y, x + width, y + height)


def parse_circle(shape: Record) -> list[Point]:
  """Parses {'cx', 'cy', 'r'}."""
  x, y, radius = parse_numbers(shape, 'cx', 'cy', 'r')
  return outline_ellipse(x, y, radius, radius)


def parse_ellipse(shape: Record) -> list[Point]:
  """Parses {'cx', 'cy', 'rx', 'ry', 'theta'}; the angle is in radians."""
  x, y, horizontal, vertical = parse_numbers(shape, 'cx', 'cy', 'rx', 'ry')
  degrees = math.degrees(parse_coordinate(shape.get('theta', 0)))
  return rotate(outline_ellipse(x, y, horizontal, vertical), (x, y), degrees)


OUTLINES: Mapping[str, Callable[[Record], Sequence[Point]]] = {
  'polygon': parse_corners,
  'rect': parse_rectangle,
  'circle': parse_circle,
  'ellipse': parse_ellipse,
}
