"""Painters of trees and hedges, in a colour of leaves that a street shares."""

import numpy as np

from classmix_jax.datasets.scenes.canvas import CANVAS_W, Kind, kind
from classmix_jax.datasets.scenes.classes import VEGETATION
from classmix_jax.datasets.scenes.draws import Rgb, hue
from classmix_jax.datasets.scenes.scene import Scene


def tree(scene: Scene, s: float, z: float, leaf: Rgb):
  """Paints a tree with a round crown, a conifer, or a bare tree."""
  rng, canvas, scale = scene.rng, scene.canvas, scene.camera.focal / z
  metres = rng.uniform(3.5, 10)
  (u, v), high, tag = scene.camera.point(s, 0, z), metres * scale, kind(VEGETATION, z)
  if not -4 * scale < u < CANVAS_W + 4 * scale:
    return
  bark = hue(rng, rng.uniform(0, 0.4), rng.uniform(0.15, 0.4), 0.07)
  style = rng.choice(['round', 'conifer', 'bare'], p=[0.75, 0.2, 0.05])
  top, width = v - high, max(2, 0.3 * scale)
  scene.cast_shadow(s, z, 0.35 * metres, 1.2)
  crown = rng.uniform(0.45, 0.62) if style == 'round' else 0.1
  canvas.line([u, v, u, top + crown * metres * scale * 0.5], width, bark, tag)
  if style == 'bare':
    length = 0.3 * metres * scale
    _branches(scene, u, v - length, -np.pi / 2, length, width, bark, tag)
  elif style == 'conifer':
    for k in range(4):
      low, r = v - (0.08 + 0.2 * k) * metres * scale, (0.24 - 0.05 * k) * metres * scale
      tip = [(u - r, low), (u, low - 0.36 * metres * scale), (u + r, low)]
      canvas.polygon(tip, leaf * rng.uniform(0.6, 0.9), tag)
  else:
    rv = 0.5 * crown * metres * scale
    ru = rv * rng.uniform(0.75, 1.3)
    canvas.ellipse(u, top + rv, ru * 0.85, rv * 0.85, leaf * 0.75, tag)
    _blobs(scene, u, top + rv, ru, rv, leaf, tag, count=int(min(max(rv, 8), 36)))


def _branches(
  scene: Scene,
  u: float,
  v: float,
  angle: float,
  length: float,
  width: float,
  bark: Rgb,
  tag: Kind,
  level: int = 3,
):
  """Paints the branches of a bare tree recursively; thin twigs are vegetation, too."""
  for turn in scene.rng.uniform(-0.75, 0.75, 3):
    end = u + np.cos(angle + turn) * length, v + np.sin(angle + turn) * length
    scene.canvas.line([u, v, *end], width * 0.7, bark, tag)
    if level > 1 and length > 4:
      _branches(scene, *end, angle + turn, length * 0.7, width * 0.6, bark, tag, level - 1)


def hedge(scene: Scene, base: float, z1: float, z2: float, leaf: Rgb):
  """Paints a clipped hedge or a row of bushes along the road."""
  rng, camera = scene.rng, scene.camera
  high = rng.uniform(0.7, 2.4)
  middle = kind(VEGETATION, 0.5 * (z1 + z2))
  scene.canvas.polygon(camera.wall(base, 0, high, z1, z2), leaf * 0.8, middle)
  for z in np.arange(z2, z1, -max(0.8, 0.12 * z1)).tolist():
    scale = camera.focal / z
    u, v = camera.point(base, high * 0.65, z)
    if -40 < u < CANVAS_W + 40:
      count = int(min(max(scale / 4, 4), 12))
      _blobs(scene, u, v, 0.55 * scale, 0.45 * high * scale, leaf, kind(VEGETATION, z), count)


def _blobs(
  scene: Scene, u: float, v: float, ru: float, rv: float, leaf: Rgb, tag: Kind, count: int
):
  """Paints a ragged crown: small discs inside an ellipse, lighter towards the top."""
  rng = scene.rng
  angle, reach = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.uniform(0, 1, count))
  du, dv = np.cos(angle) * reach, np.sin(angle) * reach
  size, tone = rng.uniform(0.16, 0.42, count), rng.uniform(0.75, 1.2, count) - 0.28 * dv
  r = np.maximum(1.5, min(ru, rv) * size)
  us, vs = u + du * ru, v + dv * rv
  boxes = np.stack([us - r, vs - 0.9 * r, us + r, vs + 0.9 * r], -1)
  upwards = np.argsort(-dv)
  scene.canvas.ellipses(boxes[upwards], leaf * tone[upwards, None], tag)
