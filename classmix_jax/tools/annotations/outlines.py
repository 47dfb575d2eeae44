"""Outlines of boxes and ellipses as polygons.

Synopsis:

    corners = rotate(outline_box(10, 10, 30, 20), center=(20, 15), degrees=90)
"""

from collections.abc import Sequence
import math

from classmix_jax.tools.annotations.annotation import Point

ELLIPSE_CORNERS = 360  # of the polygon that approximates an ellipse


def outline_box(left: float, top: float, right: float, bottom: float) -> list[Point]:
  """Returns the corners of a box, clockwise from the upper left one."""
  return [(left, top), (right, top), (right, bottom), (left, bottom)]


def outline_ellipse(x: float, y: float, horizontal: float, vertical: float) -> list[Point]:
  """Returns a polygon that approximates an ellipse with this center and these half axes."""
  angles = [2 * math.pi * corner / ELLIPSE_CORNERS for corner in range(ELLIPSE_CORNERS)]
  return [(x + horizontal * math.cos(a), y + vertical * math.sin(a)) for a in angles]


def rotate(points: Sequence[Point], center: Point, degrees: float) -> list[Point]:
  """Rotates points clockwise about a center.

  Example:
    >>> [(round(x), round(y)) for x, y in rotate([(3, 1)], (1, 1), 90)]
    [(1, 3)]
  """
  cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
  offsets = [(x - center[0], y - center[1]) for x, y in points]
  return [(center[0] + cos * x - sin * y, center[1] + sin * x + cos * y) for x, y in offsets]
