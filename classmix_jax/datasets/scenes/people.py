"""Painter of people."""

import numpy as np

from classmix_jax.datasets.scenes.canvas import kind
from classmix_jax.datasets.scenes.classes import PERSON
from classmix_jax.datasets.scenes.draws import chance, paint_colour
from classmix_jax.datasets.scenes.scene import Scene


def person(scene: Scene, s: float, z: float):
  """Paints a walking person: legs, a coat or a jacket, arms, a head, perhaps an umbrella."""
  rng, canvas = scene.rng, scene.canvas
  u, v = scene.camera.point(s, 0, z)
  h = rng.uniform(1.5, 1.9) * (0.7 if chance(rng, 0.12) else 1) * scene.camera.focal / z
  tag, stride = kind(PERSON, z), rng.uniform(0.02, 0.15) * h
  top, legs = paint_colour(rng), paint_colour(rng) * 0.7
  skin = np.array([0.85, 0.65, 0.52]) * rng.uniform(0.35, 1.1)
  scene.cast_shadow(s, z, 1.2, 0.25)
  limb, wide = max(2, 0.085 * h), rng.uniform(0.1, 0.15) * h
  for sign in (-1, 1):
    canvas.line([u + sign * 0.03 * h, v - 0.5 * h, u + sign * stride, v], limb, legs, tag)
  hem = rng.uniform(0.3, 0.5)  # the lower edge of coat or jacket
  torso = [
    (u - wide, v - hem * h),
    (u - wide, v - 0.8 * h),
    (u - 0.4 * wide, v - 0.85 * h),
    (u + 0.4 * wide, v - 0.85 * h),
    (u + wide, v - 0.8 * h),
    (u + wide, v - hem * h),
  ]
  canvas.polygon(torso, top, tag)
  for sign in (-1, 1):
    hand = u + sign * (wide + rng.uniform(0, 0.1) * h), v - 0.45 * h
    canvas.line([u + sign * wide, v - 0.78 * h, *hand], 0.8 * limb, top * 0.85, tag)
  canvas.ellipse(u, v - 0.925 * h, 0.06 * h, 0.075 * h, skin, tag)
  hair = rng.uniform(0.05, 0.6) * np.array([1, 0.8, 0.6])
  canvas.ellipse(u, v - 0.965 * h, 0.062 * h, 0.045 * h, hair, tag)
  if scene.weather.rain and chance(rng, 0.5):
    hood = [(u - 0.3 * h, v - 0.98 * h), (u, v - 1.2 * h), (u + 0.3 * h, v - 0.98 * h)]
    canvas.polygon(hood, paint_colour(rng), tag)
