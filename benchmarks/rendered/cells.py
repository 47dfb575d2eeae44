"""Renders blood smears under a microscope: stains absorb light, cells overlap.

The image is the light times exp(-optical density); densities of cells that overlap add up.
Platelets and dirt belong to the background.
"""

import numpy as np
from rendered.camera import photograph
from rendered.fields import Rng, blob_radius, coverage, fractal_noise, smooth_noise
from rendered.rendered_set import RenderedSet

SHAPE = (120, 120)
BACKGROUND, RED, WHITE, NUCLEUS = range(4)
# Optical densities of red, green and blue light.
EOSIN = np.array([0.10, 0.50, 0.38], np.float32)
CYTOPLASM = np.array([0.22, 0.30, 0.10], np.float32)
HEMATOXYLIN = np.array([0.85, 1.15, 0.45], np.float32)


def render(rng: Rng) -> tuple[np.ndarray, np.ndarray]:
  """Returns an image and its class ids, see `RenderedSet`."""
  density, mask = np.zeros((*SHAPE, 3), np.float32), np.zeros(SHAPE, np.uint8)
  scale = rng.uniform(0.75, 1.3)
  whites = [rng.uniform(20, 100, 2) for _ in range(rng.choice(3, p=[0.12, 0.73, 0.15]))]
  _paint_red_cells(rng, density, mask, scale, whites)
  _paint_dirt(rng, density, scale)
  for center in whites:
    _paint_white_cell(rng, density, mask, scale, center)
  slide = np.array([0.92, 0.88, 0.86], np.float32) * np.exp(-density)
  return photograph(rng, slide, exposure=0.12, cast=0.07, uneven=0.1, blur=(0.3, 1.6)), mask


def _stain(rng: Rng, densities: np.ndarray) -> np.ndarray:
  """Returns the densities of a stain in one image: strength and hue differ between slides."""
  return densities * np.exp(rng.normal(0, [0.15, 0.15, 0.2])) * rng.uniform(0.45, 1.2)


def _paint_red_cells(rng: Rng, density: np.ndarray, mask: np.ndarray, scale: float, whites: list):
  """Paints discs that are thin in their middle, in random places beside the white cells."""
  stain, pallor = _stain(rng, EOSIN), rng.uniform(0, 0.85)
  crowding, radius = rng.uniform(0.75, 1.35), 13 * scale
  centers: list[np.ndarray] = []
  for center in rng.uniform(-radius, SHAPE[0] + radius, (rng.integers(15, 90), 2)):
    near = [np.hypot(*(center - other)) < crowding * 1.6 * radius for other in centers]
    far = [np.hypot(*(center - other)) > 24 * scale for other in whites]
    if any(near) or not all(far):
      continue
    centers.append(center)
    size = radius * np.exp(rng.normal(0, 0.1))
    distance = blob_radius(rng, SHAPE, center, size, 0.08, np.exp(abs(rng.normal(0, 0.15))))
    thickness = 1 - pallor * np.exp(-((distance / rng.uniform(0.35, 0.6)) ** 2))
    inside = coverage((1 - distance) * size)
    density += (inside * thickness)[..., None] * stain * np.exp(rng.normal(0, 0.12))
    mask[distance < 1] = RED


def _paint_dirt(rng: Rng, density: np.ndarray, scale: float):
  """Adds platelets, and a veil of stain that was not washed off."""
  for center in rng.uniform(0, SHAPE[0], (rng.integers(0, 7), 2)):
    size = scale * rng.uniform(2.0, 4.5)
    distance = blob_radius(rng, SHAPE, center, size, 0.3)
    inside = coverage((1 - distance) * size)
    density += inside[..., None] * _stain(rng, HEMATOXYLIN) * rng.uniform(0.3, 0.9)
  veil = np.maximum(fractal_noise(rng, SHAPE, 40, 4), 0)
  density += veil[..., None] * CYTOPLASM * rng.uniform(0, 0.35)


def _paint_white_cell(rng: Rng, density: np.ndarray, mask: np.ndarray, scale: float, center):
  """Paints a cell over what lies below: granular cytoplasm around a nucleus."""
  lobes = rng.choice([1, 2, 3, 4], p=[0.4, 0.2, 0.25, 0.15])
  size = scale * rng.uniform(19, 27)
  distance = blob_radius(rng, SHAPE, center, size, 0.1, np.exp(abs(rng.normal(0, 0.12))))
  inside = coverage((1 - distance) * size)[..., None]
  grains = np.exp(rng.uniform(0.05, 0.5) * smooth_noise(rng, SHAPE, 2))
  # Cytoplasm is blue (basophil) to pink (eosinophil), and may be as pale as the background.
  pink = rng.random()
  stain = _stain(rng, (1 - pink) * CYTOPLASM + pink * 0.8 * EOSIN)
  density *= 1 - inside
  density += inside * grains[..., None] * stain
  mask[distance < 1] = WHITE
  _paint_nucleus(rng, density, mask, center, size, lobes, distance < 1)


def _paint_nucleus(rng: Rng, density, mask, center, size: float, lobes: int, cell: np.ndarray):
  """Paints lobes side by side on an arc; a single one fills most of the cell."""
  chromatin = np.exp(rng.uniform(0.1, 0.3) * fractal_noise(rng, SHAPE, 6, 2))
  stain = _stain(rng, HEMATOXYLIN)
  nearest = np.full(SHAPE, np.inf, np.float32)
  start, arc = rng.uniform(0, 2 * np.pi), rng.uniform(0.9, 1.4)
  for lobe in range(lobes):
    radius = size * (rng.uniform(0.5, 0.85) if lobes == 1 else rng.uniform(0.28, 0.42))
    offset = size * (rng.uniform(0, 0.2) if lobes == 1 else rng.uniform(0.32, 0.48))
    angle = start + arc * lobe
    place = np.asarray(center) + offset * np.array([np.sin(angle), np.cos(angle)])
    distance = blob_radius(rng, SHAPE, place, radius, 0.12, np.exp(abs(rng.normal(0, 0.25))))
    nearest = np.minimum(nearest, (distance - 1) * radius)
  inside = coverage(-nearest) * cell
  density += (inside * chromatin)[..., None] * stain
  mask[(nearest < 0) & cell] = NUCLEUS


SET = RenderedSet(
  render,
  classes=('background', 'red cell', 'white cell', 'nucleus'),
  labeled=20,
  unlabeled=180,
  val=60,
)
