"""Renders farmland from the air: fields of one palette, separated by the order of their plants.

A meadow has no direction, a row crop one, an orchard two. Roads, water and roofs lie above them.
"""

import numpy as np
from rendered.camera import photograph
from rendered.fields import (
  Rng,
  blob_radius,
  coverage,
  curve,
  draw_line,
  draw_polygon,
  fractal_noise,
  grid,
  smooth_noise,
)
from rendered.rendered_set import RenderedSet

SHAPE = (200, 200)
MEADOW, ROWS, ORCHARD, ROAD, WATER, ROOF = range(6)
# Colours of soil, dry and green plants; each field has a colour between two of them.
PALETTE = np.array([[0.45, 0.36, 0.26], [0.62, 0.57, 0.35], [0.24, 0.36, 0.17], [0.36, 0.46, 0.22]])
ROOFS = np.array([[0.55, 0.28, 0.2], [0.42, 0.42, 0.44], [0.72, 0.7, 0.66], [0.36, 0.26, 0.22]])


class Canvas:
  """Colours `[H, W, 3]` of 0..1 and class ids of a tile, painted together."""

  def __init__(self):
    self.colors = np.zeros((*SHAPE, 3), np.float32)
    self.mask = np.zeros(SHAPE, np.uint8)

  def paint(self, cover: np.ndarray, colors: np.ndarray, cls: int | None = None):
    """Covers a share of each pixel; its class is `cls` from one half on, if that is not None."""
    rows = np.flatnonzero(cover.any(1))
    if not len(rows):
      return
    area = slice(rows[0], rows[-1] + 1)  # most shapes are small
    colors = np.broadcast_to(colors.astype(np.float32), self.colors.shape)[area]
    self.colors[area] += cover[area, :, None] * (colors - self.colors[area])
    if cls is not None:
      self.mask[cover >= 0.5] = cls


def render(rng: Rng) -> tuple[np.ndarray, np.ndarray]:
  """Returns an image and its class ids, see `RenderedSet`."""
  canvas, scale, angle = Canvas(), rng.uniform(0.75, 1.4), rng.uniform(0, np.pi)
  along, across = _along_fields(rng, angle)
  for low, high in _split(rng, np.full(2, -180.0), np.full(2, 180.0), 75 * scale):
    _paint_field(rng, canvas, along, across, low, high, scale)
  if rng.random() < 0.7:
    _paint_water(rng, canvas, scale)
  roads = [_paint_road(rng, canvas, scale, angle) for _ in range(rng.integers(1, 3))]
  for _ in range(rng.integers(1, 5)):
    road = roads[rng.integers(len(roads))]
    _paint_farm(rng, canvas, scale, road[rng.integers(len(road))] + rng.normal(0, 22 * scale, 2))
  haze = rng.uniform(0, 0.3)
  clouds = 1 - rng.uniform(0, 0.5) * coverage(0.7 * fractal_noise(rng, SHAPE, 120, 3) - 0.8)
  scene = canvas.colors * clouds[..., None] * (1 - haze) + haze * np.array([0.7, 0.73, 0.78])
  image = photograph(rng, scene.astype(np.float32), 0.2, 0.06, 0.06, (0.3, 1.1), (1, 5))
  return image, canvas.mask


def _split(rng: Rng, low: np.ndarray, high: np.ndarray, size: float) -> list:
  """Returns rectangles (low, high) of about `size` pixels that fill one."""
  sides = high - low
  longest = int(np.argmax(sides))
  if sides[longest] < size * rng.uniform(1.2, 2.4):
    return [(low, high)]
  cut = low[longest] + sides[longest] * rng.uniform(0.3, 0.7)
  middle_high, middle_low = high.copy(), low.copy()
  middle_high[longest] = middle_low[longest] = cut
  return _split(rng, low, middle_high, size) + _split(rng, middle_low, high, size)


def _along_fields(rng: Rng, angle: float) -> tuple[np.ndarray, np.ndarray]:
  """Returns coordinates along and across the fields, from the middle, not quite straight."""
  y, x = grid(SHAPE)
  y, x = y - 100, x - 100
  bend = 1.5 * smooth_noise(rng, SHAPE, 60)
  along = np.cos(angle) * y + np.sin(angle) * x + bend
  return along, np.cos(angle) * x - np.sin(angle) * y - bend


def _paint_field(rng: Rng, canvas: Canvas, along, across, low, high, scale: float):
  """Paints a field between two corners, perhaps with a border of grass."""
  inside = np.minimum(
    np.minimum(along - low[0], high[0] - along), np.minimum(across - low[1], high[1] - across)
  )
  if inside.max() < 0:
    return
  turned = rng.random() < 0.5
  cls = int(rng.choice([MEADOW, ROWS, ORCHARD], p=[0.4, 0.38, 0.22]))
  a, b = rng.choice(len(PALETTE), 2, replace=False)
  share = rng.random()
  ground = share * PALETTE[a] + (1 - share) * PALETTE[b]
  texture = TEXTURES[cls](rng, across if turned else along, along if turned else across, scale)
  patches = np.exp(0.14 * fractal_noise(rng, SHAPE, 40, 2))
  canvas.paint(coverage(inside + 0.5), ground * (patches * texture)[..., None], cls)
  border = coverage(1.2 - np.abs(inside)) * rng.choice([0.0, 0.7])
  canvas.paint(border.astype(np.float32), PALETTE[2] * 0.8)


