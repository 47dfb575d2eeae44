"""A pinhole camera: projects metres on and above the road to pixels of the canvas.

Synopsis:

    camera = draw_camera(rng)
    u, v = camera.point(s=2.0, y=0.0, z=10.0)
    quad = camera.wall(s=5.0, low=0.0, high=3.0, z1=10.0, z2=20.0)  # four points
"""

from collections.abc import Iterable
import dataclasses

import numpy as np

from classmix_jax.datasets.scenes.canvas import CANVAS_H, CANVAS_W
from classmix_jax.datasets.scenes.draws import Rng

NEAR, FAR = 1.6, 110.0  # range of the objects' distances in metres

CanvasPoint = tuple[float, float]  # (u, v), column and row in pixels


@dataclasses.dataclass(frozen=True)
class Camera:
  """A camera above a curved road.

  Attributes:
    focal: focal length in pixels.
    centre, horizon: column and row of the vanishing point in pixels.
    height: height above the road in metres.
    curve: curvature of the road in 1/m.
  """

  focal: float
  centre: float
  horizon: float
  height: float
  curve: float

  def point(self, s: float, y: float, z: float) -> CanvasPoint:
    """Projects world coordinates (z > 0) to a pixel (u, v)."""
    return (
      self.centre + self.focal * (s / z + self.curve * z),
      self.horizon + self.focal * (self.height - y) / z,
    )

  def points(self, corners: Iterable[tuple[float, float, float]]) -> list[CanvasPoint]:
    """Projects several (s, y, z); faster than `project` for few points."""
    return [self.point(*corner) for corner in corners]

  def wall(self, s: float, low: float, high: float, z1: float, z2: float) -> list[CanvasPoint]:
    """Projects the four corners of an upright rectangle along the road."""
    return self.points([(s, low, z1), (s, high, z1), (s, high, z2), (s, low, z2)])

  def project(self, s, y, z) -> np.ndarray:
    """Projects arrays of world coordinates (broadcastable) to pixels `[..., 2]`."""
    u, v = self.point(s, y, z)
    pixels = np.empty(np.broadcast(u, v).shape + (2,))
    pixels[..., 0], pixels[..., 1] = u, v
    return pixels


def draw_camera(rng: Rng) -> Camera:
  """Draws a random camera."""
  return Camera(
    focal=rng.uniform(230, 330),
    centre=CANVAS_W * rng.uniform(0.36, 0.64),
    horizon=CANVAS_H * rng.uniform(0.36, 0.54),
    height=rng.uniform(1.3, 2.6),
    curve=rng.normal() * 0.0011,
  )
