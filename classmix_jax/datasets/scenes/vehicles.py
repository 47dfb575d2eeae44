"""Vehicles: how they are made up and painted.

Synopsis:

    car = make_car(rng, s=0.0, z=12.0, heading='away')
    paint_vehicle(scene, car)
"""

from collections.abc import Iterable
import dataclasses

import numpy as np

from classmix_jax.datasets.scenes.camera import Camera, Point
from classmix_jax.datasets.scenes.canvas import CANVAS_H, CANVAS_W, LAMP, Kind, kind
from classmix_jax.datasets.scenes.classes import CAR, TRUCK
from classmix_jax.datasets.scenes.draws import Rgb, Rng, chance, grey, hue, paint_colour, pick
from classmix_jax.datasets.scenes.scene import Scene
from classmix_jax.types import VOID

Corner = tuple[float, float]  # share of the length from tail to nose, share of the height

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
_OUTLINES = {**_CARS, **_TRUCKS}
_CAR_HEIGHTS = {'sedan': 1.42, 'hatch': 1.5, 'suv': 1.75, 'minivan': 1.8, 'pickup': 1.8}

_BLACK = np.array([0.05, 0.05, 0.06])
_ANGLES = np.linspace(0, 2 * np.pi, 11)[:-1]
_CIRCLE = list(zip(np.cos(_ANGLES).tolist(), np.sin(_ANGLES).tolist(), strict=True))


@dataclasses.dataclass(frozen=True)
class Vehicle:
  """A vehicle by its outline: where it stands, how large it is, which way it looks."""

  cls: int
  style: str
  s: float
  z: float
  length: float
  width: float
  height: float
  heading: str  # 'away', 'toward', 'across_left', 'across_right'
  paint: Rgb

  @property
  def crosses(self) -> bool:
    return self.heading.startswith('across')

  def place(self, camera: Camera, body: Iterable[tuple[float, float, float]]) -> list[Point]:
    """Body coordinates (0..1 along, -0.5..0.5 across, 0..1 up) -> pixels."""
    crosses, is_car, points = self.crosses, self.cls == CAR, []
    reverse = self.heading in ('toward', 'across_left')
    for t, lateral, y in body:
      if is_car:
        lateral *= 1 - 0.55 * max(y - 0.6, 0)  # narrow at the roof
      along = (1 - t if reverse else t) * self.length
      if crosses:
        s, z = self.s + along, self.z + (0.5 + lateral) * self.width
      else:
        s, z = self.s + lateral * self.width, self.z + along
      points.append(camera.point(s, y * self.height, z))
    return points


def make_car(rng: Rng, s: float, z: float, heading: str) -> Vehicle:
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


def paint_vehicle(scene: Scene, car: Vehicle):
  """Paints shadow, wheels, the cross faces from far to near, then the visible flank."""
  tag, outline = kind(car.cls, car.z), _OUTLINES[car.style]
  _shadow(scene, car)
  if not car.crosses:
    _tyres(scene, car, tag)
  faces = list(zip(outline[:-1], outline[1:], strict=True))
  if car.heading != 'toward':
    faces.reverse()  # the nose is the far end
  for a, b in faces:
    _cross_face(scene, car, a, b, tag)
  middle = car.s + scene.camera.curve * car.z**2
  if car.crosses or abs(middle) > 0.5 * car.width:
    lateral = -0.5 if car.crosses or middle > 0 else 0.5
    _flank(scene, car, outline, lateral, tag)
  if not car.crosses:
    _lamps(scene, car, tag)


def _shadow(scene: Scene, car: Vehicle):
  left, right = -0.55, 0.55
  if not car.crosses:
    shift = -scene.weather.sun_side * car.height * 0.7
    left, right = min(left, -0.5 + shift / car.width), max(right, 0.5 + shift / car.width)
  corners = [(-0.03, left, 0), (-0.03, right, 0), (1.03, right, 0), (1.03, left, 0)]
  scene.canvas.shadow(car.place(scene.camera, corners), 0.95)


def _tyres(scene: Scene, car: Vehicle, tag: Kind):
  """The dark gap below the body with the tyres in it."""
  t = 0.04 if car.heading == 'away' else 0.96
  for lateral in (-0.42, 0.42):
    a, b = lateral - 0.08, lateral + 0.08
    tyre = car.place(scene.camera, [(t, a, 0), (t, a, 0.35), (t, b, 0.35), (t, b, 0)])
    scene.canvas.polygon(tyre, _BLACK, tag)


