"""Vehicles: outlines, sizes and places.

Synopsis:

    car = make_car(rng, s=0.0, z=12.0, heading='away')
    paint_vehicle(scene, car)    # vehicle_painters.py
"""

from collections.abc import Iterable
import dataclasses

from classmix_jax.datasets.scenes.camera import Camera, CanvasPoint
from classmix_jax.datasets.scenes.classes import CAR, TRUCK
from classmix_jax.datasets.scenes.draws import Rgb, Rng, paint_colour, pick

Corner = tuple[float, float]  # fractions of the length (from the tail) and of the height

# Outlines from tail to nose.
_CARS: dict[str, tuple[Corner, ...]] = {
  'sedan': (
    (0, 0.22),
    (0, 0.62),
    (0.14, 0.66),
    (0.28, 1),
    (0.6, 1),
    (0.76, 0.66),
    (1, 0.56),
    (1, 0.22),
  ),
  'hatch': ((0, 0.22), (0, 0.64), (0.09, 0.98), (0.55, 1), (0.75, 0.66), (1, 0.56), (1, 0.22)),
  'suv': ((0, 0.25), (0, 0.66), (0.05, 1), (0.6, 1), (0.74, 0.68), (1, 0.62), (1, 0.25)),
  'minivan': ((0, 0.2), (0, 0.58), (0.04, 1), (0.66, 1), (0.88, 0.6), (1, 0.48), (1, 0.2)),
  'pickup': (
    (0, 0.25),
    (0, 0.6),
    (0.38, 0.6),
    (0.41, 1),
    (0.62, 1),
    (0.76, 0.64),
    (1, 0.58),
    (1, 0.25),
  ),
}
_TRUCKS: dict[str, tuple[Corner, ...]] = {
  'bus': ((0, 0.1), (0, 1), (0.98, 1), (1, 0.5), (1, 0.1)),
  'lorry': ((0, 0.18), (0, 1), (0.7, 1), (0.72, 0.72), (0.9, 0.74), (0.97, 0.5), (1, 0.18)),
}
OUTLINES = {**_CARS, **_TRUCKS}
_CAR_HEIGHTS = {'sedan': 1.42, 'hatch': 1.5, 'suv': 1.75, 'minivan': 1.8, 'pickup': 1.8}


@dataclasses.dataclass(frozen=True)
class Vehicle:
  """A vehicle on the road.

  Attributes:
    cls: CAR or TRUCK.
    style: key of its outline.
    s, z: place in metres.
    length, width, height: size in metres.
    heading: 'away', 'toward', 'across_left' or 'across_right'.
    paint: colour.
  """

  cls: int
  style: str
  s: float
  z: float
  length: float
  width: float
  height: float
  heading: str
  paint: Rgb

  @property
  def crosses(self) -> bool:
    """Whether it drives across the view."""
    return self.heading.startswith('across')

  def place(self, camera: Camera, body: Iterable[tuple[float, float, float]]) -> list[CanvasPoint]:
    """Projects body coordinates (0..1 along, -0.5..0.5 across, 0..1 up) to pixels."""
    crosses, is_car, points = self.crosses, self.cls == CAR, []
    reverse = self.heading in ('toward', 'across_left')
    for t, lateral, y in body:
      if is_car:
        lateral *= 1 - 0.55 * max(y - 0.6, 0)  # the roof is narrower
      along = (1 - t if reverse else t) * self.length
      if crosses:
        s, z = self.s + along, self.z + (0.5 + lateral) * self.width
      else:
        s, z = self.s + lateral * self.width, self.z + along
      points.append(camera.point(s, y * self.height, z))
    return points


def make_car(rng: Rng, s: float, z: float, heading: str) -> Vehicle:
  """Draws a random car."""
  style = pick(rng, tuple(_CARS))
  return Vehicle(
    CAR,
    style,
    s,
    z,
    rng.uniform(3.7, 4.9),
    rng.uniform(1.7, 1.95),
    _CAR_HEIGHTS[style] * rng.uniform(0.95, 1.05),
    heading,
    paint_colour(rng),
  )


def make_truck(rng: Rng, s: float, z: float, heading: str) -> Vehicle:
  """Draws a random bus or lorry."""
  style = pick(rng, tuple(_TRUCKS))
  return Vehicle(
    TRUCK,
    style,
    s,
    z,
    rng.uniform(6.5, 11),
    rng.uniform(2.3, 2.6),
    rng.uniform(2.7, 3.7),
    heading,
    paint_colour(rng),
  )