def _meadow(rng: Rng, along, across, scale: float) -> np.ndarray:
  """Returns the brightness of grass with tufts and shrubs."""
  del along, across
  tufts = fractal_noise(rng, SHAPE, rng.uniform(3, 9) * scale, 3)
  shrubs = coverage(4 * smooth_noise(rng, SHAPE, 7 * scale) - rng.uniform(6, 12))
  return np.exp(rng.uniform(0.05, 0.16) * tufts) * (1 - 0.4 * shrubs)


def _rows(rng: Rng, along, across, scale: float) -> np.ndarray:
  """Returns that of parallel rows, less clear in some places than in others."""
  phase = 2 * np.pi * across / max(4.0, rng.uniform(4.5, 8) * scale) + 0.25 * smooth_noise(
    rng, SHAPE, 50
  )
  clear = np.clip(1 + 0.5 * smooth_noise(rng, SHAPE, 30), 0.3, 2)
  return np.exp(rng.uniform(0.08, 0.2) * clear * np.sin(phase) + 0 * along)


def _orchard(rng: Rng, along, across, scale: float) -> np.ndarray:
  """Returns that of single trees at equal distances in both directions."""
  period = rng.uniform(7, 11) * scale
  bend = 0.3 * smooth_noise(rng, SHAPE, 20)
  both = np.cos(2 * np.pi * along / period + bend) + np.cos(2 * np.pi * across / period - bend)
  crowns = coverage(2.5 * (both - rng.uniform(0.3, 0.9)))
  contrast = rng.choice([-0.5, 0.3], p=[0.7, 0.3]) * rng.uniform(0.35, 1)
  return 1 + contrast * crowns * np.exp(0.2 * smooth_noise(rng, SHAPE, 2))


TEXTURES = {MEADOW: _meadow, ROWS: _rows, ORCHARD: _orchard}


def _paint_water(rng: Rng, canvas: Canvas, scale: float):
  """Paints a pond or a river: smooth, of a colour that may be that of a dark field."""
  color = np.array([0.12, 0.19, 0.2]) + rng.random() * np.array([0.14, 0.14, 0.08])
  if rng.random() < 0.5:
    size = scale * rng.uniform(15, 36)
    distance = blob_radius(rng, SHAPE, rng.uniform(20, 180, 2), size, 0.3, rng.uniform(1, 2.2))
    cover = coverage((1 - distance) * size)
  else:
    side = rng.uniform(0, 200)
    points = curve(rng, (-10, side), rng.uniform(0.3, np.pi - 0.3), 330, 0.5)
    cover = draw_line(SHAPE, points, np.full(24, scale * rng.uniform(9, 18)))
  ripple = np.exp(rng.uniform(0.02, 0.1) * fractal_noise(rng, SHAPE, 8, 2))
  canvas.paint(np.clip(cover, 0, 1), color * ripple[..., None], WATER)


def _paint_road(rng: Rng, canvas: Canvas, scale: float, angle: float) -> np.ndarray:
  """Paints a road of asphalt or gravel, mostly along the fields; returns its points."""
  direction = angle + rng.choice([0, np.pi / 2]) + rng.normal(0, 0.08)
  middle = rng.uniform(40, 160, 2)
  start = middle - 220 * np.array([np.sin(direction), np.cos(direction)])
  points = curve(rng, start, direction, 440, 0.12)
  color = np.array([[0.42, 0.42, 0.43], [0.6, 0.55, 0.46]])[rng.integers(2)] * rng.uniform(0.7, 1.2)
  width = scale * rng.uniform(3, 7)
  wear = np.exp(0.06 * fractal_noise(rng, SHAPE, 6, 3))
  cover = draw_line(SHAPE, points, np.full(24, width))
  verge = draw_line(SHAPE, points, np.full(24, width + 3))
  canvas.paint(0.5 * verge, PALETTE[3] * 0.8)
  canvas.paint(cover, color * wear[..., None], ROAD)
  return points


def _paint_farm(rng: Rng, canvas: Canvas, scale: float, place: np.ndarray):
  """Paints some buildings, each with a lit and a dark side and a shadow."""
  direction, sun = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
  for _ in range(rng.integers(1, 5)):
    half = scale * np.array([rng.uniform(6, 15), rng.uniform(4, 7)])
    corners = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]]) * half
    turn = direction + rng.choice([0, np.pi / 2])
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    center = place + rng.normal(0, 16 * scale, 2)
    shift = scale * rng.uniform(2, 5) * np.array([np.sin(sun), np.cos(sun)])
    canvas.paint(0.55 * draw_polygon(SHAPE, center + corners @ matrix + shift), 0.1 * np.ones(3))
    color = ROOFS[rng.integers(len(ROOFS))] * rng.uniform(0.75, 1.2)
    tiles = np.exp(0.05 * smooth_noise(rng, SHAPE, 2))[..., None]
    canvas.paint(draw_polygon(SHAPE, center + corners @ matrix), color * tiles, ROOF)
    lit = corners * [1, 0.5] + [0, 0.5 * half[1]]
    canvas.paint(draw_polygon(SHAPE, center + lit @ matrix), color * rng.uniform(0.6, 0.9) * tiles)


SET = RenderedSet(
  render,
  classes=('meadow', 'rows', 'orchard', 'road', 'water', 'roof'),
  labeled=24,
  unlabeled=240,
  val=60,
)
