"""Renders procedural street scenes: a pure function from two integers to a labelled image.

Synopsis:

    image, label = render(seed=1, index=0)  # uint8 [96, 192, 3] and [96, 192]

A pinhole camera stands on a road in a flat world measured in metres: `s` to the right of the
camera along the (curved) road, `y` up from the ground, `z` ahead. The ground is computed per
pixel; everything that stands on it is painted from far to near with PIL, at twice the final
resolution. Beside the albedo goes a second picture, `meta`, with class, depth and material,
from which light, haze and texture follow in NumPy at the final resolution.

Within a class the looks vary widely and between classes they overlap on purpose (grey walls,
grey roads, grey skies), so that shape and context count for more than colour.
"""

from collections.abc import Callable
import dataclasses
import functools
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from classmix_jax.types import VOID

HEIGHT, WIDTH = 96, 192
NUM_TRAIN, NUM_VAL = 1000, 200  # scenes of the data set

CLASS_NAMES = (
    'sky', 'building', 'road', 'pavement', 'vegetation', 'fence', 'pole', 'person', 'car', 'truck',
)
PALETTE = (
    (70, 130, 180), (90, 80, 90), (128, 64, 128), (244, 100, 220), (107, 142, 35),
    (190, 153, 100), (240, 220, 0), (220, 20, 60), (0, 0, 200), (0, 180, 170),
)
SKY, BUILDING, ROAD, PAVEMENT, VEGETATION, FENCE, POLE, PERSON, CAR, TRUCK = range(10)

_W, _H = 2 * WIDTH, 2 * HEIGHT  # everything is drawn at twice the size
_GROUND, _SOLID, _LAMP = 0, 1, 2  # materials: receives shadows; plain; shines by itself
_NEAR, _FAR = 1.6, 110.0  # metres
_BANK = 512  # side of the noise tiles

Rng = np.random.Generator
Rgb = np.ndarray  # float [3], albedo 0..1


@dataclasses.dataclass(frozen=True)
class _Camera:
  """Focal length in pixels, vanishing point, height in metres and bend of the road in 1/m."""

  focal: float
  centre: float
  horizon: float
  height: float
  curve: float

  def project(self, s, y, z) -> np.ndarray:
    """World coordinates (broadcastable, z > 0) -> pixels `[..., 2]`."""
    s, y, z = np.asarray(s), np.asarray(y), np.asarray(z)
    u = self.centre + self.focal * (s / z + self.curve * z)
    v = self.horizon + self.focal * (self.height - y) / z
    points = np.empty(np.broadcast(u, v).shape + (2,))
    points[..., 0], points[..., 1] = u, v
    return points


@dataclasses.dataclass(frozen=True)
class _Weather:
  """Light and air of one image; colours are float [3]."""

  sky_top: Rgb
  sky_low: Rgb
  cloud: Rgb
  cover: float  # share of the sky under clouds
  ambient: Rgb
  sun: Rgb
  sun_side: float  # -1: the sun stands on the left, 1: on the right
  sun_front: float  # -1: the sun stands ahead (faces in shade), 1: behind the camera
  haze: float  # extinction per metre
  rain: bool
  night: float  # 0: day, 1: lamps are lit


@dataclasses.dataclass(frozen=True)
class _Street:
  """Lateral layout in metres of `s`, and what crosses the road."""

  left: float
  right: float
  walk_left: float  # outer edge of the left pavement
  walk_right: float
  junction: float  # z where a side road begins, beyond _FAR: none
  junction_width: float
  crossing: float  # z of a zebra crossing, beyond _FAR: none
  area: str  # city, suburb, park, works


class _Canvas:
  """Three pictures that are painted together: albedo, meta (class, depth, material), shade."""

  def __init__(self, colour: np.ndarray, meta: np.ndarray):
    self.colour_image = Image.fromarray(colour)
    self.meta_image = Image.fromarray(meta)
    self.shade_image = Image.new('L', (_W, _H))
    self.colour = ImageDraw.Draw(self.colour_image)
    self.meta = ImageDraw.Draw(self.meta_image)
    self.shade = ImageDraw.Draw(self.shade_image)

  def polygon(self, points: np.ndarray, rgb: Rgb, kind: tuple[int, int, int] | None = None):
    """Fills a polygon `[N, 2]`; `kind=None` paints a detail that keeps the meta below."""
    flat = np.asarray(points).ravel().tolist()
    self.colour.polygon(flat, fill=_rgb8(rgb))
    if kind is not None:
      self.meta.polygon(flat, fill=kind)

  def ellipse(self, u, v, ru, rv, rgb: Rgb, kind: tuple[int, int, int] | None = None):
    box = (u - ru, v - rv, u + ru, v + rv)
    self.colour.ellipse(box, fill=_rgb8(rgb))
    if kind is not None:
      self.meta.ellipse(box, fill=kind)

  def line(self, points, width, rgb: Rgb, kind: tuple[int, int, int] | None = None):
    flat = np.asarray(points).ravel().tolist()
    width = max(1, round(width))
    self.colour.line(flat, fill=_rgb8(rgb), width=width)
    if kind is not None:
      self.meta.line(flat, fill=kind, width=width)

  def shadow(self, points: np.ndarray, strength: float = 0.85):
    self.shade.polygon(np.asarray(points).ravel().tolist(), fill=round(255 * strength))


@dataclasses.dataclass(frozen=True)
class _Scene:
  """What every painter needs."""

  camera: _Camera
  weather: _Weather
  street: _Street
  canvas: _Canvas
  rng: Rng


# ---------------------------------------------------------------- small helpers


def _rgb8(rgb: Rgb) -> tuple[int, int, int]:
  r, g, b = np.asarray(rgb).tolist()
  return (int(255 * min(max(r, 0.0), 1.0)), int(255 * min(max(g, 0.0), 1.0)),
          int(255 * min(max(b, 0.0), 1.0)))


def _grey(rng: Rng, low: float, high: float, tint: float = 0.04) -> Rgb:
  return rng.uniform(low, high) + rng.uniform(-tint, tint, 3)


