"""Renders a field from above: crop in rows and weed between, of the same greens.

Only shape separates them: crop is a rosette of long leaves, weed one of short lobed leaves. The
scene is painted at twice the size; plants cast shadows on soil and on lower leaves.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from rendered.camera import photograph
from rendered.fields import Rng, fractal_noise, smooth_noise
from rendered.rendered_set import RenderedSet

SHAPE = (480, 640)
SOIL, CROP, WEED = range(3)
SCALE = 2  # of the painted scene


class Canvas:
  """Colour, class ids and shadow of a scene, painted together."""

  def __init__(self, soil: np.ndarray, sun: np.ndarray):
    self.colors = Image.fromarray(soil).resize((SHAPE[1] * SCALE, SHAPE[0] * SCALE))
    self.mask = Image.new('L', self.colors.size)
    self.shadow = Image.new('L', self.colors.size)
    self.sun = sun  # direction of shadows, in pixels of the scene

  def polygon(self, points: np.ndarray, color: np.ndarray, cls: int | None, height: float):
    """Paints a polygon `[N, 2]` in a colour of 0..1, keeping the class ids if `cls` is None."""
    flat = [tuple(p) for p in points.tolist()]
    fill = tuple(int(c) for c in np.clip(255 * color, 0, 255))
    shift = points + height * self.sun
    ImageDraw.Draw(self.shadow).polygon([tuple(p) for p in shift.tolist()], fill=255)
    ImageDraw.Draw(self.shadow).polygon(flat, fill=0)
    ImageDraw.Draw(self.colors).polygon(flat, fill=fill)
    if cls is not None:
      ImageDraw.Draw(self.mask).polygon(flat, fill=cls)


def render(rng: Rng) -> tuple[np.ndarray, np.ndarray]:
  """Returns an image and its class ids, see `RenderedSet`."""
  angle = rng.uniform(0, 2 * np.pi)
  canvas = Canvas(_soil(rng), np.array([np.cos(angle), np.sin(angle)]) * rng.uniform(0.2, 1.2))
  _paint_stones(rng, canvas)
  green = np.array([rng.uniform(0.24, 0.44), 0.5, rng.uniform(0.12, 0.28)])
  green *= rng.uniform(0.75, 1.15)
  plants = _rows(rng) + _weeds(rng)
  for index in rng.permutation(len(plants)):
    paint, place, size = plants[index]
    paint(rng, canvas, place, size, green * np.exp(rng.normal(0, [0.12, 0.1, 0.12])))
  return _photograph(rng, canvas), np.array(canvas.mask)[::SCALE, ::SCALE]


def _photograph(rng: Rng, canvas: Canvas) -> np.ndarray:
  """Returns the photograph of a painted scene in the light of one day."""
  soft = canvas.shadow.filter(ImageFilter.GaussianBlur(rng.uniform(1, 4)))
  dark = np.asarray(soft.reduce(SCALE), np.float32)[..., None] / 255
  colors = np.asarray(canvas.colors.reduce(SCALE), np.float32) / 255
  grain = np.exp(0.08 * smooth_noise(rng, SHAPE, 1.5))[..., None]
  scene = colors * grain * (1 - rng.uniform(0.15, 0.7) * dark)
  return photograph(rng, scene, exposure=0.18, cast=0.05, uneven=0.08, blur=(0.4, 1.5))


def _soil(rng: Rng) -> np.ndarray:
  """Returns soil with crumbs and damp places, uint8 `[H, W, 3]`: dark and wet to pale and dry."""
  dry = rng.random()
  color = (1 - dry) * np.array([0.26, 0.19, 0.14]) + dry * np.array([0.62, 0.52, 0.41])
  crumbs = fractal_noise(rng, SHAPE, rng.uniform(3, 12), 3)
  # Gaps between crumbs are narrow and dark, their tops wide and equally bright.
  crumbs = rng.uniform(0.1, 0.25) * (np.minimum(crumbs, 0.4) + 0.3 * crumbs)
  damp = rng.uniform(0.03, 0.12) * fractal_noise(rng, SHAPE, 120, 3)
  return np.clip(255 * color * np.exp(crumbs + damp)[..., None], 0, 255).astype(np.uint8)


def _paint_stones(rng: Rng, canvas: Canvas):
  """Paints stones, and straw of the last crop, as soil."""
  for _ in range(rng.integers(5, 90)):
    angles = np.linspace(0, 2 * np.pi, 9)[:-1]
    radii = np.exp(rng.normal(np.log(5), 0.5)) * rng.uniform(0.7, 1.2, 8)
    outline = np.stack([np.cos(angles) * radii * rng.uniform(1, 1.6), np.sin(angles) * radii], 1)
    grey = rng.uniform(0.35, 0.75) * np.array([1.0, 0.95, 0.87])
    canvas.polygon(_anywhere(rng) + outline @ _turn(rng.uniform(0, np.pi)), grey, None, 3)
  for _ in range(rng.integers(0, 40)):
    straw = _leaf_outline(rng.uniform(20, 90), rng.uniform(1.0, 2.5), rng.normal(0, 0.2))
    yellow = rng.uniform(0.5, 0.85) * np.array([1.0, 0.87, 0.55])
    canvas.polygon(_anywhere(rng) + straw @ _turn(rng.uniform(0, 2 * np.pi)), yellow, None, 3)


def _rows(rng: Rng) -> list:
  """Returns (paint, place, size) of the crop: plants at equal distances in parallel rows."""
  height, width = SHAPE[0] * SCALE, SHAPE[1] * SCALE
  size = rng.uniform(0.55, 1.25)  # age of the field
  spacing, tilt = rng.uniform(300, 480), rng.normal(0, 0.12)
  plants = []
  for x in np.arange(rng.uniform(0, spacing), width + 100, spacing):
    for y in np.arange(-rng.uniform(0, 150), height + 60, rng.uniform(120, 200)):
      if rng.random() < 0.85:
        place = np.array([x + tilt * y, y]) + rng.normal(0, 14, 2)
        plants.append((_paint_crop, place, size * np.exp(rng.normal(0, 0.2))))
  return plants


def _weeds(rng: Rng) -> list:
  """Returns (paint, place, size) of the weed: anywhere, often in groups."""
  plants = []
  for _ in range(rng.integers(3, 14)):
    group = _anywhere(rng)
    for _ in range(rng.integers(1, 6)):
      size = np.exp(rng.normal(np.log(0.9), 0.35))
      plants.append((_paint_weed, group + rng.normal(0, 55, 2), size))
  return plants


def _paint_crop(rng: Rng, canvas: Canvas, place: np.ndarray, size: float, color: np.ndarray):
  """Paints a rosette of long narrow leaves."""
  leaves = rng.integers(4, 10)
  angles = rng.uniform(0, 2 * np.pi) + 2 * np.pi / leaves * (np.arange(leaves) * 3 % leaves)
  for angle in angles + rng.normal(0, 0.25, leaves):
    length = size * rng.uniform(45, 105)
    outline = _leaf_outline(length, length * rng.uniform(0.045, 0.11), rng.normal(0, 0.35))
    _paint_leaf(rng, canvas, place, outline, angle, color, CROP, 16 * size)


def _paint_weed(rng: Rng, canvas: Canvas, place: np.ndarray, size: float, color: np.ndarray):
  """Paints short lobed leaves on thin stalks."""
  leaves, lobes = rng.integers(4, 9), rng.choice([3, 5, 7])
  for angle in rng.uniform(0, 2 * np.pi) + 2.4 * np.arange(leaves):
    length, stalk = size * rng.uniform(16, 34), size * rng.uniform(5, 26)
    outline = _lobed_outline(length, lobes, rng.uniform(0.15, 0.4)) + [stalk, 0]
    line = _leaf_outline(stalk + 4, 1.6, 0.0)
    canvas.polygon(place + line @ _turn(angle), 0.85 * color, WEED, 8 * size)
    _paint_leaf(rng, canvas, place, outline, angle, color, WEED, 12 * size)


def _paint_leaf(rng: Rng, canvas: Canvas, place, outline, angle, color, cls: int, height: float):
  """Paints a leaf in two halves, since its sides face the light differently, and a vein."""
  outline = place + outline @ _turn(angle)
  light, half = np.exp(rng.normal(0, 0.16)), len(outline) // 2
  canvas.polygon(outline, light * color, cls, height)
  canvas.polygon(outline[: half + 1], light * rng.uniform(0.75, 0.95) * color, cls, 0)
  vein = outline[[0, half]] + [[0.0, 0.0], [1.0, 1.0]]
  pale = tuple(int(c) for c in np.clip(255 * light * (1.15 * color + 0.05), 0, 255))
  flat = [tuple(p) for p in vein.tolist()]
  ImageDraw.Draw(canvas.colors).line(flat, fill=pale, width=1)


def _leaf_outline(length: float, width: float, bend: float) -> np.ndarray:
  """Returns points `[24, 2]` around a leaf along x, pointed at both ends, of a half `width`."""
  along = np.linspace(0, 1, 13)
  half = width * np.sin(np.pi * along**0.85) ** 0.8
  middle = np.stack([length * along, bend * length * along**2], 1)
  side = np.stack([np.zeros_like(half), half], 1)
  return np.concatenate([middle + side, (middle - side)[-2:0:-1]])


def _lobed_outline(length: float, lobes: int, depth: float) -> np.ndarray:
  """Returns points `[40, 2]` around a roundish leaf along x with that many lobes."""
  angles = np.linspace(0, 2 * np.pi, 41)[:-1] + np.pi
  radii = 0.5 * length * (1 - depth * (0.5 + 0.5 * np.cos(lobes * angles)))
  return np.stack([0.5 * length + np.cos(angles) * radii, 0.85 * np.sin(angles) * radii], 1)


def _anywhere(rng: Rng) -> np.ndarray:
  return rng.uniform(0, 1, 2) * [SHAPE[1] * SCALE, SHAPE[0] * SCALE]


def _turn(angle: float) -> np.ndarray:
  return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


SET = RenderedSet(render, classes=('soil', 'crop', 'weed'), labeled=10, unlabeled=40, val=20)
