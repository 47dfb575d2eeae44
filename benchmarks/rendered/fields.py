"""Computes fields over an image: noise, distances to shapes, coverage of drawn lines.

All fields are float32 `[H, W]`; positions and distances are in pixels, (y, x), and the centre of
the first pixel is (0, 0).
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

Rng = np.random.Generator
Shape = tuple[int, int]

OVERSAMPLING = 4  # of drawn lines and polygons, per side


def grid(shape: Shape) -> tuple[np.ndarray, np.ndarray]:
  """Returns y `[H, 1]` and x `[1, W]` of all pixels."""
  y, x = np.ogrid[: shape[0], : shape[1]]
  return y.astype(np.float32), x.astype(np.float32)


def smooth_noise(rng: Rng, shape: Shape, scale: float | tuple[float, float]) -> np.ndarray:
  """Returns noise of mean 0 and standard deviation near 1, with features of `scale` pixels."""
  scales = np.broadcast_to(scale, 2)
  nodes = [int(np.ceil(side / s)) + 3 for side, s in zip(shape, scales, strict=True)]
  coarse = Image.fromarray(rng.standard_normal(nodes, dtype=np.float32))
  top, left = rng.uniform(1, 2, 2)
  box = (left, top, left + shape[1] / scales[1], top + shape[0] / scales[0])
  fine = np.asarray(coarse.resize(shape[::-1], Image.Resampling.BICUBIC, box))
  return fine * np.float32(1.4)  # interpolation averages nodes


def fractal_noise(rng: Rng, shape: Shape, scale: float, octaves: int) -> np.ndarray:
  """Returns a sum of noises, each of half the scale and 0.6 of the amplitude of the one before."""
  total = np.zeros(shape, np.float32)
  for octave in range(octaves):
    total += 0.6**octave * smooth_noise(rng, shape, max(1.0, scale / 2**octave))
  return total * np.float32(0.8)


def coverage(distance: np.ndarray) -> np.ndarray:
  """Returns the covered share of each pixel, 0..1, from the distance to an edge, > 0 inside."""
  return np.clip(distance + np.float32(0.5), 0, 1)


def blob_radius(
  rng: Rng, shape: Shape, center: Sequence[float], radius: float, roughness: float, stretch=1.0
) -> np.ndarray:
  """Returns the distance from `center` relative to the edge of a roundish blob: 1 on its edge.

  `roughness` is the amplitude of the edge's waves relative to the radius; the blob is `stretch`
  times as long as wide.
  """
  y, x = grid(shape)
  dy, dx = y - np.float32(center[0]), x - np.float32(center[1])
  turn = rng.uniform(0, np.pi)
  along = (np.cos(turn) * dy + np.sin(turn) * dx) / np.sqrt(stretch)
  across = (np.cos(turn) * dx - np.sin(turn) * dy) * np.sqrt(stretch)
  angle = np.arctan2(across, along)
  edge = np.ones(shape, np.float32)
  for waves in range(2, 6):
    edge += np.float32(rng.normal(0, roughness / waves)) * np.cos(
      waves * angle + np.float32(rng.uniform(0, 2 * np.pi))
    )
  return np.hypot(along, across) / (np.float32(radius) * np.maximum(edge, 0.3))


def draw_line(shape: Shape, points: np.ndarray, widths: np.ndarray) -> np.ndarray:
  """Returns the coverage of a line through points `[N, 2]` with the width of each segment."""
  image = Image.new('L', (shape[1] * OVERSAMPLING, shape[0] * OVERSAMPLING))
  draw = ImageDraw.Draw(image)
  flat = _to_canvas(points)
  for (a, b), width in zip(zip(flat, flat[1:], strict=False), widths, strict=False):
    draw.line((a, b), fill=255, width=max(1, round(width * OVERSAMPLING)))
  return np.asarray(image.reduce(OVERSAMPLING), np.float32) / 255


def draw_polygon(shape: Shape, points: np.ndarray) -> np.ndarray:
  """Returns the coverage of a polygon with corners `[N, 2]`."""
  image = Image.new('L', (shape[1] * OVERSAMPLING, shape[0] * OVERSAMPLING))
  ImageDraw.Draw(image).polygon(_to_canvas(points), fill=255)
  return np.asarray(image.reduce(OVERSAMPLING), np.float32) / 255


def curve(rng: Rng, start: Sequence[float], angle: float, length: float, bend: float) -> np.ndarray:
  """Returns points `[24, 2]` of a line from `start` whose direction changes by about `bend`."""
  steps = 24
  wobble = np.cumsum(rng.normal(0, bend / steps**0.5, steps))
  directions = angle + wobble + np.linspace(0, rng.normal(0, bend), steps)
  moves = np.stack([np.sin(directions), np.cos(directions)], 1) * (length / steps)
  return (np.asarray(start) + np.cumsum(moves, 0)).astype(np.float32)


def _to_canvas(points: np.ndarray) -> list[tuple[float, float]]:
  return [tuple(p) for p in ((points[:, ::-1] + 0.5) * OVERSAMPLING).tolist()]
