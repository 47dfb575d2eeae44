"""Painters of the ground, per pixel, and of the silhouettes along the horizon.

Synopsis:

    colour, meta = paint_ground(rng, camera, street)  # uint8 [192, 384, 3] each
"""

from collections.abc import Callable
import functools

import numpy as np

from classmix_jax.datasets.scenes import noise
from classmix_jax.datasets.scenes.camera import FAR, Camera
from classmix_jax.datasets.scenes.canvas import CANVAS_H, CANVAS_W, GROUND, encode_depth, kind
from classmix_jax.datasets.scenes.classes import BUILDING, PAVEMENT, ROAD, VEGETATION
from classmix_jax.datasets.scenes.draws import Rng, chance, grey, hue, leaf_colour, wall_colour
from classmix_jax.datasets.scenes.scene import Scene
from classmix_jax.datasets.scenes.street import Street


def paint_ground(rng: Rng, camera: Camera, street: Street) -> tuple[np.ndarray, np.ndarray]:
  """Returns albedo and meta image of the empty street, uint8 `[CANVAS_H, CANVAS_W, 3]` each."""
  first = int(camera.horizon) + 1  # the first row of ground
  v = np.arange(first, CANVAS_H, dtype=np.float32)[:, None] + 0.5
  u = np.arange(CANVAS_W, dtype=np.float32) + 0.5
  # Inverse of `Camera.point` for y = 0.
  z = camera.focal * camera.height / np.maximum(v - camera.horizon, 0.5)
  s = (u - camera.centre) * (z / camera.focal) - camera.curve * z * z
  is_side = (z > street.junction) & (z < street.junction + street.junction_width)
  is_road = ((s > street.left) & (s < street.right)) | is_side
  edges = np.array([street.walk_left, street.walk_right])  # compared in float64
  is_walk = (s > edges[0]) & (s < edges[1])
  paved = street.area in ('city', 'works') and chance(rng, 0.85)
  verge = PAVEMENT if paved else VEGETATION
  cls = np.where(is_road, np.uint8(ROAD), np.where(is_walk, np.uint8(PAVEMENT), np.uint8(verge)))
  albedo = np.empty((cls.size, 3), np.float32)
  painters: dict[int, Callable[..., np.ndarray]] = {
    ROAD: functools.partial(_road_colour, street=street),
    PAVEMENT: _pavement_colour,
    VEGETATION: _grass_colour,
  }
  for ground, paint in painters.items():
    here = np.flatnonzero(cls == ground)
    albedo[here] = paint(rng, s=s.ravel()[here], z=z.ravel()[here // CANVAS_W])
  kerb = (abs(s - street.left) < 0.12) | (abs(s - street.right) < 0.12)
  albedo[np.flatnonzero(kerb & ~is_road)] *= rng.uniform(0.75, 1.35)
  colour, meta = (np.zeros((CANVAS_H, CANVAS_W, 3), np.uint8) for _ in range(2))
  np.clip(albedo, 0, 1, out=albedo)
  albedo *= 255
  colour[first:] = albedo.reshape(*cls.shape, 3)
  meta[:first, :, 1] = 255
  meta[first:, :, 0], meta[first:, :, 1], meta[first:, :, 2] = cls, encode_depth(z), GROUND
  return colour, meta


def _frac(x: np.ndarray) -> np.ndarray:
  """Returns the fractional part; several times faster than `x % 1`."""
  return x - np.floor(x)


def _road_colour(rng: Rng, street: Street, s: np.ndarray, z: np.ndarray) -> np.ndarray:
  """Returns the colours of asphalt, concrete or cobbles with patches and markings, `[N, 3]`."""
  fine, mid, coarse = noise.tiles()
  base = grey(rng, 0.16, 0.38, 0.03) * (1 + np.array([0.05, 0, -0.05]) * rng.uniform(-1, 1))
  base = base.astype(np.float32)
  tone = 1 + rng.uniform(0.02, 0.12) * noise.on_ground(coarse, s, z, 9)
  tone += rng.uniform(0.02, 0.1) * noise.on_ground(fine, s, z, 30)
  if chance(rng, 0.15):  # cobbles
    tone *= 1 - 0.3 * ((_frac(s * 5) < 0.22) | (_frac(z * 4 + np.floor(s * 5) * 0.5) < 0.2))
  if chance(rng, 0.5):  # a patch of newer surface
    s0, z0 = rng.uniform(street.left, street.right), rng.uniform(4, 20)
    tone *= np.where(
      (abs(s - s0) < rng.uniform(0.4, 2)) & (abs(z - z0) < rng.uniform(1, 5)),
      rng.uniform(0.6, 1.25),
      1,
    )
  tone *= 1 - rng.uniform(0, 0.2) * np.exp(-((abs(s) - 0.8) ** 2) * 6)  # wheel tracks
  paint = _markings(rng, street, s, z) * rng.uniform(0.4, 0.95)
  paint *= np.clip(1 + 0.5 * noise.on_ground(mid, s, z, 12), 0, 1)
  white = np.array([0.9, 0.9, 0.86] if chance(rng, 0.8) else [0.85, 0.7, 0.2], np.float32)
  return (base * tone[..., None]) * (1 - paint[..., None]) + white * paint[..., None]


def _markings(rng: Rng, street: Street, s: np.ndarray, z: np.ndarray) -> np.ndarray:
  """Returns where lane dashes, edge lines and zebra stripes are, 0 or 1, `[N]`."""
  paint = np.zeros(s.shape, bool)
  width, period, phase = rng.uniform(0.07, 0.14), rng.uniform(4, 9), rng.uniform(0, 9)
  if chance(rng, 0.75):
    lanes = max(1, round((street.right - street.left) / 3.6))
    dash = _frac((z + phase) / period) < 0.5
    for lane in range(1, lanes):
      at = street.left + (street.right - street.left) * lane / lanes
      paint |= (abs(s - at) < width) & (dash | chance(rng, 0.25))
  if chance(rng, 0.35):
    inset = rng.uniform(0.2, 0.5)
    paint |= (abs(s - street.left - inset) < width) | (abs(s - street.right + inset) < width)
  if street.crossing < FAR:
    paint |= (z > street.crossing) & (z < street.crossing + 3.2) & (_frac(s) < 0.5)
  return paint.astype(np.float32)


def _pavement_colour(rng: Rng, s: np.ndarray, z: np.ndarray) -> np.ndarray:
  """Returns the colours of slabs, bricks or asphalt, like roads and walls, `[N, 3]`."""
  fine, mid, _ = noise.tiles()
  base = [
    grey(rng, 0.45, 0.75, 0.03),
    np.array([0.55, 0.36, 0.28]),
    np.array([0.62, 0.56, 0.42]),
    np.array([0.34, 0.33, 0.33]),
  ][rng.choice(4, p=[0.34, 0.3, 0.26, 0.1])]
  base = (base * rng.uniform(0.7, 1.2)).astype(np.float32)
  tone = 1 + rng.uniform(0.03, 0.1) * noise.on_ground(mid, s, z, 8)
  tone += 0.05 * noise.on_ground(fine, s, z, 30)
  if chance(rng, 0.65):
    a, b = rng.uniform(0.35, 1.2, 2)
    row = np.floor(s / a)
    joint = (_frac(s / a) < 0.1) | (_frac(z / b + 0.5 * row) < 0.1)
    checker = _frac(0.5 * (row + np.floor(z / b)))
    tone *= 1 - rng.uniform(0.1, 0.35) * joint - rng.uniform(0, 0.3) * checker
  return base * tone[..., None]


def _grass_colour(rng: Rng, s: np.ndarray, z: np.ndarray) -> np.ndarray:
  """Returns the colours of a lawn or a meadow, green to straw, `[N, 3]`."""
  base = hue(rng, rng.uniform(0.25, 0.65), rng.uniform(0.3, 0.62), rng.uniform(0.11, 0.33))
  fine, mid, coarse = noise.tiles()
  tone = 1 + 0.16 * noise.on_ground(mid, s, z, 14) + 0.1 * noise.on_ground(coarse, s, z, 5)
  return base * (tone + 0.08 * noise.on_ground(fine, s, z, 40))[..., None]


def paint_backdrop(scene: Scene):
  """Paints distant roofs and tree tops along the horizon."""
  rng, low = scene.rng, scene.camera.horizon + 2
  u, trees = -10.0, chance(rng, 0.55)
  colour = leaf_colour(rng) if trees else wall_colour(rng)
  while u < CANVAS_W:
    step, rise = rng.uniform(8, 40), rng.uniform(3, 26)
    shade = colour * rng.uniform(0.75, 1.2)
    tag = kind(VEGETATION if trees else BUILDING, FAR)
    if trees:
      scene.canvas.ellipse(u + step / 2, low - rise / 3, step * 0.7, rise * 0.7, shade, tag)
    else:
      box = [(u, low), (u, low - rise), (u + step, low - rise), (u + step, low)]
      scene.canvas.polygon(box, shade, tag)
    u += step * rng.uniform(0.6, 1.3)
    if chance(rng, 0.12):  # a gap, after which roofs or trees are drawn anew
      u += rng.uniform(10, 70)
      trees = chance(rng, 0.5)
      colour = leaf_colour(rng) if trees else wall_colour(rng)