def _hue(rng: Rng, saturation: float, value: float, hue: float | None = None) -> Rgb:
  """A colour from hue, saturation, value; the hue is random unless given."""
  hue = rng.uniform() if hue is None else hue
  ramp = np.clip(np.abs((hue * 6 + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1, 0, 1)
  return value * (1 - saturation + saturation * ramp)


def _chance(rng: Rng, probability: float) -> bool:
  return bool(rng.uniform() < probability)


def _depth8(z):
  """Depth in metres -> 0..255, finest near the camera."""
  return np.clip(36.0 * np.log2(1.0 + z), 0, 255)


def _kind(cls: int, z: float, material: int = _SOLID) -> tuple[int, int, int]:
  return cls, min(255, int(36.0 * math.log2(1.0 + z))), material


@functools.cache
def _bank() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Periodic noise tiles float32 `[_BANK, _BANK]`, zero mean, unit spread: fine, mid, coarse."""
  rng = np.random.default_rng(20)
  axis = np.fft.fftfreq(_BANK)
  radius = np.hypot(axis[:, None], axis[None, :]) + 1.0 / _BANK
  tiles = []
  for slope in (0.3, 1.0, 1.8):
    spectrum = np.fft.fft2(rng.standard_normal((_BANK, _BANK))) / radius**slope
    tile = np.fft.ifft2(spectrum).real
    tiles.append(((tile - tile.mean()) / tile.std()).astype(np.float32))
  return tuple(tiles)


def _patch(rng: Rng, tile: np.ndarray, stretch: int = 1) -> np.ndarray:
  """A random `[HEIGHT, WIDTH]` window of a noise tile, perhaps drawn out sideways."""
  v = (np.arange(HEIGHT) + rng.integers(_BANK)) % _BANK
  u = (np.arange(WIDTH) // stretch + rng.integers(_BANK)) % _BANK
  return tile[v[:, None], u[None, :]]


# ---------------------------------------------------------------- drawing lots for a scene


def _draw_camera(rng: Rng) -> _Camera:
  return _Camera(
      focal=rng.uniform(230, 330), centre=_W * rng.uniform(0.36, 0.64),
      horizon=_H * rng.uniform(0.36, 0.54), height=rng.uniform(1.3, 2.6),
      curve=rng.normal() * 0.0011,
  )


def _draw_weather(rng: Rng) -> _Weather:
  """Picks the hour and the weather, then varies both."""
  mood = rng.choice(
      ['clear', 'fair', 'overcast', 'dusk', 'night', 'fog'], p=[0.28, 0.2, 0.22, 0.12, 0.1, 0.08]
  )
  # mood: sky above, sky at the horizon, cloud, ambient, sun, haze
  looks = {
      'clear': ((0.25, 0.47, 0.85), (0.72, 0.83, 0.95), (1, 1, 1), (0.5, 0.56, 0.68), 0.75, 0.003),
      'fair': ((0.42, 0.58, 0.82), (0.82, 0.86, 0.9), (0.95, 0.95, 0.97), (0.58, 0.6, 0.66), 0.5,
               0.005),
      'overcast': ((0.6, 0.63, 0.67), (0.8, 0.81, 0.83), (0.5, 0.52, 0.56), (0.8, 0.82, 0.86), 0.08,
                   0.008),
      'dusk': ((0.38, 0.36, 0.55), (0.98, 0.62, 0.36), (0.75, 0.4, 0.38), (0.42, 0.36, 0.42), 0.42,
               0.007),
      'night': ((0.05, 0.06, 0.12), (0.17, 0.15, 0.19), (0.14, 0.13, 0.16), (0.44, 0.43, 0.5),
                0.03, 0.004),
      'fog': ((0.74, 0.76, 0.78), (0.82, 0.83, 0.84), (0.8, 0.8, 0.82), (0.8, 0.81, 0.84), 0.04,
              0.026),
  }
  top, low, cloud, ambient, sun, haze = looks[mood]
  vary = lambda rgb, spread: np.array(rgb) * rng.uniform(1 - spread, 1 + spread, 3)
  warmth = rng.uniform(-0.08, 0.12) + (0.25 if mood == 'dusk' else 0)
  return _Weather(
      sky_top=vary(top, 0.18), sky_low=vary(low, 0.12), cloud=vary(cloud, 0.06),
      cover={'clear': 0.15, 'fair': 0.55}.get(mood, 0.5) * rng.uniform(0.3, 1.5),
      ambient=vary(ambient, 0.06) * rng.uniform(0.75, 1.2),
      sun=sun * rng.uniform(0.6, 1.3) * np.array([1 + warmth, 1.0, 1 - warmth]),
      sun_side=rng.uniform(-1, 1), sun_front=rng.uniform(-1, 1),
      haze=haze * rng.uniform(0.4, 1.7),
      rain=mood in ('overcast', 'night') and _chance(rng, 0.35),
      night={'night': 1.0, 'dusk': 0.5}.get(mood, 0.0),
  )


def _draw_street(rng: Rng) -> _Street:
  """Picks road and pavement widths; the camera keeps to one lane."""
  area = str(rng.choice(['city', 'suburb', 'park', 'works'], p=[0.42, 0.3, 0.16, 0.12]))
  lanes = int(rng.choice([1, 2, 2, 3, 4]))
  width = lanes * rng.uniform(2.9, 3.6) + rng.uniform(0, 4)  # with room for parked cars
  near = min(width - 1.5, rng.uniform(1.6, 4.2))
  left, right = near - width, near
  if _chance(rng, 0.4):  # the other side of the road
    left, right = -right, -left
  walk = rng.uniform(1.6, 5.0 if area == 'city' else 3.5, 2)
  return _Street(
      left=left, right=right, walk_left=left - walk[0], walk_right=right + walk[1],
      junction=rng.uniform(12, 50) if _chance(rng, 0.4) else 2 * _FAR,
      junction_width=rng.uniform(6, 11),
      crossing=rng.uniform(7, 25) if _chance(rng, 0.3) else 2 * _FAR, area=area,
  )


# ---------------------------------------------------------------- sky and ground


def _sky(rng: Rng, camera: _Camera, weather: _Weather) -> np.ndarray:
  """Gradient with clouds, float32 `[HEIGHT, WIDTH, 3]`."""
  rise = np.clip(1 - 2 * np.arange(HEIGHT) / max(camera.horizon, 1), 0, 1)[:, None, None]
  rise = rise ** rng.uniform(0.6, 1.3)
  sky = weather.sky_low * (1 - rise) + weather.sky_top * rise
  noise = _patch(rng, _bank()[2], int(rng.integers(1, 4)))[..., None]
  alpha = np.clip((noise + 3 * weather.cover - 1.6) * rng.uniform(0.5, 1.8), 0, 0.9)
  return (sky + (weather.cloud - sky) * alpha).astype(np.float32)


def _frac(x: np.ndarray) -> np.ndarray:
  """The part behind the point; several times faster than `x % 1`."""
  return x - np.floor(x)


def _world(tile: np.ndarray, s: np.ndarray, z: np.ndarray, scale: float) -> np.ndarray:
  """Noise fixed to the ground: samples a tile at `scale` cells a metre."""
  u = (s * scale).astype(np.int32) & (_BANK - 1)
  v = (z * scale).astype(np.int32) & (_BANK - 1)
  return tile.ravel()[v * _BANK + u]


def _road_colour(rng: Rng, street: _Street, s, z) -> np.ndarray:
  """Asphalt, concrete or cobbles with patches and markings, `[N, 3]`."""
  fine, mid, coarse = _bank()
  base = _grey(rng, 0.16, 0.5, 0.03) * (1 + np.array([0.05, 0, -0.05]) * rng.uniform(-1, 1))
  base = base.astype(np.float32)
  tone = 1 + rng.uniform(0.02, 0.12) * _world(coarse, s, z, 9)
  tone += rng.uniform(0.02, 0.1) * _world(fine, s, z, 30)
  if _chance(rng, 0.15):  # cobbles
    tone *= 1 - 0.3 * ((_frac(s * 5) < 0.22) | (_frac(z * 4 + np.floor(s * 5) * 0.5) < 0.2))
  if _chance(rng, 0.5):  # a patch of newer surface
    s0, z0 = rng.uniform(street.left, street.right), rng.uniform(4, 20)
    tone *= np.where((abs(s - s0) < rng.uniform(0.4, 2)) & (abs(z - z0) < rng.uniform(1, 5)),
                     rng.uniform(0.6, 1.25), 1)
  tone *= 1 - rng.uniform(0, 0.2) * np.exp(-((abs(s) - 0.8) ** 2) * 6)  # wheel tracks
  paint = _markings(rng, street, s, z) * rng.uniform(0.4, 0.95)
  paint *= np.clip(1 + 0.5 * _world(mid, s, z, 12), 0, 1)
  white = np.array([0.9, 0.9, 0.86] if _chance(rng, 0.8) else [0.85, 0.7, 0.2], np.float32)
  return (base * tone[..., None]) * (1 - paint[..., None]) + white * paint[..., None]


def _markings(rng: Rng, street: _Street, s, z) -> np.ndarray:
  """Lane dashes, edge lines and zebra stripes, 0 or 1, `[N]`."""
  paint = np.zeros(s.shape, bool)
  width, period, phase = rng.uniform(0.07, 0.14), rng.uniform(4, 9), rng.uniform(0, 9)
  if _chance(rng, 0.75):
    lanes = max(1, round((street.right - street.left) / 3.6))
    dash = _frac((z + phase) / period) < 0.5
    for lane in range(1, lanes):
      at = street.left + (street.right - street.left) * lane / lanes
      paint |= (abs(s - at) < width) & (dash | _chance(rng, 0.25))
  if _chance(rng, 0.35):
    inset = rng.uniform(0.2, 0.5)
    paint |= (abs(s - street.left - inset) < width) | (abs(s - street.right + inset) < width)
  if street.crossing < _FAR:
    paint |= (z > street.crossing) & (z < street.crossing + 3.2) & (_frac(s) < 0.5)
  return paint.astype(np.float32)


def _pavement_colour(rng: Rng, s, z) -> np.ndarray:
  """Slabs, bricks or asphalt: as grey as a road or as red as a wall, `[N, 3]`."""
  fine, mid, _ = _bank()
  base = [_grey(rng, 0.25, 0.7, 0.03), np.array([0.55, 0.36, 0.28]), np.array([0.62, 0.56, 0.42]),
          np.array([0.34, 0.33, 0.33])][rng.choice(4, p=[0.5, 0.17, 0.16, 0.17])]
  base = (base * rng.uniform(0.7, 1.2)).astype(np.float32)
  tone = 1 + rng.uniform(0.03, 0.1) * _world(mid, s, z, 8) + 0.05 * _world(fine, s, z, 30)
  if _chance(rng, 0.65):
    a, b = rng.uniform(0.35, 1.2, 2)
    row = np.floor(s / a)
    joint = (_frac(s / a) < 0.1) | (_frac(z / b + 0.5 * row) < 0.1)
    checker = _frac(0.5 * (row + np.floor(z / b)))
    tone *= 1 - rng.uniform(0.1, 0.35) * joint - rng.uniform(0, 0.3) * checker
  return base * tone[..., None]


def _grass_colour(rng: Rng, s, z) -> np.ndarray:
  """Lawn or meadow, green to straw, `[N, 3]`."""
  base = _hue(rng, rng.uniform(0.25, 0.65), rng.uniform(0.3, 0.62), rng.uniform(0.11, 0.33))
  fine, mid, coarse = _bank()
  tone = 1 + 0.16 * _world(mid, s, z, 14) + 0.1 * _world(coarse, s, z, 5)
  return base * (tone + 0.08 * _world(fine, s, z, 40))[..., None]


def _ground(rng: Rng, camera: _Camera, street: _Street) -> tuple[int, np.ndarray, np.ndarray]:
  """First ground row, albedo `[rows, _W, 3]` and meta `[rows, _W, 3]` from there down."""
  first = int(camera.horizon) + 1
  v = np.arange(first, _H, dtype=np.float32)[:, None] + 0.5
  u = np.arange(_W, dtype=np.float32) + 0.5
  z = camera.focal * camera.height / np.maximum(v - camera.horizon, 0.5)
  s = (u - camera.centre) * (z / camera.focal) - camera.curve * z * z
  is_side = (z > street.junction) & (z < street.junction + street.junction_width)
  is_road = ((s > street.left) & (s < street.right)) | is_side
  is_walk = ~is_road & (s > street.walk_left) & (s < street.walk_right)
  paved = street.area in ('city', 'works') and _chance(rng, 0.85)
  verge = PAVEMENT if paved else VEGETATION
  cls = np.where(is_road, np.uint8(ROAD), np.where(is_walk, np.uint8(PAVEMENT), np.uint8(verge)))
  albedo = np.empty((*cls.shape, 3), np.float32)
  painters = {ROAD: functools.partial(_road_colour, street=street), PAVEMENT: _pavement_colour,
              VEGETATION: _grass_colour}
  wide_z = np.broadcast_to(z, s.shape)
  for ground, paint in painters.items():
    here = cls == ground
    albedo[here] = paint(rng, s=s[here], z=wide_z[here])
  kerb = (abs(s - street.left) < 0.12) | (abs(s - street.right) < 0.12)
  albedo[kerb & ~is_road] *= rng.uniform(0.75, 1.35)
  meta = np.empty((*cls.shape, 3), np.uint8)
  meta[..., 0], meta[..., 1], meta[..., 2] = cls, _depth8(z), _GROUND
  return first, albedo, meta


def _backdrop(scene: _Scene):
  """Far roofs or tree tops along the horizon."""
  camera, rng = scene.camera, scene.rng
  u, trees = -10.0, _chance(rng, 0.55)
  colour = _wall_colour(rng) if not trees else _leaf_colour(rng)
  while u < _W:
    step, rise = rng.uniform(8, 40), rng.uniform(3, 26)
    shade = colour * rng.uniform(0.75, 1.2)
    kind = _kind(VEGETATION if trees else BUILDING, _FAR)
    low = camera.horizon + 2
    if trees:
      scene.canvas.ellipse(u + step / 2, low - rise / 3, step * 0.7, rise * 0.7, shade, kind)
    else:
      box = [(u, low), (u, low - rise), (u + step, low - rise), (u + step, low)]
      scene.canvas.polygon(np.array(box), shade, kind)
    u += step * rng.uniform(0.6, 1.3)
    if _chance(rng, 0.12):  # a gap, and perhaps other things behind it
      u += rng.uniform(10, 70)
      trees = _chance(rng, 0.5)
      colour = _leaf_colour(rng) if trees else _wall_colour(rng)


# ---------------------------------------------------------------- buildings and fences


def _wall_colour(rng: Rng) -> Rgb:
  """Plaster, brick, concrete, glass or paint."""
  pick = rng.uniform()
  if pick < 0.35:
    return _grey(rng, 0.3, 0.9)
  if pick < 0.55:
    return _hue(rng, rng.uniform(0.35, 0.6), rng.uniform(0.35, 0.65), rng.uniform(0.0, 0.06))
  if pick < 0.75:
    return _hue(rng, rng.uniform(0.15, 0.4), rng.uniform(0.6, 0.95), rng.uniform(0.06, 0.16))
  return _hue(rng, rng.uniform(0.08, 0.5), rng.uniform(0.35, 0.85))


def _building(scene: _Scene, side: int, base: float, z1: float, z2: float):
  """One house: the wall across the view at `z1`, the facade along the road, and a roof."""
  rng, camera, canvas = scene.rng, scene.camera, scene.canvas
  storey, wall = rng.uniform(2.8, 3.6), _wall_colour(rng)
  tall = {'city': 7, 'suburb': 3, 'park': 4, 'works': 4}[scene.street.area]
  storeys = int(rng.integers(1 if tall < 5 else 2, tall + 1))
  top, far = storeys * storey + 0.5, base + side * rng.uniform(7, 14)
  front = 0.8 + 0.2 * scene.weather.sun_front
  along = 0.82 + 0.26 * side * -scene.weather.sun_side
  kind = _kind(BUILDING, z1)
  if _chance(rng, 0.45 if tall < 6 else 0.15):
    _gable(scene, base, far, z1, z2, top, wall * front, kind)
  end = camera.project([base, base, far, far], [0, top, top, 0], z1)
  canvas.polygon(end, wall * front, kind)
  flank = camera.project(base, [0, top, top, 0], [z1, z1, z2, z2])
  canvas.polygon(flank, wall * along, _kind(BUILDING, 0.5 * (z1 + z2)))
  _courses(scene, base, z1, z2, storey, storeys, wall * along)
  _windows(scene, [base, base], z1, z2, storey, storeys, wall * along)
  if z1 > 5:
    _windows(scene, [base, far], z1, z1, storey, storeys, wall * front)
  if side * scene.weather.sun_side > 0.1:  # the sun stands behind it
    reach = base - scene.weather.sun_side * top * 0.8
    canvas.shadow(camera.project([base, reach, reach, base], 0, [z1, z1, z2, z2]))


def _gable(scene: _Scene, base, far, z1, z2, top, wall, kind):
  """A pitched roof whose ridge runs along the road."""
  rng, project = scene.rng, scene.camera.project
  ridge, mid = top + rng.uniform(1.5, 4), 0.5 * (base + far)
  tiles = _hue(rng, rng.uniform(0, 0.5), rng.uniform(0.2, 0.55), rng.uniform(0, 0.08))
  eave = base + 0.4 * np.sign(base - far)
  slope = project([eave, mid, mid, eave], [top - 0.2, ridge, ridge, top - 0.2], [z1, z1, z2, z2])
  scene.canvas.polygon(slope, tiles, kind)
  scene.canvas.polygon(project([base, mid, far], [top, ridge, top], z1), wall, kind)


def _courses(scene: _Scene, base, z1, z2, storey, storeys, wall):
  """Bands between the storeys; a shop front or a plinth on the ground floor."""
  rng, project = scene.rng, scene.camera.project
  if _chance(rng, 0.4):
    tint = np.clip(wall * rng.uniform(0.6, 1.35), 0, 1)
    for level in range(1, storeys + 1):
      y = level * storey + 0.1
      band = project(base, [y - 0.15, y + 0.15, y + 0.15, y - 0.15], [z1, z1, z2, z2])
      scene.canvas.polygon(band, tint)
  if _chance(rng, 0.35):
    shop = _hue(rng, rng.uniform(0, 0.9), rng.uniform(0.15, 0.8))
    high = rng.uniform(0.6, 3.0)
    scene.canvas.polygon(project(base, [0, high, high, 0], [z1, z1, z2, z2]), shop)


def _windows(scene: _Scene, across, z1, z2, storey, storeys, wall):
  """A grid of windows on a wall from `(across[0], z1)` to `(across[1], z2)`."""
  rng = scene.rng
  if z1 > 70:
    return  # below one pixel
  run = abs(z2 - z1) + abs(across[1] - across[0])
  spacing = rng.uniform(1.6, 4.0)
  columns, share = max(1, int(run / spacing)), rng.uniform(0.35, 0.75)
  low, high = rng.uniform(0.15, 0.35), rng.uniform(0.65, 0.92)
  edge = (np.arange(columns)[:, None] + 0.5 + np.array([-0.5, 0.5]) * share) / columns
  level = np.arange(storeys)[:, None] + np.array([low, high])
  t = edge[:, None, [0, 0, 1, 1]]  # [columns, 1, 4]
  y = (level * storey)[None, :, [0, 1, 1, 0]]  # [1, storeys, 4]
  s = across[0] + (across[1] - across[0]) * t
  quads = scene.camera.project(s, y, z1 + (z2 - z1) * t).reshape(-1, 4, 2)
  glass = _grey(rng, 0.08, 0.6) * np.array([0.92, 1.0, 1.08])
  lit = rng.uniform(size=len(quads)) < 0.4 * scene.weather.night
  tone = rng.uniform(0.7, 1.35, (len(quads), 1))
  warm = np.array([0.95, 0.8, 0.45]) * np.minimum(tone, 1)
  fills = (np.clip(np.where(lit[:, None], warm, glass * tone), 0, 1) * 255).astype(int).tolist()
  for quad, on, fill in zip(quads.reshape(-1, 8).tolist(), lit, fills, strict=True):
    scene.canvas.colour.polygon(quad, fill=tuple(fill))
    if on:
      scene.canvas.meta.polygon(quad, fill=_kind(BUILDING, z1, _LAMP))


def _fence(scene: _Scene, base: float, z1: float, z2: float):
  """A wall, a panel fence or railings; the holes of railings are labelled fence too."""
  rng, camera, canvas = scene.rng, scene.camera, scene.canvas
  style, high = rng.choice(['wall', 'slats', 'rails']), rng.uniform(0.8, 2.1)
  colour = _wall_colour(rng) if style == 'wall' else _hue(
      rng, rng.uniform(0, 0.6), rng.uniform(0.15, 0.9), rng.choice([0.08, 0.3, 0.6]))
  quad = camera.project(base, [0, high, high, 0], [z1, z1, z2, z2])
  flat = quad.ravel().tolist()
  canvas.meta.polygon(flat, fill=_kind(FENCE, 0.5 * (z1 + z2)))
  if style == 'wall':
    canvas.colour.polygon(flat, fill=_rgb8(colour))
    cap = camera.project(base, [high - 0.15, high, high, high - 0.15], [z1, z1, z2, z2])
    canvas.polygon(cap, colour * rng.uniform(0.6, 1.3))
    return
  pitch, gap = rng.uniform(0.3, 0.6), 0.8 if style == 'slats' else 0.3
  edges = np.arange(z1, z2, pitch)[:, None] + np.array([0, 0, 1, 1]) * pitch * gap
  for slat in camera.project(base, np.array([[0, high, high, 0]]), edges):
    canvas.polygon(slat, colour * rng.uniform(0.85, 1.1))
  for y in (0.2 * high, 0.85 * high):
    rail = camera.project(base, [y, y + 0.1, y + 0.1, y], [z1, z1, z2, z2])
    canvas.polygon(rail, colour * 0.85)


# ---------------------------------------------------------------- vegetation


def _leaf_colour(rng: Rng) -> Rgb:
  """Mostly green; autumn yellow to red; winter brown; blossom."""
  pick = rng.uniform()
  if pick < 0.62:
    return _hue(rng, rng.uniform(0.25, 0.75), rng.uniform(0.2, 0.58), rng.uniform(0.18, 0.4))
  if pick < 0.82:
    return _hue(rng, rng.uniform(0.5, 0.85), rng.uniform(0.4, 0.8), rng.uniform(0.02, 0.15))
  if pick < 0.95:
    return _hue(rng, rng.uniform(0.1, 0.3), rng.uniform(0.25, 0.5), rng.uniform(0.05, 0.12))
  return _hue(rng, rng.uniform(0.1, 0.35), rng.uniform(0.7, 0.95), 0.93)


def _blobs(scene: _Scene, centre, radius_u, radius_v, leaf, z, count):
  """A ragged crown: small discs inside an ellipse, lighter towards the top."""
  rng, kind = scene.rng, _kind(VEGETATION, z)
  angle, reach = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.uniform(0, 1, count))
  du, dv = np.cos(angle) * reach, np.sin(angle) * reach
  size, tone = rng.uniform(0.16, 0.42, count), rng.uniform(0.75, 1.2, count) - 0.28 * dv
  r = np.maximum(1.5, min(radius_u, radius_v) * size)
  u, v = centre[0] + du * radius_u, centre[1] + dv * radius_v
  boxes = np.stack([u - r, v - 0.9 * r, u + r, v + 0.9 * r], -1)[np.argsort(-dv)].tolist()
  fills = (np.clip(leaf * tone[:, None], 0, 1) * 255).astype(int)[np.argsort(-dv)].tolist()
  for box, fill in zip(boxes, fills, strict=True):
    scene.canvas.colour.ellipse(box, fill=tuple(fill))
    scene.canvas.meta.ellipse(box, fill=kind)


def _tree(scene: _Scene, s: float, z: float, leaf: Rgb):
  """A trunk with a round crown, a conifer, or a bare tree."""
  rng, camera, canvas = scene.rng, scene.camera, scene.canvas
  scale, high = camera.focal / z, rng.uniform(3.5, 10)
  foot, kind = camera.project(s, 0, z), _kind(VEGETATION, z)
  if not -4 * scale < foot[0] < _W + 4 * scale:
    return
  bark = _hue(rng, rng.uniform(0, 0.4), rng.uniform(0.15, 0.4), 0.07)
  style = rng.choice(['round', 'conifer', 'bare'], p=[0.68, 0.17, 0.15])
  top, width = foot[1] - high * scale, max(2, 0.3 * scale)
  _ground_shadow(scene, s, z, 0.35 * high, 1.2)
  crown = rng.uniform(0.45, 0.62) if style == 'round' else 0.1
  canvas.line([foot[0], foot[1], foot[0], top + crown * high * scale * 0.5], width, bark, kind)
  if style == 'bare':
    _branches(scene, foot[0], foot[1] - 0.3 * high * scale, -np.pi / 2, 0.3 * high * scale, width,
              bark, kind)
  elif style == 'conifer':
    for k in range(4):
      low, r = foot[1] - (0.08 + 0.2 * k) * high * scale, (0.24 - 0.05 * k) * high * scale
      tip = [(foot[0] - r, low), (foot[0], low - 0.36 * high * scale), (foot[0] + r, low)]
      canvas.polygon(np.array(tip), leaf * rng.uniform(0.6, 0.9), kind)
  else:
    rv = 0.5 * crown * high * scale
    ru = rv * rng.uniform(0.75, 1.3)
    canvas.ellipse(foot[0], top + rv, ru * 0.85, rv * 0.85, leaf * 0.75, kind)
    _blobs(scene, (foot[0], top + rv), ru, rv, leaf, z, int(min(max(rv, 8), 36)))


def _branches(scene: _Scene, u, v, angle, length, width, bark, kind, level=3):
  """Forks a bare tree; thin twigs carry the label as well."""
  for turn in scene.rng.uniform(-0.75, 0.75, 3):
    end = u + np.cos(angle + turn) * length, v + np.sin(angle + turn) * length
    scene.canvas.line([u, v, *end], width * 0.7, bark, kind)
    if level > 1 and length > 4:
      _branches(scene, *end, angle + turn, length * 0.7, width * 0.6, bark, kind, level - 1)


def _hedge(scene: _Scene, base: float, z1: float, z2: float, leaf: Rgb):
  """A clipped hedge or a row of bushes along the road."""
  rng, camera = scene.rng, scene.camera
  high = rng.uniform(0.7, 2.4)
  kind = _kind(VEGETATION, 0.5 * (z1 + z2))
  quad = camera.project(base, [0, high, high, 0], [z1, z1, z2, z2])
  scene.canvas.polygon(quad, leaf * 0.8, kind)
  for z in np.arange(z2, z1, -max(0.8, 0.12 * z1)):
    scale = camera.focal / z
    u, v = camera.project(base, high * 0.65, z)
    if -40 < u < _W + 40:
      count = int(min(max(scale / 4, 4), 12))
      _blobs(scene, (u, v), 0.55 * scale, 0.45 * high * scale, leaf, z, count)


def _ground_shadow(scene: _Scene, s, z, reach, half):
  """A soft-edged patch of shade, cast sideways."""
  shift = -scene.weather.sun_side * reach
  angle = np.linspace(0, 2 * np.pi, 10)[:-1]
  across = 0.5 * shift + (half + 0.5 * abs(shift)) * np.cos(angle)
  scene.canvas.shadow(scene.camera.project(s + across, 0, z + 0.6 * half * np.sin(angle)))


# ---------------------------------------------------------------- vehicles

# Outlines from tail to nose: share of the length, share of the height.
_CARS = {
    'sedan': ((0, 0.22), (0, 0.62), (0.14, 0.66), (0.28, 1), (0.6, 1), (0.76, 0.66), (1, 0.56),
              (1, 0.22)),
    'hatch': ((0, 0.22), (0, 0.64), (0.09, 0.98), (0.55, 1), (0.75, 0.66), (1, 0.56), (1, 0.22)),
    'suv': ((0, 0.25), (0, 0.66), (0.05, 1), (0.6, 1), (0.74, 0.68), (1, 0.62), (1, 0.25)),
    'minivan': ((0, 0.2), (0, 0.58), (0.04, 1), (0.66, 1), (0.88, 0.6), (1, 0.48), (1, 0.2)),
    'pickup': ((0, 0.25), (0, 0.6), (0.38, 0.6), (0.41, 1), (0.62, 1), (0.76, 0.64), (1, 0.58),
               (1, 0.25)),
}
_TRUCKS = {
    'bus': ((0, 0.1), (0, 1), (0.98, 1), (1, 0.5), (1, 0.1)),
    'lorry': ((0, 0.18), (0, 1), (0.7, 1), (0.72, 0.72), (0.9, 0.74), (0.97, 0.5), (1, 0.18)),
}


@dataclasses.dataclass(frozen=True)
class _Vehicle:
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

  def place(self, camera: _Camera, t, lateral, y) -> np.ndarray:
    """Body coordinates (0..1 along, -0.5..0.5 across, 0..1 up) -> pixels."""
    t, lateral, y = np.asarray(t), np.asarray(lateral), np.asarray(y)
    slim = 1.0 if self.cls != CAR else 1 - 0.55 * np.maximum(y - 0.6, 0)  # narrow at the roof
    if self.heading.startswith('across'):
      along = t if self.heading == 'across_right' else 1 - t
      return camera.project(
          self.s + along * self.length, y * self.height,
          self.z + (0.5 + lateral * slim) * self.width)
    along = t if self.heading == 'away' else 1 - t
    return camera.project(
        self.s + lateral * slim * self.width, y * self.height, self.z + along * self.length)


def _paint_colour(rng: Rng) -> Rgb:
  if _chance(rng, 0.55):
    return _grey(rng, 0.05, 0.92, 0.02)
  return _hue(rng, rng.uniform(0.3, 0.9), rng.uniform(0.2, 0.85))


def _make_car(rng: Rng, s: float, z: float, heading: str) -> _Vehicle:
  style = str(rng.choice(list(_CARS)))
  high = {'sedan': 1.42, 'hatch': 1.5, 'suv': 1.75, 'minivan': 1.8, 'pickup': 1.8}[style]
  return _Vehicle(CAR, style, s, z, rng.uniform(3.7, 4.9), rng.uniform(1.7, 1.95),
                  high * rng.uniform(0.95, 1.05), heading, _paint_colour(rng))


def _make_truck(rng: Rng, s: float, z: float, heading: str) -> _Vehicle:
  style = str(rng.choice(list(_TRUCKS)))
  return _Vehicle(TRUCK, style, s, z, rng.uniform(6.5, 11), rng.uniform(2.3, 2.6),
                  rng.uniform(2.7, 3.7), heading, _paint_colour(rng))


def _vehicle(scene: _Scene, car: _Vehicle):
  """Paints shadow, wheels, the cross faces from far to near, then the visible flank."""
  camera = scene.camera
  kind = _kind(car.cls, car.z)
  outline = np.array({**_CARS, **_TRUCKS}[car.style])
  _vehicle_shadow(scene, car)
  _tyres(scene, car, kind)
  across = car.heading.startswith('across')
  pairs = list(zip(outline[:-1], outline[1:], strict=True))
  if car.heading != 'toward':
    pairs = pairs[::-1]  # the nose is the far end
  for a, b in pairs:
    _cross_face(scene, car, a, b, kind)
  middle = car.s + camera.curve * car.z**2
  flank = -0.5 if across or middle - 0.5 * car.width > 0 else 0.5
  if across or abs(middle) > 0.5 * car.width:
    _flank(scene, car, outline, flank, kind)
  if not across:
    _lamps(scene, car, kind)


def _vehicle_shadow(scene: _Scene, car: _Vehicle):
  shift = -scene.weather.sun_side * car.height * 0.7
  lat = np.array([-0.55, 0.55, 0.55, -0.55])
  if shift != 0 and not car.heading.startswith('across'):
    lat = np.array([min(-0.55, -0.5 + shift / car.width), max(0.55, 0.5 + shift / car.width)])
    lat = lat[[0, 1, 1, 0]]
  scene.canvas.shadow(car.place(scene.camera, [-0.03, -0.03, 1.03, 1.03], lat, 0), 0.95)


def _tyres(scene: _Scene, car: _Vehicle, kind):
  """The dark gap below the body with the tyres in it."""
  black = np.array([0.05, 0.05, 0.06])
  if car.heading.startswith('across'):
    return
  near = 0.0 if car.heading == 'away' else 1.0
  for lateral in (-0.42, 0.42):
    tyre = car.place(
        scene.camera, near + 0.04 * (1 - 2 * near), lateral + np.array([-0.08, -0.08, 0.08, 0.08]),
        [0, 0.35, 0.35, 0])
    scene.canvas.polygon(tyre, black, kind)


def _cross_face(scene: _Scene, car: _Vehicle, a, b, kind):
  """The face between two neighbouring points of the outline: tail, roof, windscreen, bonnet."""
  t, y = [a[0], b[0], b[0], a[0]], [a[1], b[1], b[1], a[1]]
  level = abs(b[1] - a[1]) < 0.15
  light = 1.08 if level else 0.78 + 0.15 * scene.weather.sun_front
  quad = car.place(scene.camera, t, [-0.5, -0.5, 0.5, 0.5], y)
  scene.canvas.polygon(quad, car.paint * light, kind)
  is_glass = not level and max(a[1], b[1]) > 0.9 and min(a[1], b[1]) > 0.4
  if is_glass or (car.style == 'bus' and not level):
    low = 0.15 if is_glass else 0.45
    mix = lambda k: a + (b - a) * k if b[1] > a[1] else b + (a - b) * k
    p, q = mix(low), mix(0.9)
    pane = car.place(scene.camera, [p[0], q[0], q[0], p[0]], [-0.43, -0.43, 0.43, 0.43],
                     [p[1], q[1], q[1], p[1]])
    scene.canvas.polygon(pane, _glass(scene))


def _glass(scene: _Scene) -> Rgb:
  return scene.rng.uniform(0.06, 0.4) * np.array([0.9, 1.0, 1.1])


def _flank(scene: _Scene, car: _Vehicle, outline, lateral, kind):
  """The side towards the camera, with its wheels and panes."""
  rng, camera = scene.rng, scene.camera
  light = 0.85 + 0.2 * np.sign(lateral) * scene.weather.sun_side
  side = car.place(camera, outline[:, 0], lateral, outline[:, 1])
  scene.canvas.polygon(side, car.paint * light, kind)
  if car.style == 'bus':
    panes = [(0.04 + 0.155 * k, 0.17 + 0.155 * k, 0.48, 0.88) for k in range(6)]
  elif car.style == 'lorry':
    panes = [(0.77, 0.92, 0.48, 0.68)]
  else:
    roof = outline[outline[:, 1] > 0.9][:, 0]
    mid = roof.mean()
    panes = [(roof[0] - 0.02, mid - 0.02, 0.66, 0.93), (mid + 0.02, roof[-1] + 0.04, 0.66, 0.93)]
  glass = _glass(scene)
  for t0, t1, y0, y1 in panes:
    scene.canvas.polygon(car.place(camera, [t0, t0, t1, t1], lateral, [y0, y1, y1, y0]), glass)
  if car.cls == TRUCK and _chance(rng, 0.6):  # a stripe or a poster
    y0, y1 = sorted(rng.uniform(0.15, 0.45 if car.style == 'bus' else 0.95, 2))
    band = car.place(camera, [0, 0, 0.69, 0.69], lateral, [y0, y1, y1, y0])
    scene.canvas.polygon(band, _hue(rng, rng.uniform(0, 0.9), rng.uniform(0.2, 0.9)))
  radius = 0.33 if car.cls == CAR else 0.5
  angle = np.linspace(0, 2 * np.pi, 11)[:-1]
  for t in (0.19, 0.8):
    ring = lambda k, t=t: car.place(
        camera, t + k * radius / car.length * np.cos(angle), lateral,
        (radius + k * radius * np.sin(angle)) / car.height)
    scene.canvas.polygon(ring(1.0), np.array([0.05, 0.05, 0.06]), kind)
    scene.canvas.polygon(ring(0.55), _grey(rng, 0.2, 0.6))


def _lamps(scene: _Scene, car: _Vehicle, kind):
  """Tail or head lamps and the number plate on the near end."""
  tail = car.heading == 'away'
  near, y = (0.0, 0.5) if tail else (1.0, 0.45)
  if car.cls == TRUCK:
    y = 0.25
  lit = scene.weather.night > 0 or _chance(scene.rng, 0.2)
  colour = np.array([0.75, 0.06, 0.05]) if tail else np.array([0.95, 0.93, 0.8])
  material = _LAMP if lit else kind[2]
  for lateral in (-0.4, 0.4):
    lamp = car.place(scene.camera, near, lateral + np.array([-0.07, -0.07, 0.07, 0.07]),
                     [y - 0.05, y + 0.05, y + 0.05, y - 0.05])
    scene.canvas.polygon(lamp, colour, (kind[0], kind[1], material))
  plate = car.place(scene.camera, near, np.array([-0.13, -0.13, 0.13, 0.13]),
                    np.array([0.3, 0.36, 0.36, 0.3]))
  scene.canvas.polygon(plate, np.array([0.85, 0.85, 0.75]))


# ---------------------------------------------------------------- people, poles, odds and ends


def _person(scene: _Scene, s: float, z: float):
  """A walker: legs apart, a coat or a skirt, arms, a head, perhaps an umbrella."""
  rng, canvas = scene.rng, scene.canvas
  u, v = scene.camera.project(s, 0, z)
  h = rng.uniform(1.5, 1.9) * (0.7 if _chance(rng, 0.12) else 1) * scene.camera.focal / z
  kind, stride = _kind(PERSON, z), rng.uniform(0.02, 0.15) * h
  top, legs = _paint_colour(rng), _paint_colour(rng) * 0.7
  skin = np.array([0.85, 0.65, 0.52]) * rng.uniform(0.35, 1.1)
  _ground_shadow(scene, s, z, 1.2, 0.25)
  limb, wide = max(2, 0.085 * h), rng.uniform(0.1, 0.15) * h
  for sign in (-1, 1):
    canvas.line([u + sign * 0.03 * h, v - 0.5 * h, u + sign * stride, v], limb, legs, kind)
  hem = rng.uniform(0.3, 0.5)  # the lower edge of coat or jacket
  torso = [(u - wide, v - hem * h), (u - wide, v - 0.8 * h), (u - 0.4 * wide, v - 0.85 * h),
           (u + 0.4 * wide, v - 0.85 * h), (u + wide, v - 0.8 * h), (u + wide, v - hem * h)]
  canvas.polygon(np.array(torso), top, kind)
  for sign in (-1, 1):
    hand = u + sign * (wide + rng.uniform(0, 0.1) * h), v - 0.45 * h
    canvas.line([u + sign * wide, v - 0.78 * h, *hand], 0.8 * limb, top * 0.85, kind)
  canvas.ellipse(u, v - 0.925 * h, 0.06 * h, 0.075 * h, skin, kind)
  hair = rng.uniform(0.05, 0.6) * np.array([1, 0.8, 0.6])
  canvas.ellipse(u, v - 0.965 * h, 0.062 * h, 0.045 * h, hair, kind)
  if scene.weather.rain and _chance(rng, 0.5):
    hood = [(u - 0.3 * h, v - 0.98 * h), (u, v - 1.2 * h), (u + 0.3 * h, v - 0.98 * h)]
    canvas.polygon(np.array(hood), _paint_colour(rng), kind)


def _pole(scene: _Scene, s: float, z: float, style: str):
  """A lamp post, a traffic sign or a traffic light."""
  rng, camera, canvas = scene.rng, scene.camera, scene.canvas
  scale, kind = camera.focal / z, _kind(POLE, z)
  high = rng.uniform(*{'lamp': (5, 8), 'sign': (2.2, 3.2), 'light': (2.8, 3.8)}[style])
  steel = _grey(rng, 0.1, 0.75) if _chance(rng, 0.8) else _hue(rng, 0.5, 0.35)
  (u, v), width = camera.project(s, 0, z), max(2, rng.uniform(0.1, 0.2) * scale)
  top = v - high * scale
  canvas.line([u, v, u, top], width, steel, kind)
  if style == 'lamp':
    arm = -np.sign(s) * rng.uniform(0.5, 2) * scale
    canvas.line([u, top, u + arm, top - 0.2 * scale], 0.8 * width, steel, kind)
    glow = _kind(POLE, z, _LAMP if scene.weather.night > 0 else _SOLID)
    canvas.ellipse(u + arm, top - 0.1 * scale, 0.3 * scale + 1, 0.12 * scale + 1,
                   np.array([1, 0.9, 0.65]), glow)
  elif style == 'sign':
    _sign(scene, u, top, scale, kind)
  else:
    box = np.array([(-0.2, 0), (-0.2, 0.95), (0.2, 0.95), (0.2, 0)]) * scale + (u, top)
    canvas.polygon(box, np.array([0.08, 0.09, 0.08]), kind)
    on = rng.integers(3)
    lamps = np.array([[0.95, 0.15, 0.1], [0.95, 0.7, 0.1], [0.15, 0.9, 0.4]])
    for k in range(3):
      shine = _kind(POLE, z, _LAMP) if k == on else None
      canvas.ellipse(u, top + (0.2 + 0.28 * k) * scale, 0.11 * scale, 0.11 * scale,
                     lamps[k] * (1 if k == on else 0.25), shine)


def _sign(scene: _Scene, u, v, scale, kind):
  """A disc, a triangle or a board with a border and something inside."""
  rng, canvas, r = scene.rng, scene.canvas, scene.rng.uniform(0.32, 0.55) * scale
  colours = np.array([[0.8, 0.1, 0.1], [0.12, 0.25, 0.7], [0.95, 0.95, 0.92], [0.9, 0.75, 0.1],
                      [0.1, 0.45, 0.25]])
  rim, face, mark = colours[rng.permutation(5)[:3]]
  shape = rng.integers(3)
  for k, colour in ((1.0, rim), (0.75, face), (0.3, mark)):
    tag = kind if k == 1 else None
    if shape == 0:
      canvas.ellipse(u, v, r * k, r * k, colour, tag)
    elif shape == 1:
      tip = np.array([(-1, 0.8), (0, -1), (1, 0.8)]) * r * k + (u, v)
      canvas.polygon(tip, colour, tag)
    else:
      board = np.array([(-1.2, -0.8), (1.2, -0.8), (1.2, 0.8), (-1.2, 0.8)]) * r * k + (u, v)
      canvas.polygon(board, colour, tag)


def _bin(scene: _Scene, s: float, z: float):
  """A bin or a box: none of the classes, hence VOID."""
  rng, scale = scene.rng, scene.camera.focal / z
  u, v = scene.camera.project(s, 0, z)
  wide, high = rng.uniform(0.3, 0.6) * scale, rng.uniform(0.6, 1.2) * scale
  colour, kind = _hue(rng, rng.uniform(0, 0.8), rng.uniform(0.15, 0.6)), _kind(VOID, z)
  _ground_shadow(scene, s, z, 0.6, 0.4)
  box = [(u - wide, v - high), (u + wide, v - high), (u + 0.85 * wide, v), (u - 0.85 * wide, v)]
  scene.canvas.polygon(np.array(box), colour, kind)
  lid = np.array([(-1.1, -1), (1.1, -1), (1.1, -0.85), (-1.1, -0.85)]) * (wide, high) + (u, v)
  scene.canvas.polygon(lid, colour * 0.7, kind)


# ---------------------------------------------------------------- setting the stage

Job = tuple[float, Callable[[], None]]  # distance, painter


def _verge_jobs(scene: _Scene, side: int) -> list[Job]:
  """What lines the road on one side, stretch by stretch, from near to far."""
  rng, street, jobs = scene.rng, scene.street, []
  walk = street.walk_left if side < 0 else street.walk_right
  garden = rng.uniform(1.5, 6) if street.area in ('suburb', 'park') else rng.uniform(0, 1.5)
  share = {'city': (0.8, 0.12), 'suburb': (0.52, 0.32), 'park': (0.15, 0.7), 'works': (0.5, 0.15)}
  build, green = share[street.area]
  leaf, z = _leaf_colour(rng), _NEAR + rng.uniform(-6, 0)
  while z < _FAR:
    end = z + rng.uniform(7, 22)
    gap = street.junction, street.junction + street.junction_width
    if z < gap[1] and end > gap[0]:
      if gap[0] - z < 4:  # the side road itself: nothing stands there
        z = gap[1]
        continue
      end = gap[0]
    z1, pick = max(z, _NEAR), rng.uniform()
    if end > _NEAR + 1.5:
      jobs += _stretch(scene, side, walk, garden, z1, end, pick, (build, green), leaf)
    z = end + (rng.uniform(0, 6) if _chance(rng, 0.3) else 0)
  return jobs


def _stretch(scene: _Scene, side, walk, garden, z1, z2, pick, share, leaf) -> list[Job]:
  """Jobs of one stretch: a house, trees, or a fence with the open behind it."""
  rng, base, jobs = scene.rng, walk + side * garden, []
  if pick < share[0]:
    jobs.append((z2, lambda: _building(scene, side, base, z1, z2)))
    if garden > 1.2 and _chance(rng, 0.5):
      border = _fence if _chance(rng, 0.65) else functools.partial(_hedge, leaf=leaf)
      jobs.append((z2 - 0.1, lambda: border(scene, walk + side * 0.1, z1, z2)))
  elif pick < sum(share):
    for z in rng.uniform(max(z1, 5), max(z2, 6), int(rng.integers(1, 4))):
      s = base + side * rng.uniform(0, 7)
      jobs.append((z, functools.partial(_tree, scene, s, z, leaf * rng.uniform(0.8, 1.2))))
    if _chance(rng, 0.5):
      jobs.append((z2, lambda: _hedge(scene, base, z1, z2, leaf)))
    elif _chance(rng, 0.4):
      jobs.append((z2 - 0.1, lambda: _fence(scene, walk + side * 0.1, z1, z2)))
  else:
    jobs.append((z2, lambda: _fence(scene, walk + side * 0.2, z1, z2)))
  return jobs


def _vehicle_jobs(scene: _Scene) -> list[Job]:
  """Parked and moving cars, now and then a bus or a lorry, some crossing traffic."""
  rng, street, fleet = scene.rng, scene.street, []
  wide = street.right - street.left
  for side, edge in ((-1, street.left), (1, street.right)):
    room = abs(edge) > 3.0
    if room and _chance(rng, 0.6):
      s, z, density = edge - side * 1.05, rng.uniform(3.5, 14), rng.uniform(0.3, 0.9)
      while z < 50:
        make = _make_truck if _chance(rng, 0.07) else _make_car
        if _chance(rng, density):
          fleet.append(make(rng, s, z, str(rng.choice(['away', 'toward']))))
        z += rng.uniform(5.2, 8) if make is _make_car else rng.uniform(9, 13)
  z = rng.uniform(6.5, 22)
  while z < 80:  # the own lane ahead
    if _chance(rng, 0.6):
      make = _make_truck if _chance(rng, 0.2) else _make_car
      fleet.append(make(rng, rng.uniform(-0.4, 0.4), z, 'away'))
    z += rng.uniform(12, 30)
  if wide > 5:  # the lane beside it
    lane = (3.2 if street.right > -street.left else -3.2) * rng.uniform(0.85, 1.05)
    z, heading = rng.uniform(5, 18), 'toward' if _chance(rng, 0.75) else 'away'
    while z < 80:
      make = _make_truck if _chance(rng, 0.2) else _make_car
      if _chance(rng, 0.6):
        fleet.append(make(rng, lane, z, heading))
      z += rng.uniform(12, 28)
  if street.junction < 45 and _chance(rng, 0.55):
    make = _make_truck if _chance(rng, 0.25) else _make_car
    heading = str(rng.choice(['across_left', 'across_right']))
    fleet.append(make(rng, rng.uniform(-9, 5), street.junction + rng.uniform(1, 3), heading))
  return [(car.z, functools.partial(_vehicle, scene, car)) for car in fleet]


def _walker_jobs(scene: _Scene) -> list[Job]:
  """People on the pavements, alone or in groups, and on the zebra crossing."""
  rng, street, jobs = scene.rng, scene.street, []
  for _ in range(rng.integers(2, 7)):
    inner, outer = [(street.left, street.walk_left), (street.right, street.walk_right)][
        rng.integers(2)]
    z = 6.5 + 30 * rng.uniform() ** 1.5
    for _ in range(rng.choice([1, 1, 2, 3])):
      at, s = z + rng.uniform(-0.6, 0.6), inner + (outer - inner) * rng.uniform(0.2, 0.85)
      jobs.append((at, functools.partial(_person, scene, s, at)))
  if street.crossing < 25:
    for _ in range(rng.integers(0, 4)):
      at = street.crossing + rng.uniform(0.3, 2.8)
      s = rng.uniform(street.left, street.right)
      jobs.append((at, functools.partial(_person, scene, s, at)))
  elif _chance(rng, 0.2):
    at = rng.uniform(9, 25)
    s = rng.uniform(street.left, street.right)
    jobs.append((at, functools.partial(_person, scene, s, at)))
  return jobs


def _furniture_jobs(scene: _Scene) -> list[Job]:
  """Lamp posts, signs, lights, street trees and bins along both kerbs."""
  rng, street, jobs = scene.rng, scene.street, []
  put = lambda z, painter, *rest: jobs.append((z, functools.partial(painter, scene, *rest)))
  for side, kerb, walk in ((-1, street.left, street.walk_left),
                           (1, street.right, street.walk_right)):
    s = kerb + side * rng.uniform(0.4, 0.7)
    if _chance(rng, 0.65):
      for z in np.arange(rng.uniform(6, 22), 80, rng.uniform(13, 26)):
        put(z, _pole, s, z, 'lamp')
    for z in 6 + 30 * rng.uniform(size=rng.integers(0, 4)) ** 1.3:
      put(z, _pole, s, z, 'sign')
    for z in (street.crossing, street.junction):
      if z < 45 and _chance(rng, 0.6):
        put(z - 0.5, _pole, s, z - 0.5, 'light')
    if abs(walk - kerb) > 2.2 and _chance(rng, 0.35):
      leaf = _leaf_colour(rng)
      for z in np.arange(rng.uniform(7, 16), 70, rng.uniform(7, 14)):
        put(z, _tree, s + side * 0.4, z, leaf * rng.uniform(0.8, 1.2))
    if _chance(rng, 0.4):
      z = rng.uniform(6, 20)
      put(z, _bin, walk - side * 0.6, z)
  return jobs


# ---------------------------------------------------------------- light, air, lens

_FINE = np.array([0, 0.05, 0.0, 0.0, 0.1, 0.07, 0.03, 0.06, 0.02, 0.02], np.float32)
_COARSE = np.array([0, 0.06, 0.0, 0.0, 0.12, 0.06, 0.02, 0.05, 0.03, 0.04], np.float32)


def _mask(where: np.ndarray) -> np.ndarray:
  """uint8 or bool `[_H, _W]` -> shares 0..1, float32 `[HEIGHT, WIDTH, 1]`."""
  image = Image.fromarray(where if where.dtype == np.uint8 else where.astype(np.uint8) * 255)
  return np.asarray(image.reduce(2)).astype(np.float32)[..., None] / 255


def _light(rng: Rng, canvas: _Canvas, meta: np.ndarray, weather: _Weather) -> np.ndarray:
  """Albedo -> radiance without sky or air, float32 `[HEIGHT, WIDTH, 3]`."""
  albedo = np.asarray(canvas.colour_image.reduce(2)).astype(np.float32) / 255
  shade = np.asarray(canvas.shade_image.filter(ImageFilter.BoxBlur(1)))
  dark = _mask(np.where(meta[..., 2] == _GROUND, shade, 0).astype(np.uint8))
  lamp = _mask(meta[..., 2] == _LAMP)
  cls = np.minimum(meta[1::2, 1::2, 0], len(CLASS_NAMES) - 1)
  texture = 1 + _FINE[cls] * _patch(rng, _bank()[0]) + _COARSE[cls] * _patch(rng, _bank()[1])
  light = weather.ambient.astype(np.float32) * (1 - 0.35 * dark)
  light += weather.sun.astype(np.float32) * (1 - dark)
  if weather.night > 0:
    light += weather.night * _head_light() * rng.uniform(0.2, 0.7)
  light *= texture[..., None]
  return albedo * (light * (1 - lamp) + lamp)


@functools.cache
def _head_light() -> np.ndarray:
  """The warm pool of the own head lamps, float32 `[HEIGHT, WIDTH, 3]`."""
  v, u = np.mgrid[0:HEIGHT, 0:WIDTH]
  pool = np.exp(-((v / HEIGHT - 0.72) / 0.2) ** 2 - ((u / WIDTH - 0.5) / 0.3) ** 2)
  return (pool[..., None] * np.array([1.0, 0.9, 0.7])).astype(np.float32)


def _air(light: np.ndarray, sky: np.ndarray, meta: np.ndarray, weather: _Weather) -> np.ndarray:
  """Fades things into the haze and puts the sky behind them; `light` is 0 where sky is."""
  depth = np.exp2(np.arange(256) / 36.0) - 1
  fade = np.exp(-weather.haze * depth).astype(np.float32)[meta[1::2, 1::2, 1]][..., None]
  open_sky = _mask(meta[..., 0] == SKY)
  haze = weather.sky_low.astype(np.float32) * ((1 - fade) * (1 - open_sky))
  return light * fade + haze + sky * open_sky


def _rain(rng: Rng, image: Image.Image):
  """Bright streaks, all slanted the same way."""
  draw, slant = ImageDraw.Draw(image), rng.uniform(-0.3, 0.3)
  for u, v, length in rng.uniform((0, 0, 4), (WIDTH, HEIGHT, 11), (rng.integers(20, 80), 3)):
    grey = int(rng.uniform(110, 185))
    draw.line((u, v, u + slant * length, v + length), fill=(grey, grey, grey + 8))


def _lens(rng: Rng, radiance: np.ndarray, weather: _Weather) -> np.ndarray:
  """Exposure, white balance, tone curve, blur and sensor noise -> uint8 `[96, 192, 3]`."""
  gain = rng.uniform(0.78, 1.22) * rng.uniform(0.92, 1.08, 3)
  scene = np.clip(radiance * gain.astype(np.float32), 0, 1.2) / 1.05
  scene = np.clip(scene, 0, 1) ** np.float32(rng.uniform(0.75, 1.2))
  image = Image.fromarray((scene * 255).astype(np.uint8))
  if weather.rain:
    _rain(rng, image)
  if _chance(rng, 0.4):
    image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 0.8))))
  sigma = np.float32(rng.uniform(0.5, 5) + 5 * weather.night * rng.uniform())
  noise = rng.standard_normal((HEIGHT, WIDTH, 3), dtype=np.float32) * sigma
  return np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)


def _bonnet(scene: _Scene):
  """The own bonnet at the lower edge: VOID."""
  rng = scene.rng
  rise, bulge = rng.uniform(6, 20), rng.uniform(0.55, 0.8) * _W
  paint = _paint_colour(rng) * 0.7
  scene.canvas.ellipse(_W / 2, _H + 30, bulge, 30 + rise, paint, _kind(VOID, 1))
  scene.canvas.ellipse(_W / 2, _H + 34, bulge * 0.9, 30 + rise * 0.9, paint * 1.25)


def render(seed: int, index: int) -> tuple[np.ndarray, np.ndarray]:
  """Renders one scene.

  Args:
    seed: names the stream; different seeds give unrelated scenes.
    index: number of the scene in its stream.

  Returns:
    `(image, label)`: uint8 `[96, 192, 3]` RGB, and uint8 `[96, 192]` with ids 0..9 or VOID.
  """
  rng = np.random.default_rng([seed, index])
  camera, weather, street = _draw_camera(rng), _draw_weather(rng), _draw_street(rng)
  sky = _sky(rng, camera, weather)
  first, ground, ground_meta = _ground(rng, camera, street)
  colour, meta = np.zeros((_H, _W, 3), np.uint8), np.zeros((_H, _W, 3), np.uint8)
  meta[..., 1] = 255
  colour[first:] = np.clip(ground, 0, 1) * 255
  meta[first:] = ground_meta
  scene = _Scene(camera, weather, street, _Canvas(colour, meta), rng)
  _backdrop(scene)
  jobs = _verge_jobs(scene, -1) + _verge_jobs(scene, 1)
  jobs += _vehicle_jobs(scene) + _walker_jobs(scene) + _furniture_jobs(scene)
  for _, paint in sorted(jobs, key=lambda job: -job[0]):
    paint()
  if _chance(rng, 0.35):
    _bonnet(scene)
  meta = np.asarray(scene.canvas.meta_image)
  radiance = _air(_light(rng, scene.canvas, meta, weather), sky, meta, weather)
  return _lens(rng, radiance, weather), meta[1::2, 1::2, 0].copy()
