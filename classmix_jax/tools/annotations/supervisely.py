"""Reads Supervisely: a project, or one of its data sets, with a JSON file per image.

Synopsis:

    export = read(Path('PROJECT'), Options())    # PROJECT/meta.json, PROJECT/ds0/ann/a.jpg.json
    image = next(export.items)                   # 'ds0/a'; later objects on top

Polygons and rectangles include the pixels on their outline, as Supervisely draws them.
"""

from collections.abc import Callable, Mapping
import dataclasses
from functools import partial
from pathlib import Path
from typing import Any
import zlib

from PIL import Image

from classmix_jax.data.files.colors import Color
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
from classmix_jax.tools.annotations.cvat import parse_color
from classmix_jax.tools.annotations.detect import Sample
from classmix_jax.tools.annotations.image_files import (
  ImageIndex,
  complete_size,
  index_images,
)
from classmix_jax.tools.annotations.parsing import (
  check_pixels,
  parse_class_name,
  parse_image_name,
  parse_points,
  read_json_file,
)
from classmix_jax.tools.annotations.raster import Line, Rectangle
from classmix_jax.tools.annotations.scanline import ScanlinePolygon
from classmix_jax.tools.annotations.stencil import Stencil, decode_base64

ANNOTATIONS = 'ann'  # directory of a data set with its JSON files
META = 'meta.json'
MAX_BYTES = 2**28  # of a decompressed PNG
LINES = ('line', 'polyline', 'point')


def matches(sample: Sample) -> bool:
  """Returns whether a sample is of a Supervisely project."""
  return any(
    isinstance(content, dict)
    and isinstance(content.get('objects'), list)
    and isinstance(content.get('size'), dict)
    for content in sample.contents
  )


def read(path: Path, options: Options) -> Export:
  """Reads a project or a data set; the classes are those of meta.json, sorted by name.

  Args:
    path: the directory of a project, of a data set or of its JSON files, or one JSON file. An
      image has the name DATASET/NAME in a project, and NAME in a data set.
    options: `images` are the images, for files without a size.

  Raises:
    UserError: there is no directory `ann`, or meta.json is malformed.

  Example: `next(read(Path('PROJECT'), Options()).items).name == 'ds0/a'`.
  """
  root = path.parent if path.is_file() or path.name == ANNOTATIONS else path
  root = root.parent if root.name == ANNOTATIONS else root
  files = [path] if path.is_file() else sorted(find_annotations(path))
  if not files:
    raise UserError(
      f'{path} has no directory {ANNOTATIONS} with JSON files; set --input to the project, which '
      f'has {META} and its data sets.'
    )
  colors = read_classes(root)
  images = index_images(options.images)
  parse, find_name = partial(parse_image, root=root, images=images), partial(name_file, root=root)
  items = parse_files(files, parse, find_name)
  return Export(tuple(sorted(colors)), colors, len(files), items)


def find_annotations(path: Path) -> list[Path]:
  """Returns the JSON files below all directories `ann`."""
  return [
    file
    for file in path.rglob('*.json')
    if ANNOTATIONS in (path.name, *file.relative_to(path).parts[:-1])
    and not file.name.startswith('.')
  ]


def read_classes(root: Path) -> dict[str, Color | None]:
  """Reads class name -> colour from meta.json in a directory or one of the two above it.

  Raises:
    UserError: meta.json is not of Supervisely.
  """
  files = [parent / META for parent in (root, *root.resolve().parents[:2])]
  file = next((file for file in files if file.is_file()), None)
  if file is None:
    return {}
  try:
    data = read_json_file(file)
    if not isinstance(data, dict) or not isinstance(data.get('classes'), list):
      raise UserError("it has no list 'classes'.")
    records = [record for record in data['classes'] if isinstance(record, dict)]
    return {
      parse_class_name(record.get('title')): parse_color(str(record.get('color')))
      for record in records
    }
  except UserError as error:
    raise UserError(f'{file} is not of a Supervisely project: {error}') from None


def parse_image(file: Path, root: Path, images: ImageIndex) -> AnnotatedImage:
  """Parses one JSON file; raises UserError if it is unreadable or a value is invalid."""
  data = read_json_file(file)
  if not isinstance(data, dict) or not isinstance(data.get('objects'), list):
    raise UserError("it has no list 'objects', so it is not of Supervisely; move it elsewhere.")
  sides = data.get('size')
  sides = sides if isinstance(sides, dict) else {}
  name = name_file(file, root)
  shapes = [parse_object(record) for record in data['objects']]
  size = complete_size(sides.get('height'), sides.get('width'), images, name)
  return AnnotatedImage(name, str(file), size, shapes)


