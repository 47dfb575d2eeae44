"""Renders grey industrial surfaces with scratches, stains and dents, on under 3 % of the pixels.

Surfaces are brushed, cast or woven. Pores and marks of tools belong to the surface.
"""

import numpy as np
from rendered.camera import photograph
from rendered.fields import (
  Rng,
  blob_radius,
  curve,
  draw_line,
  fractal_noise,
  grid,
  smooth_noise,
)
from rendered.rendered_set import RenderedSet

SHAPE = (256, 256)
SURFACE, SCRATCH, STAIN, DENT = range(4)


def render(rng: Rng) -> tuple[np.ndarray, np.ndarray]:
  """Returns a grey image and its class ids, see `RenderedSet`."""
  angle = rng.uniform(0, np.pi)
  surface = rng.choice([_brushed, _cast, _woven])(rng, angle)
  shade, mask = rng.uniform(0.4, 1.0) * surface, np.zeros(SHAPE, np.uint8)
  shade += _tool_marks(rng, angle) + _pores(rng)
  for paint, most in ((_paint_stain, 2), (_paint_dent, 3), (_paint_scratch, 3)):
    for _ in range(rng.integers(0, most + 1)):
      paint(rng, shade, mask)
  grey = rng.uniform(0.3, 0.6) * np.exp(shade)
  image = photograph(rng, grey[..., None].repeat(3, 2), 0.2, 0, 0.15, (0.2, 0.9), (1, 6))
  return image[..., 0], mask


def _turned(angle: float) -> tuple[np.ndarray, np.ndarray]:
  """Returns the coordinates along and across a direction, in pixels."""
  y, x = grid(SHAPE)
  return np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x


def _brushed(rng: Rng, angle: float) -> np.ndarray:
  """Returns the logarithm of the brightness of metal brushed along a direction."""
  _, across = _turned(angle)
  lines = rng.standard_normal((3, 800)).astype(np.float32)
  sums = np.zeros(SHAPE, np.float32)
  for line, width in zip(lines, (1.2, 2.5, 6.0), strict=True):
    sums += np.interp(across / width + 350, np.arange(800), line).astype(np.float32)
  return 0.07 * sums * (1 + 0.4 * smooth_noise(rng, SHAPE, 30)) + 0.05 * fractal_noise(
    rng, SHAPE, 4, 2
  )


def _cast(rng: Rng, angle: float) -> np.ndarray:
  """Returns that of a grainy cast surface."""
  del angle
  return 0.13 * fractal_noise(rng, SHAPE, rng.uniform(4, 14), 4)


def _woven(rng: Rng, angle: float) -> np.ndarray:
  """Returns that of a weave whose threads are not quite even."""
  along, across = _turned(angle)
  period = rng.uniform(5, 10)
  warp = 0.6 * smooth_noise(rng, SHAPE, 40)
  threads = np.sin(2 * np.pi * along / period + warp) + np.sin(2 * np.pi * across / period - warp)
  return 0.09 * threads + 0.07 * fractal_noise(rng, SHAPE, 5, 3)


def _tool_marks(rng: Rng, angle: float) -> np.ndarray:
  """Returns faint straight lines through the whole image, which are no scratches."""
  marks = np.zeros(SHAPE, np.float32)
  _, across = _turned(angle)
  for _ in range(rng.integers(0, 5)):
    place = rng.uniform(across.min(), across.max())
    marks += rng.normal(0, 0.1) * np.exp(-(((across - place) / rng.uniform(0.7, 2)) ** 2))
  return marks


def _pores(rng: Rng) -> np.ndarray:
  """Returns small dark points, more in some places than in others."""
  chance = 0.001 * rng.random() * np.exp(smooth_noise(rng, SHAPE, 60))
  points = (rng.random(SHAPE) < chance).astype(np.float32)
  near = points[:-1] + points[1:]
  points[:-1] += 0.6 * near
  return -rng.uniform(0.2, 0.6) * np.minimum(points, 1)


def _paint_scratch(rng: Rng, shade: np.ndarray, mask: np.ndarray):
  """Paints a thin curved groove, dark or bright, often with one bright lip."""
  start, angle = rng.uniform(20, 236, 2), rng.uniform(0, 2 * np.pi)
  points = curve(rng, start, angle, rng.uniform(40, 160), rng.choice([0.1, 0.5]))
  taper = np.clip(1.5 * np.sin(np.linspace(0.25, np.pi - 0.25, 24)), 0.7, 1)
  widths = rng.uniform(1.6, 3.4) * taper
  groove = draw_line(SHAPE, points, widths)
  depth = rng.choice([-1, 1], p=[0.65, 0.35]) * rng.uniform(0.22, 0.65)
  pressure = np.clip(1 + 0.35 * smooth_noise(rng, SHAPE, 20), 0.3, 1.5)
  lip = draw_line(SHAPE, points + rng.choice([-1.3, 1.3]), widths * 0.6) * (1 - groove)
  shade += pressure * (depth * groove - 0.4 * rng.random() * depth * lip)
  mask[groove >= 0.5] = SCRATCH


def _paint_stain(rng: Rng, shade: np.ndarray, mask: np.ndarray):
  """Paints a blurred spot without relief, often with a darker rim, as of a dried drop."""
  size = rng.uniform(8, 17)
  distance = blob_radius(rng, SHAPE, rng.uniform(15, 241, 2), size, 0.3, rng.uniform(1, 1.8))
  distance += 0.08 * smooth_noise(rng, SHAPE, 7)
  amount = 1 / (1 + np.exp((distance - 1) * size / rng.uniform(0.8, 2.5)))
  rim = rng.uniform(0, 0.8) * np.exp(-(((distance - 0.9) / 0.15) ** 2))
  strength = rng.choice([-1, 1], p=[0.75, 0.25]) * rng.uniform(0.18, 0.5)
  shade += strength * amount * (0.7 + rim)
  mask[distance < 1] = STAIN


def _paint_dent(rng: Rng, shade: np.ndarray, mask: np.ndarray):
  """Paints a hollow: bright on the side that faces the light, dark on the other."""
  size, center = rng.uniform(5, 12), rng.uniform(12, 244, 2)
  distance = blob_radius(rng, SHAPE, center, size, 0.1, rng.uniform(1, 1.4))
  height = -np.exp(-2 * distance**2)
  slope = np.stack(np.gradient(height)) * size
  light = rng.uniform(0, 2 * np.pi)
  facing = np.sin(light) * slope[0] + np.cos(light) * slope[1]
  shade += rng.uniform(0.35, 0.8) * facing
  mask[distance < 1] = DENT


SET = RenderedSet(
  render,
  classes=('surface', 'scratch', 'stain', 'dent'),
  labeled=30,
  unlabeled=300,
  val=60,
)
