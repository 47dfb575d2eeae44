"""Fills polygons as `cv2.fillPoly` does, by which Supervisely draws them.

Synopsis:

    square = ScanlinePolygon(((1, 1), (3, 1), (3, 3), (1, 3)))
    square.paint(canvas, label=2)        # 3 x 3 pixels: the outline belongs to a polygon

Coordinates are truncated to whole pixels. The pixels of a polygon are those on its outline, drawn
by Bresenham's algorithm, and those that a scanline along the row enters an odd number of times.
"""

from collections.abc import Sequence
import dataclasses

import numpy as np
from PIL import Image

from classmix_jax.tools.annotations.annotation import Point
from classmix_jax.tools.annotations.raster import paste
from classmix_jax.types import Size

Ring = Sequence[Point]


@dataclasses.dataclass(frozen=True)
class ScanlinePolygon:
  """A polygon, possibly with holes.

  Attributes:
    points: the outline.
    holes: outlines of the holes, which belong to the holes.
  """

  points: tuple[Point, ...]
  holes: tuple[tuple[Point, ...], ...] = ()

  def paint(self, canvas: Image.Image, label: int) -> None:
    size = canvas.height, canvas.width
    pixels = fill_rings([self.points], size)
    if self.holes:
      pixels &= ~fill_rings(self.holes, size)
    paste(canvas, label, pixels)


def fill_rings(rings: Sequence[Ring], size: Size) -> np.ndarray:
  """Returns the pixels of rings by the even-odd rule, with outlines, as `[H, W]` bool.

  Args:
    rings: closed outlines.
    size: (height, width).

  Example:
    >>> fill_rings([[(0, 0), (3, 0), (0, 2)]], (3, 4)).astype(int)
    array([[1, 1, 1, 1],
           [1, 1, 1, 0],
           [1, 0, 0, 0]])
  """
  height, width = size
  entries = np.zeros((height, width + 1), np.int32)
  outline = np.zeros(size, bool)
  for ring in rings:
    corners = [(int(x), int(y)) for x, y in ring]
    for start, stop in zip(corners, [*corners[1:], corners[0]], strict=True):
      xs, ys = list_line(*sorted((start, stop)))
      is_inside = (xs >= 0) & (xs < width) & (ys >= 0) & (ys < height)
      outline[ys[is_inside], xs[is_inside]] = True
      (x0, y0), (x1, y1) = sorted((start, stop), key=_get_row)
      rows = np.arange(max(y0, 0), min(y1, height))
      crossings = x0 - (y0 - rows) * (x1 - x0) // max(y1 - y0, 1)  # rounded up
      np.add.at(entries, (rows, np.clip(crossings, 0, width)), 1)
  return outline | (np.cumsum(entries, 1)[:, :width] % 2 == 1)


def _get_row(point: tuple[int, int]) -> int:
  return point[1]


def list_line(start: tuple[int, int], stop: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
  """Returns the columns and rows of a line from left to right; halves round to the start.

  Example:
    >>> list_line((0, 0), (4, 2))[1]
    array([0, 0, 1, 1, 2])
  """
  width, height = stop[0] - start[0], stop[1] - start[1]
  length = max(width, abs(height))
  steps = np.arange(length + 1)
  # The nearest pixel of the shorter side: rounded up after half a pixel is taken off.
  others = -((length - 2 * min(width, abs(height)) * steps) // max(2 * length, 1))
  others = np.maximum(others, 0)
  columns, rows = (steps, others) if width >= abs(height) else (others, steps)
  return start[0] + columns, start[1] + (rows if height >= 0 else -rows)
