"""Painters of street furniture: lamp posts, signs, traffic lights, bins."""

import numpy as np

from classmix_jax.datasets.scenes.canvas import LAMP, SOLID, Kind, kind
from classmix_jax.datasets.scenes.classes import POLE
from classmix_jax.datasets.scenes.draws import chance, grey, hue
from classmix_jax.datasets.scenes.scene import Scene
from classmix_jax.types import VOID

_SIGN_COLOURS = np.array(
  [[0.8, 0.1, 0.1], [0.12, 0.25, 0.7], [0.95, 0.95, 0.92], [0.9, 0.75, 0.1], [0.1, 0.45, 0.25]]
)
_SIGNALS = np.array([[0.95, 0.15, 0.1], [0.95, 0.7, 0.1], [0.15, 0.9, 0.4]])


def pole(scene: Scene, s: float, z: float, style: str):
  """Paints a post with a 'lamp', a 'sign' or a traffic 'light'."""
  rng, canvas, scale = scene.rng, scene.canvas, scene.camera.focal / z
  tag = kind(POLE, z)
  high = rng.uniform(*{'lamp': (5, 8), 'sign': (2.2, 3.2), 'light': (2.8, 3.8)}[style])
  steel = grey(rng, 0.1, 0.75) if chance(rng, 0.8) else hue(rng, 0.5, 0.35)
  (u, v), width = scene.camera.point(s, 0, z), max(2, rng.uniform(0.16, 0.28) * scale)
  top = v - high * scale
  canvas.line([u, v, u, top], width, steel, tag)
  if style == 'lamp':
    arm = -np.sign(s) * rng.uniform(0.5, 2) * scale
    canvas.line([u, top, u + arm, top - 0.2 * scale], 0.8 * width, steel, tag)
    glow = kind(POLE, z, LAMP if scene.weather.night > 0 else SOLID)
    canvas.ellipse(
      u + arm, top - 0.1 * scale, 0.3 * scale + 1, 0.12 * scale + 1, np.array([1, 0.9, 0.65]), glow
    )
  elif style == 'sign':
    _sign(scene, u, top, scale, tag)
  else:
    _light(scene, u, top, scale, z)


def _light(scene: Scene, u: float, v: float, scale: float, z: float):
  """Paints a traffic light: three lamps in a box, one of them lit."""
  box = np.array([(-0.2, 0), (-0.2, 0.95), (0.2, 0.95), (0.2, 0)]) * scale + (u, v)
  scene.canvas.polygon(box, np.array([0.08, 0.09, 0.08]), kind(POLE, z))
  on = scene.rng.integers(3)
  for k, colour in enumerate(_SIGNALS):
    shine, tag = (1, kind(POLE, z, LAMP)) if k == on else (0.25, None)
    r = 0.11 * scale
    scene.canvas.ellipse(u, v + (0.2 + 0.28 * k) * scale, r, r, colour * shine, tag)


def _sign(scene: Scene, u: float, v: float, scale: float, tag: Kind):
  """Paints a disc, a triangle or a board with a border and a mark."""
  rng, canvas, r = scene.rng, scene.canvas, scene.rng.uniform(0.42, 0.7) * scale
  rim, face, mark = _SIGN_COLOURS[rng.permutation(5)[:3]]
  shape = rng.integers(3)
  for k, colour, meta in ((1.0, rim, tag), (0.75, face, None), (0.3, mark, None)):
    if shape == 0:
      canvas.ellipse(u, v, r * k, r * k, colour, meta)
    elif shape == 1:
      canvas.polygon(np.array([(-1, 0.8), (0, -1), (1, 0.8)]) * r * k + (u, v), colour, meta)
    else:
      board = np.array([(-1.2, -0.8), (1.2, -0.8), (1.2, 0.8), (-1.2, 0.8)]) * r * k + (u, v)
      canvas.polygon(board, colour, meta)


def litter_bin(scene: Scene, s: float, z: float):
  """Paints a bin or a box, which is VOID because it belongs to no class."""
  rng, scale = scene.rng, scene.camera.focal / z
  u, v = scene.camera.point(s, 0, z)
  wide, high = rng.uniform(0.3, 0.6) * scale, rng.uniform(0.6, 1.2) * scale
  colour, tag = hue(rng, rng.uniform(0, 0.8), rng.uniform(0.15, 0.6)), kind(VOID, z)
  scene.cast_shadow(s, z, 0.6, 0.4)
  box = [(u - wide, v - high), (u + wide, v - high), (u + 0.85 * wide, v), (u - 0.85 * wide, v)]
  scene.canvas.polygon(box, colour, tag)
  lid = np.array([(-1.1, -1), (1.1, -1), (1.1, -0.85), (-1.1, -0.85)]) * (wide, high) + (u, v)
  scene.canvas.polygon(lid, colour * 0.7, tag)
