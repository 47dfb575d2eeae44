"""Painters of vehicles, and of the camera car's bonnet."""

import numpy as np

from classmix_jax.datasets.scenes.camera import CanvasPoint
from classmix_jax.datasets.scenes.canvas import CANVAS_H, CANVAS_W, LAMP, Kind, kind
from classmix_jax.datasets.scenes.classes import CAR, TRUCK
from classmix_jax.datasets.scenes.draws import Rgb, Rng, chance, grey, hue, paint_colour
from classmix_jax.datasets.scenes.scene import Scene
from classmix_jax.datasets.scenes.vehicles import OUTLINES, Corner, Vehicle
from classmix_jax.types import VOID

_BLACK = np.array([0.05, 0.05, 0.06])
_TYRE_ANGLES = np.linspace(0, 2 * np.pi, 11)[:-1]
_CIRCLE = list(zip(np.cos(_TYRE_ANGLES).tolist(), np.sin(_TYRE_ANGLES).tolist(), strict=True))


def paint_vehicle(scene: Scene, car: Vehicle):
  """Paints the shadow, the tyres, the faces across the body from far to near, and the flank."""
  tag, outline = kind(car.cls, car.z), OUTLINES[car.style]
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
  """Paints the two tyres of the near end."""
  t = 0.04 if car.heading == 'away' else 0.96
  for lateral in (-0.42, 0.42):
    a, b = lateral - 0.08, lateral + 0.08
    tyre = car.place(scene.camera, [(t, a, 0), (t, a, 0.35), (t, b, 0.35), (t, b, 0)])
    scene.canvas.polygon(tyre, _BLACK, tag)


def _cross_face(scene: Scene, car: Vehicle, a: Corner, b: Corner, tag: Kind):
  """Paints the face between two neighbouring points of the outline, e.g. roof or windscreen."""
  level = abs(b[1] - a[1]) < 0.15
  light = 1.08 if level else 0.78 + 0.15 * scene.weather.sun_front
  scene.canvas.polygon(_strip(scene, car, a, b, 0.5), car.paint * light, tag)
  is_glass = not level and max(a[1], b[1]) > 0.9 and min(a[1], b[1]) > 0.4
  if is_glass or (car.style == 'bus' and not level):
    foot, head = (a, b) if b[1] > a[1] else (b, a)
    low, high = _between(foot, head, 0.15 if is_glass else 0.45), _between(foot, head, 0.9)
    pane = _strip(scene, car, low, high, 0.43)
    scene.canvas.polygon(pane, _glass(scene.rng))


def _between(a: Corner, b: Corner, k: float) -> Corner:
  """Interpolates from `a` (k = 0) to `b` (k = 1)."""
  return a[0] + (b[0] - a[0]) * k, a[1] + (b[1] - a[1]) * k


def _strip(scene: Scene, car: Vehicle, a: Corner, b: Corner, half: float) -> list[CanvasPoint]:
  """Returns the pixels of the face from `a` to `b`, `half` of the width to either side."""
  return car.place(
    scene.camera, [(a[0], -half, a[1]), (b[0], -half, b[1]), (b[0], half, b[1]), (a[0], half, a[1])]
  )


def _glass(rng: Rng) -> Rgb:
  return rng.uniform(0.06, 0.4) * np.array([0.9, 1.0, 1.1])


def _flank(scene: Scene, car: Vehicle, outline: tuple[Corner, ...], lateral: float, tag: Kind):
  """Paints the side towards the camera: panes, a stripe and wheels."""
  rng, camera, canvas = scene.rng, scene.camera, scene.canvas
  light = 0.85 + 0.2 * np.sign(lateral) * scene.weather.sun_side
  side = car.place(camera, [(t, lateral, y) for t, y in outline])
  canvas.polygon(side, car.paint * light, tag)

  def board(t0: float, t1: float, y0: float, y1: float) -> list[CanvasPoint]:
    corners = [(t0, lateral, y0), (t0, lateral, y1), (t1, lateral, y1), (t1, lateral, y0)]
    return car.place(camera, corners)

  glass = _glass(rng)
  for pane in _panes(car.style, outline):
    canvas.polygon(board(*pane), glass)
  if car.cls == TRUCK and chance(rng, 0.6):  # a stripe or a poster
    y0, y1 = sorted(rng.uniform(0.15, 0.45 if car.style == 'bus' else 0.95, 2).tolist())
    colour = hue(rng, rng.uniform(0, 0.9), rng.uniform(0.2, 0.9))
    canvas.polygon(board(0, 0.69, y0, y1), colour)
  radius = 0.33 if car.cls == CAR else 0.5

  def wheel(t: float, r: float) -> list[CanvasPoint]:
    rim = [
      (t + r / car.length * cos, lateral, (radius + r * sin) / car.height) for cos, sin in _CIRCLE
    ]
    return car.place(camera, rim)

  for t in (0.19, 0.8):
    canvas.polygon(wheel(t, radius), _BLACK, tag)
    canvas.polygon(wheel(t, 0.55 * radius), grey(rng, 0.2, 0.6))


def _panes(style: str, outline: tuple[Corner, ...]) -> list[tuple[float, float, float, float]]:
  """Returns the side windows: start and end along the body, lower and upper edge."""
  if style == 'bus':
    return [(0.04 + 0.155 * k, 0.17 + 0.155 * k, 0.48, 0.88) for k in range(6)]
  if style == 'lorry':
    return [(0.77, 0.92, 0.48, 0.68)]
  rear, front = (t for t, y in outline if y > 0.9)
  mid = 0.5 * (rear + front)
  return [(rear - 0.02, mid - 0.02, 0.66, 0.93), (mid + 0.02, front + 0.04, 0.66, 0.93)]


def _lamps(scene: Scene, car: Vehicle, tag: Kind):
  """Paints the tail or head lamps and the number plate of the near end."""
  tail = car.heading == 'away'
  t, y = (0.0, 0.5) if tail else (1.0, 0.45)
  if car.cls == TRUCK:
    y = 0.25
  colour = np.array([0.75, 0.06, 0.05]) if tail else np.array([0.95, 0.93, 0.8])

  def board(left: float, right: float, low: float, high: float) -> list[CanvasPoint]:
    corners = [(t, left, low), (t, left, high), (t, right, high), (t, right, low)]
    return car.place(scene.camera, corners)

  if scene.weather.night > 0 or chance(scene.rng, 0.2):
    tag = kind(car.cls, car.z, LAMP)
  for lateral in (-0.4, 0.4):
    lamp = board(lateral - 0.07, lateral + 0.07, y - 0.05, y + 0.05)
    scene.canvas.polygon(lamp, colour, tag)
  scene.canvas.polygon(board(-0.13, 0.13, 0.3, 0.36), np.array([0.85, 0.85, 0.75]))


def paint_bonnet(scene: Scene):
  """Paints the camera car's bonnet at the lower edge, which is VOID."""
  rise, bulge = scene.rng.uniform(6, 20), scene.rng.uniform(0.55, 0.8) * CANVAS_W
  paint, u = paint_colour(scene.rng) * 0.7, CANVAS_W / 2
  scene.canvas.ellipse(u, CANVAS_H + 30, bulge, 30 + rise, paint, kind(VOID, 1))
  scene.canvas.ellipse(u, CANVAS_H + 34, bulge * 0.9, 30 + rise * 0.9, paint * 1.25)
