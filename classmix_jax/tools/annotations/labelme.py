"""Reads labelme and X-AnyLabeling: one JSON file per image, in nested directories.

Synopsis:

    export = read(Path('DIR'), Options())
    image = next(export.items)       # shapes in the order of the file, later ones on top

Regions are filled as in labelme's own export: they include the pixels on their outline.
"""

from collections.abc import Callable, Mapping
from functools import partial
import math
from pathlib import Path
from typing import Any
import unicodedata

from classmix_jax.data.files.image_io import read_header
from classmix_jax.data.files.open_image import Encoded
from classmix_jax.errors import UserError
from classmix_jax.tools.annotations.annotation import (
  AnnotatedImage,
  Export,
  Options,
  Point,
  Region,
  Shape,
  parse_files,
)
from classmix_jax.tools.annotations.detect import Sample
from classmix_jax.tools.annotations.image_files import (
  NO_SIDE,
  ImageIndex,
  complete_size,
  index_images,
  parse_checked_size,
  read_size,
)
from classmix_jax.tools.annotations.parsing import (
  check_pixels,
  parse_class_name,
  parse_points,
  parse_size,
  read_json_file,
)
from classmix_jax.tools.annotations.raster import Ellipse, Line, Polygon, Rectangle
from classmix_jax.tools.annotations.stencil import Stencil, decode_base64
from classmix_jax.types import Size

LINES = ('line', 'linestrip')
POINTS = ('point', 'points')


def matches(sample: Sample) -> bool:
  """Returns whether a sample is of labelme."""
  return any(
    isinstance(content, dict) and isinstance(content.get('shapes'), list)
    for content in sample.contents
  )


def read(path: Path, options: Options) -> Export:
  """Reads a directory of JSON files, or one file.

  An image has the name of its JSON file.

  Args:
    path: the directory or file.
    options: `images` are the images of files without sizes, if they are not beside the files.

  Example: `next(read(Path('DIR'), Options()).items).name == 'city/a'` for DIR/city/a.json.
  """
  root = path.parent if path.is_file() else path
  files = [path] if path.is_file() else find_json_files(path)
  images = index_images(options.images)
  parse, find_name = partial(parse_image, root=root, images=images), partial(name_file, root=root)
  items = parse_files(files, parse, find_name)
  return Export((), {}, len(files), items)


def find_json_files(directory: Path) -> list[Path]:
  """Returns the JSON files below a directory, sorted, without hidden ones."""
  return sorted(
    path
    for path in directory.rglob('*.[jJ][sS][oO][nN]')
    if not any(part.startswith('.') for part in path.relative_to(directory).parts)
  )


def parse_image(file: Path, root: Path, images: ImageIndex) -> AnnotatedImage:
  """Parses one JSON file; raises UserError if it is unreadable or a value is invalid."""
  data = read_json_file(file)
  if not isinstance(data, dict) or not isinstance(data.get('shapes'), list):
    raise UserError("it has no list 'shapes', so it is not a file of labelme; move it elsewhere.")
  shapes, unplaced = [], []
  for record in data['shapes']:
    if not isinstance(record, dict):
      raise UserError(f'a shape is {str(record)[:40]}; expected an object; save it again.')
    shape = parse_shape(record)
    if shape is None:
      unplaced.append('shape without points')
    else:
      shapes.append(shape)
  size = find_size(data, file, images)
  return AnnotatedImage(name_file(file, root), str(file), size, shapes, unplaced=unplaced)


def name_file(file: Path, root: Path) -> str:
  """Returns the name of the image of a JSON file."""
  return unicodedata.normalize('NFC', file.relative_to(root).with_suffix('').as_posix())


def find_size(data: Mapping[str, Any], file: Path, images: ImageIndex) -> Size:
  """Returns the size in the file, or else of `imageData`, or else of the image of `imagePath`.

  Raises:
    UserError: the size is invalid or not that of the image, or there is neither.
  """
  height, width = data.get('imageHeight'), data.get('imageWidth')
  has_size = height not in NO_SIDE and width not in NO_SIDE
  if data.get('imageData'):
    where = 'the image in imageData'
    encoded = Encoded(decode_base64(data['imageData']), where, 'Save the file again.')
    if has_size:
      return parse_checked_size(height, width, encoded)
    header = read_header(encoded)
    # labelme shows these bytes as they are stored, without the turn in their EXIF tag.
    return parse_size(*(header.size[::-1] if header.orientation >= 5 else header.size))
  path = str(data.get('imagePath') or file.with_suffix('.jpg').name).replace('\\', '/')
  for candidate in (file.parent / path, file.parent / Path(path).name):
    if '\0' not in path and candidate.is_file():
      return parse_checked_size(height, width, candidate) if has_size else read_size(candidate)
  return complete_size(height, width, images, Path(path).name)


def parse_shape(record: Mapping[str, Any]) -> Shape | None:
  """Parses a shape; None if it has no points.

  Raises:
    UserError: its type is unknown, or a value is invalid.
  """
  kind, points = str(record.get('shape_type') or 'polygon'), parse_points(record.get('points'))
  if not points:
    return None
  check_pixels(points)
  name = parse_class_name(record.get('label'))
  if kind == 'polygon' and len(points) < 3:
    return Shape(name, Line(points), 'polygon of fewer than three points')
  if kind in LINES:
    return Shape(name, Line(points), kind)
  if kind in POINTS:
    return Shape(name, Line(points, is_joined=False), kind)
  return Shape(name, build_region(kind, points, record))


def build_region(kind: str, points: tuple[Point, ...], record: Mapping[str, Any]) -> Region:
  """Builds the region of a shape; raises UserError for an unknown type or number of points."""
  if kind not in REGIONS:
    known = ', '.join([*REGIONS, *LINES, *POINTS])
    raise UserError(f"a shape is of type '{kind}', known are {known}.")
  numbers, build = REGIONS[kind]
  if numbers and len(points) not in numbers:
    expected = ' or '.join(map(str, numbers))
    raise UserError(
      f'a {kind} has {len(points)} points; expected {expected}; draw it again or remove it.'
    )
  return build(points, record)


def build_polygon(points: tuple[Point, ...], record: Mapping[str, Any]) -> Polygon:
  """Builds a polygon from its corners."""
  return Polygon(points)


def build_rectangle(points: tuple[Point, ...], record: Mapping[str, Any]) -> Region:
  """Builds a rectangle from two opposite corners, or from four, as X-AnyLabeling writes it."""
  if len(points) == 4:
    return Polygon(points)
  (x0, y0), (x1, y1) = points
  return Rectangle(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))


def build_disc(points: tuple[Point, ...], record: Mapping[str, Any]) -> Ellipse:
  """Builds a disc from its center and a point on its edge."""
  (x, y), edge = points
  radius = math.dist((x, y), edge)
  return Ellipse(x, y, radius, radius)


def build_stencil(points: tuple[Point, ...], record: Mapping[str, Any]) -> Stencil:
  """Builds a stencil from its first corner and the base64 text in `record['mask']`."""
  (left, top), _ = points
  return Stencil(int(left), int(top), decode_base64(record.get('mask')))


REGIONS: Mapping[str, tuple[tuple[int, ...], Callable[..., Region]]] = {
  # shape_type: (possible numbers of points or () for any, builder)
  'polygon': ((), build_polygon),
  'rectangle': ((2, 4), build_rectangle),
  'oriented_rectangle': ((4,), build_polygon),
  'rotation': ((4,), build_polygon),
  'quadrilateral': ((4,), build_polygon),
  'circle': ((2,), build_disc),
  'mask': ((2,), build_stencil),
}
