"""Reads labelme: one JSON file per image, in nested directories.

Synopsis:

    export = read(Path('DIR'), {})
    image = next(export.items)       # shapes in the order of the file, later ones on top

Regions are filled as in labelme's own export: they include the pixels on their outline. A point is
the single pixel that contains it.
"""

import base64
from collections.abc import Callable, Mapping
import dataclasses
import functools
import io
import math
from pathlib import Path
from typing import Any
import unicodedata

import numpy as np
from PIL import Image

from classmix_jax.data.files.colors import Color
from classmix_jax.errors import UserError
from classmix_jax.tools.annotations.annotation import (
  AnnotatedImage,
  Export,
  Point,
  Region,
  attempt,
)
from classmix_jax.tools.annotations.parsing import (
  parse_class_name,
  parse_points,
  parse_size,
  read_json_file,
)
from classmix_jax.tools.annotations.raster import Disc, Dot, Polygon, Rectangle, paste

NO_AREA = ('line', 'linestrip', 'points')


def read(path: Path, classes: Mapping[str, Color | None]) -> Export:
  """Reads a directory of JSON files, or one file.

  An image has the name of its JSON file; `imagePath` is ignored.

  Args:
    path: the directory or file.
    classes: unused.

  Example: `next(read(Path('DIR'), {}).items).name == 'city/a'` for DIR/city/a.json.
  """
  root = path.parent if path.is_file() else path
  files = [path] if path.is_file() else sorted(path.rglob('*.json'))
  items = (attempt(str(file), functools.partial(parse_image, file, root)) for file in files)
  return Export((), {}, len(files), items)


def parse_image(file: Path, root: Path) -> AnnotatedImage:
  """Parses one JSON file; raises UserError if it is unreadable or a value is invalid."""
  data = read_json_file(file)
  if not isinstance(data, dict) or not isinstance(data.get('shapes'), list):
    raise UserError("it has no list 'shapes', so it is not a file of labelme; move it elsewhere.")
  size = parse_size(data.get('imageHeight'), data.get('imageWidth'))
  shapes, skipped = [], []
  for shape in data['shapes']:
    if not isinstance(shape, dict):
      raise UserError(f'a shape is {str(shape)[:40]}; expected an object; save it again.')
    kind, points = str(shape.get('shape_type') or 'polygon'), parse_points(shape.get('points'))
    if kind in NO_AREA:
      skipped.append(kind)
    elif kind == 'polygon' and len(points) < 3:
      skipped.append('polygon of fewer than three points')
    else:
      shapes.append((parse_class_name(shape.get('label')), build_region(kind, points, shape)))
  name = file.relative_to(root).with_suffix('').as_posix()
  return AnnotatedImage(unicodedata.normalize('NFC', name), str(file), size, shapes, skipped)


def build_region(kind: str, points: tuple[Point, ...], shape: Mapping[str, Any]) -> Region:
  """Builds the region of a shape; raises UserError for an unknown type or number of points."""
  if kind not in SHAPES:
    raise UserError(f"a shape is of type '{kind}', known are {', '.join([*SHAPES, *NO_AREA])}.")
  expected, build = SHAPES[kind]
  if expected and len(points) != expected:
    raise UserError(f'a {kind} has {len(points)} points; expected {expected}; save it again.')
  return build(points, shape)


def build_polygon(points: tuple[Point, ...], shape: Mapping[str, Any]) -> Polygon:
  """Builds a polygon from its corners."""
  return Polygon(points)


def build_dot(points: tuple[Point, ...], shape: Mapping[str, Any]) -> Dot:
  """Builds a single pixel from a point."""
  return Dot(*points[0])


def build_rectangle(points: tuple[Point, ...], shape: Mapping[str, Any]) -> Rectangle:
  """Builds a rectangle from two opposite corners."""
  (x0, y0), (x1, y1) = points
  return Rectangle(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))


def build_disc(points: tuple[Point, ...], shape: Mapping[str, Any]) -> Disc:
  """Builds a disc from its center and a point on its edge."""
  (x, y), edge = points
  return Disc(x, y, math.dist((x, y), edge))


@dataclasses.dataclass(frozen=True)
class Stencil:
  """A mask in PNG format whose first pixel is at (left, top)."""

  left: int
  top: int
  png: bytes

  def paint(self, canvas: Image.Image, label: int) -> None:
    try:
      with Image.open(io.BytesIO(self.png), formats=['PNG']) as image:
        pixels = np.array(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
      raise UserError(f'a mask does not decode ({error}): save the file again.') from None
    if pixels.ndim != 2:
      raise UserError('a mask is a colour image; expected grey: save the file again.')
    paste(canvas, label, pixels > 0, self.left, self.top)


def build_stencil(points: tuple[Point, ...], shape: Mapping[str, Any]) -> Stencil:
  """Builds a stencil from its first corner and the base64 text in `shape['mask']`."""
  (left, top), _ = points
  try:
    png = base64.b64decode(shape['mask'], validate=True)
  except (KeyError, ValueError, TypeError):
    raise UserError("a mask has no base64 text at 'mask': save the file again.") from None
  return Stencil(int(left), int(top), png)


SHAPES: Mapping[str, tuple[int, Callable[..., Region]]] = {
  # shape_type: (number of points or 0 for any, builder)
  'polygon': (0, build_polygon),
  'rectangle': (2, build_rectangle),
  'oriented_rectangle': (4, build_polygon),
  'circle': (2, build_disc),
  'point': (1, build_dot),
  'mask': (2, build_stencil),
}
