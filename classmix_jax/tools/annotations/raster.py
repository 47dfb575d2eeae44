"""Paints regions into a mask of class ids, with PIL and NumPy.

Synopsis:

    square = Polygon(((1, 1), (3, 1), (3, 3), (1, 3)))
    mask = rasterize((6, 8), [(0, square)], blank=VOID)    # [6, 8] uint8
"""

from collections.abc import Sequence
import dataclasses
import functools
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from classmix_jax.data.files.colors import Color, pack_color, pack_colors
from classmix_jax.data.files.image_io import read_image
from classmix_jax.tools.annotations.annotation import Point, Region
from classmix_jax.types import Size


def rasterize(size: Size, shapes: Sequence[tuple[int, Region]], blank: int) -> np.ndarray:
  """Paints regions on a mask in order, so that later regions cover earlier ones.

  Args:
    size: (height, width).
    shapes: (class id, region) in painting order.
    blank: class id of the pixels outside all regions.

  Returns:
    `[H, W]` uint8 class ids.

  Raises:
    UserError: a region cannot be decoded.

  Example:
    >>> rasterize((2, 3), [(1, Rectangle(1, 0, 2, 0)), (0, Line(((2, 0),)))], blank=255)
    array([[255,   1,   0],
           [255, 255, 255]], dtype=uint8)
  """
  canvas = Image.new('L', size[::-1], blank)
  for label, region in shapes:
    region.paint(canvas, label)
  return np.array(canvas)


def has_pixels(region: Region, size: Size) -> bool:
  """Returns whether a region has pixels in an image of size (height, width).

  Raises:
    UserError: it cannot be decoded.

  Example:
    >>> has_pixels(Rectangle(1, 0, 2, 0), (2, 3)), has_pixels(Rectangle(5, 0, 9, 0), (2, 3))
    (True, False)
  """
  canvas = Image.new('L', size[::-1], 0)
  region.paint(canvas, 1)
  return canvas.getbbox() is not None


def paste(canvas: Image.Image, label: int, pixels: np.ndarray, left: int = 0, top: int = 0) -> None:
  """Paints the True pixels of `[h, w]` bool, placed with its first pixel at (left, top)."""
  stencil = Image.fromarray(np.ascontiguousarray(pixels, np.uint8) * np.uint8(255))
  canvas.paste(label, (left, top), stencil)


# ------------------------------------------------------- outlines, as labelme fills them
# Coordinates are truncated to whole pixels, and the outline belongs to the region.


@dataclasses.dataclass(frozen=True)
class Polygon:
  """A polygon with three or more corners."""

  points: tuple[Point, ...]

  def paint(self, canvas: Image.Image, label: int) -> None:
    ImageDraw.Draw(canvas).polygon(self.points, fill=label, outline=label)


@dataclasses.dataclass(frozen=True)
class Rectangle:
  """A rectangle with sides parallel to the image."""

  left: float
  top: float
  right: float
  bottom: float

  def paint(self, canvas: Image.Image, label: int) -> None:
    box = (self.left, self.top, self.right, self.bottom)
    ImageDraw.Draw(canvas).rectangle(box, fill=label, outline=label)


@dataclasses.dataclass(frozen=True)
class Ellipse:
  """A filled ellipse with axes parallel to the image."""

  x: float
  y: float
  horizontal: float
  vertical: float

  def paint(self, canvas: Image.Image, label: int) -> None:
    box = (
      self.x - self.horizontal,
      self.y - self.vertical,
      self.x + self.horizontal,
      self.y + self.vertical,
    )
    ImageDraw.Draw(canvas).ellipse(box, fill=label, outline=label)


@dataclasses.dataclass(frozen=True)
class Line:
  """A line through one or more points, with round joints and ends.

  Attributes:
    points: the corners; a single one is a disc.
    width: in pixels.
    is_joined: whether the points are connected; otherwise each is a disc.
  """

  points: tuple[Point, ...]
  width: int = 1
  is_joined: bool = True

  def paint(self, canvas: Image.Image, label: int) -> None:
    draw = ImageDraw.Draw(canvas)
    if self.is_joined:
      draw.line(self.points, fill=label, width=self.width)
    for x, y in self.points:
      # PIL's wide lines have the extra pixel of an even width to the right and below.
      left, top = math.floor(x) - (self.width - 1) // 2, math.floor(y) - (self.width - 1) // 2
      if self.width < 3:  # PIL draws no such ellipses
        box = (left, top, left + self.width - 1, top + self.width - 1)
        draw.rectangle(box, fill=label)
      else:
        draw.ellipse((left, top, left + self.width - 1, top + self.width - 1), fill=label)


# ------------------------------------------------------------------ pixels one by one


@dataclasses.dataclass(frozen=True, eq=False)
class RowRuns:
  """Run lengths by rows within a box, starting with pixels outside the region.

  Attributes:
    left, top, width, height: the box.
    counts: `[N]` int64 lengths, whose sum is width * height.
  """

  left: int
  top: int
  width: int
  height: int
  counts: np.ndarray

  def paint(self, canvas: Image.Image, label: int) -> None:
    inside = np.arange(len(self.counts)) % 2 == 1
    pixels = np.repeat(inside, self.counts).reshape(self.height, self.width)
    paste(canvas, label, pixels, self.left, self.top)


@dataclasses.dataclass(frozen=True)
class ColorRegion:
  """The pixels of one colour in an image file.

  Attributes:
    path: the file.
    color: (r, g, b).
  """

  path: Path
  color: Color

  def paint(self, canvas: Image.Image, label: int) -> None:
    paste(canvas, label, read_packed_colors(self.path) == pack_color(self.color))


@functools.lru_cache(maxsize=1)  # the regions of one image are painted consecutively
def _packed(path: Path, changed: int) -> np.ndarray:
  packed = pack_colors(read_image(path))
  packed.flags.writeable = False  # the cache shares it with all callers
  return packed


def read_packed_colors(path: Path) -> np.ndarray:
  """Reads the colours of an image file, of any mode, as packed `[H, W]` int32.

  Raises:
    UserError: the file is missing or corrupt.

  Example: `read_packed_colors(Path('mask.png'))[0, 0] == pack_color((128, 64, 128))`.
  """
  return _packed(path, path.stat().st_mtime_ns if path.exists() else 0)