def _cross_face(scene: Scene, car: Vehicle, a: Corner, b: Corner, tag: Kind):
  """The face between two neighbouring points of the outline: tail, roof, windscreen, bonnet."""
  level = abs(b[1] - a[1]) < 0.15
  light = 1.08 if level else 0.78 + 0.15 * scene.weather.sun_front
  scene.canvas.polygon(_strip(scene, car, a, b, 0.5), car.paint * light, tag)
  is_glass = not level and max(a[1], b[1]) > 0.9 and min(a[1], b[1]) > 0.4
  if is_glass or (car.style == 'bus' and not level):
    foot, head = (a, b) if b[1] > a[1] else (b, a)
    mix = lambda k: (foot[0] + (head[0] - foot[0]) * k, foot[1] + (head[1] - foot[1]) * k)
    pane = _strip(scene, car, mix(0.15 if is_glass else 0.45), mix(0.9), 0.43)
    scene.canvas.polygon(pane, _glass(scene.rng))


def _strip(scene: Scene, car: Vehicle, a: Corner, b: Corner, half: float) -> list[Point]:
  """The surface across the body from `a` to `b`, `half` to either side."""
  return car.place(
    scene.camera, [(a[0], -half, a[1]), (b[0], -half, b[1]), (b[0], half, b[1]), (a[0], half, a[1])]
  )


def _glass(rng: Rng) -> Rgb:
  return rng.uniform(0.06, 0.4) * np.array([0.9, 1.0, 1.1])


def _flank(scene: Scene, car: Vehicle, outline: tuple[Corner, ...], lateral: float, tag: Kind):
  """The side towards the camera, with its panes, a stripe and its wheels."""
  rng, camera, canvas = scene.rng, scene.camera, scene.canvas
  light = 0.85 + 0.2 * np.sign(lateral) * scene.weather.sun_side
  side = car.place(camera, [(t, lateral, y) for t, y in outline])
  canvas.polygon(side, car.paint * light, tag)
  board = lambda t0, t1, y0, y1: car.place(
    camera, [(t0, lateral, y0), (t0, lateral, y1), (t1, lateral, y1), (t1, lateral, y0)]
  )
  glass = _glass(rng)
  for pane in _panes(car.style, outline):
    canvas.polygon(board(*pane), glass)
  if car.cls == TRUCK and chance(rng, 0.6):  # a stripe or a poster
    y0, y1 = sorted(rng.uniform(0.15, 0.45 if car.style == 'bus' else 0.95, 2).tolist())
    colour = hue(rng, rng.uniform(0, 0.9), rng.uniform(0.2, 0.9))
    canvas.polygon(board(0, 0.69, y0, y1), colour)
  radius = 0.33 if car.cls == CAR else 0.5
  for t in (0.19, 0.8):
    wheel = lambda r, t=t: car.place(
      camera,
      [
        (t + r / car.length * cos, lateral, (radius + r * sin) / car.height) for cos, sin in _CIRCLE
      ],
    )
    canvas.polygon(wheel(radius), _BLACK, tag)
    canvas.polygon(wheel(0.55 * radius), grey(rng, 0.2, 0.6))


def _panes(style: str, outline: tuple[Corner, ...]) -> list[tuple[float, float, float, float]]:
  """The side windows: from, to (along the body), lower and upper edge."""
  if style == 'bus':
    return [(0.04 + 0.155 * k, 0.17 + 0.155 * k, 0.48, 0.88) for k in range(6)]
  if style == 'lorry':
    return [(0.77, 0.92, 0.48, 0.68)]
  rear, front = (t for t, y in outline if y > 0.9)
  mid = 0.5 * (rear + front)
  return [(rear - 0.02, mid - 0.02, 0.66, 0.93), (mid + 0.02, front + 0.04, 0.66, 0.93)]


def _lamps(scene: Scene, car: Vehicle, tag: Kind):
  """Tail or head lamps and the number plate on the near end."""
  tail = car.heading == 'away'
  t, y = (0.0, 0.5) if tail else (1.0, 0.45)
  if car.cls == TRUCK:
    y = 0.25
  colour = np.array([0.75, 0.06, 0.05]) if tail else np.array([0.95, 0.93, 0.8])
  board = lambda left, right, low, high: car.place(
    scene.camera, [(t, left, low), (t, left, high), (t, right, high), (t, right, low)]
  )
  if scene.weather.night > 0 or chance(scene.rng, 0.2):
    tag = kind(car.cls, car.z, LAMP)
  for lateral in (-0.4, 0.4):
    lamp = board(lateral - 0.07, lateral + 0.07, y - 0.05, y + 0.05)
    scene.canvas.polygon(lamp, colour, tag)
  scene.canvas.polygon(board(-0.13, 0.13, 0.3, 0.36), np.array([0.85, 0.85, 0.75]))


def paint_bonnet(scene: Scene):
  """The own bonnet at the lower edge: VOID."""
  rise, bulge = scene.rng.uniform(6, 20), scene.rng.uniform(0.55, 0.8) * CANVAS_W
  paint, u = paint_colour(scene.rng) * 0.7, CANVAS_W / 2
  scene.canvas.ellipse(u, CANVAS_H + 30, bulge, 30 + rise, paint, kind(VOID, 1))
  scene.canvas.ellipse(u, CANVAS_H + 34, bulge * 0.9, 30 + rise * 0.9, paint * 1.25)
