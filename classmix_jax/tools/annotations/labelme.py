"""labelme: one JSON file per image, in nested folders.

Synopsis:

    export = read(Path('DIR'), {})
    picture = next(export.items)     # shapes in the order of the file, later ones on top

Regions are filled as labelme's own export fills them: pixels that the outline
touches belong to them. A point is the one pixel that it lies in.
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
  Export,
  Picture,
  Point,
  Region,
  attempt,
  checked_size,
  class_name,
  points_of,
  read_json,
)
from classmix_jax.tools.annotations.raster import Disc, Dot, Polygon, Rectangle, paste

NO_AREA = ('line', 'linestrip', 'points')


def read(path: Path, classes: Mapping[str, Color | None]) -> Export:
  """Returns the export in a folder of JSON files, or in one of them.

  A picture has the name of its JSON file; `imagePath` is not looked at.

  Args:
    path: the folder or file.
    classes: not needed here.

  Example: `next(read(Path('DIR'), {}).items).name == 'city/a'` for DIR/city/a.json.
  """
  root = path.parent if path.is_file() else path
  files = [path] if path.is_file() else sorted(path.rglob('*.json'))
  items = (attempt(str(file), functools.partial(picture, file, root)) for file in files)
  return Export((), {}, len(files), items)


def picture(file: Path, root: Path) -> Picture:
  """Returns the picture of one JSON file; UserError where it cannot be read."""
  data = read_json(file)
  if not isinstance(data, dict) or not isinstance(data.get('shapes'), list):
    raise UserError("it holds no list 'shapes': it is no file of labelme; move it elsewhere.")
  size = checked_size(data.get('imageHeight'), data.get('imageWidth'))
  shapes, skipped = [], []
  for shape in data['shapes']:
    if not isinstance(shape, dict):
      raise UserError(f'a shape is {str(shape)[:40]}, expected is an object; save it again.')
    kind, points = str(shape.get('shape_type') or 'polygon'), points_of(shape.get('points'))
    if kind in NO_AREA:
      skipped.append(kind)
    elif kind == 'polygon' and len(points) < 3:
      skipped.append('polygon of fewer than three points')
    else:
      shapes.append((class_name(shape.get('label')), region_of(kind, points, shape)))
  name = file.relative_to(root).with_suffix('').as_posix()
  return Picture(unicodedata.normalize('NFC', name), str(file), size, shapes, skipped)


def region_of(kind: str, points: tuple[Point, ...], shape: Mapping[str, Any]) -> Region:
  """Returns the region of a shape; UserError for types and points that are not known."""
  if kind not in SHAPES:
    raise UserError(f"a shape is of type '{kind}', known are {', '.join([*SHAPES, *NO_AREA])}.")
  wanted, make = SHAPES[kind]
  if wanted and len(points) != wanted:
    raise UserError(f'a {kind} has {len(points)} points, expected are {wanted}; save it again.')
  return make(points, shape)


def rectangle(points: tuple[Point, ...], shape: Mapping[str, Any]) -> Rectangle:
  (x0, y0), (x1, y1) = points
  return Rectangle(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))


def circle(points: tuple[Point, ...], shape: Mapping[str, Any]) -> Disc:
  (x, y), edge = points
  return Disc(x, y, math.dist((x, y), edge))


@dataclasses.dataclass(frozen=True)
class Stencil:
  """A mask in PNG format whose first pixel lies at (left, top)."""

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
      raise UserError('a mask is a picture in colours, expected is grey: save the file again.')
    paste(canvas, label, pixels > 0, self.left, self.top)


def stencil(points: tuple[Point, ...], shape: Mapping[str, Any]) -> Stencil:
  (left, top), _ = points
  try:
    png = base64.b64decode(shape.get('mask'), validate=True)
  except (ValueError, TypeError):
    raise UserError("a mask holds no text in base64 at 'mask': save the file again.") from None
  return Stencil(int(left), int(top), png)


SHAPES: Mapping[str, tuple[int, Callable[..., Region]]] = {  # type: (points, maker)
  'polygon': (0, lambda points, shape: Polygon(points)),
  'rectangle': (2, rectangle),
  'oriented_rectangle': (4, lambda points, shape: Polygon(points)),
  'circle': (2, circle),
  'point': (1, lambda points, shape: Dot(*points[0])),
  'mask': (2, stencil),
}