def name_file(file: Path, root: Path) -> str:
  """Returns the name of the image of a JSON file; raises UserError if it is invalid."""
  directory = list(file.relative_to(root).parent.parts)
  if ANNOTATIONS in directory:
    del directory[len(directory) - 1 - directory[::-1].index(ANNOTATIONS)]
  return parse_image_name('/'.join([*directory, file.stem]))


def parse_object(record: Any) -> Shape:
  """Parses an object; raises UserError if its geometry is unknown or malformed."""
  if not isinstance(record, dict):
    raise UserError(f'an object is {str(record)[:40]}; expected a JSON object; export again.')
  name = parse_class_name(record.get('classTitle'))
  kind = record.get('geometryType') or ('bitmap' if record.get('bitmap') else 'polygon')
  if kind in ('cuboid', 'graph'):
    return Shape('', parse_surroundings(record), kind)
  if kind in LINES:
    return Shape(name, Line(parse_corners(record, 'exterior', 1)), kind)
  if kind not in REGIONS:
    raise UserError(
      f"an object has the geometry '{kind}', known are {', '.join([*REGIONS, *LINES])}, cuboid and "
      'graph.'
    )
  if kind == 'polygon' and 0 < len(corners := parse_corners(record, 'exterior', 1)) < 3:
    return Shape(name, Line(corners), 'polygon of fewer than three points')
  return Shape(name, REGIONS[kind](record))


def parse_corners(record: Mapping[str, Any], key: str, least: int) -> tuple[Point, ...]:
  """Parses the points of an object; raises UserError if there are fewer than `least`."""
  points = record.get('points')
  corners = parse_points(points.get(key) if isinstance(points, dict) else None)
  check_pixels(corners)
  if len(corners) < least:
    raise UserError(f'an object has {len(corners)} points, expected are {least} or more.')
  return corners


def parse_surroundings(record: Mapping[str, Any]) -> Rectangle:
  """Returns the box around all points of a cuboid or a graph."""
  nodes = record.get('nodes')
  points = (
    [node.get('loc') for node in nodes.values() if isinstance(node, dict)]
    if isinstance(nodes, dict)
    else record.get('points')
  )
  corners = parse_points(points)
  if not corners:
    raise UserError('an object has no points: export again.')
  xs, ys = zip(*corners, strict=True)
  return Rectangle(min(xs), min(ys), max(xs), max(ys))


def parse_polygon(record: Mapping[str, Any]) -> ScanlinePolygon:
  """Parses {'points': {'exterior': [[x, y], ...], 'interior': [...]}}."""
  points = record['points']
  exterior = parse_corners(record, 'exterior', 3)
  interior = points.get('interior') or []
  if not isinstance(interior, list):
    raise UserError(f'the holes of a polygon are {str(interior)[:40]}; expected lists of points.')
  holes = tuple(hole for hole in map(parse_points, interior) if len(hole) > 2)
  return ScanlinePolygon(exterior, holes)


def parse_rectangle(record: Mapping[str, Any]) -> Rectangle:
  """Parses a rectangle from two opposite corners."""
  (x0, y0), (x1, y1) = parse_corners(record, 'exterior', 2)[:2]
  return Rectangle(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))


@dataclasses.dataclass(frozen=True)
class CompressedStencil:
  """A `Stencil` whose PNG is compressed by zlib."""

  left: int
  top: int
  data: bytes

  def paint(self, canvas: Image.Image, label: int) -> None:
    stream = zlib.decompressobj()
    try:
      png = stream.decompress(self.data, MAX_BYTES)
    except zlib.error as error:
      raise UserError(f'a bitmap does not decode ({error}): export again.') from None
    if not stream.eof:
      raise UserError(f'a bitmap is cut off, or has more than {MAX_BYTES} bytes: export again.')
    Stencil(self.left, self.top, png).paint(canvas, label)


def parse_bitmap(record: Mapping[str, Any]) -> CompressedStencil:
  """Parses {'bitmap': {'data': base64 of a compressed PNG, 'origin': [x, y]}}."""
  bitmap = record.get('bitmap')
  if not isinstance(bitmap, dict):
    raise UserError('a bitmap has no data: export again.')
  ((left, top),) = parse_points([bitmap.get('origin')])
  return CompressedStencil(int(left), int(top), decode_base64(bitmap.get('data')))


REGIONS: Mapping[str, Callable[[Mapping[str, Any]], Region]] = {
  'polygon': parse_polygon,
  'rectangle': parse_rectangle,
  'bitmap': parse_bitmap,
  'alpha_mask': parse_bitmap,
}
