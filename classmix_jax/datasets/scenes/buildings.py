"""Painters of houses and fences, along a range of `z` at the lateral position `s`."""

import numpy as np

from classmix_jax.datasets.scenes.canvas import LAMP, Kind, kind
from classmix_jax.datasets.scenes.classes import BUILDING
from classmix_jax.datasets.scenes.draws import Rgb, chance, grey, hue, pick, wall_colour
from classmix_jax.datasets.scenes.scene import Scene


def building(scene: Scene, side: int, base: float, z1: float, z2: float):
  """Paints a house: the wall at `z1` across the view, the facade along the road, and a roof."""
  rng, camera, canvas, sun_side = scene.rng, scene.camera, scene.canvas, scene.weather.sun_side
  storey, wall = rng.uniform(2.8, 3.6), wall_colour(rng)
  tall = {'city': 7, 'suburb': 3, 'park': 4, 'works': 4}[scene.street.area]
  storeys = int(rng.integers(1 if tall < 5 else 2, tall + 1))
  top, far = storeys * storey + 0.5, base + side * rng.uniform(7, 14)
  front = wall * (0.8 + 0.2 * scene.weather.sun_front)
  along = wall * (0.82 + 0.26 * side * -sun_side)
  tag = kind(BUILDING, z1)
  if chance(rng, 0.45 if tall < 6 else 0.15):
    _gable(scene, base, far, z1, z2, top, front, tag)
  end = [(base, 0, z1), (base, top, z1), (far, top, z1), (far, 0, z1)]
  canvas.polygon(camera.points(end), front, tag)
  canvas.polygon(camera.wall(base, 0, top, z1, z2), along, kind(BUILDING, 0.5 * (z1 + z2)))
  _courses(scene, base, z1, z2, storey, storeys, along)
  _windows(scene, (base, base), z1, z2, storey, storeys)
  if z1 > 5:
    _windows(scene, (base, far), z1, z1, storey, storeys)
  if side * sun_side > 0.1:  # the sun is behind the house
    reach = base - sun_side * top * 0.8
    shade = [(base, 0, z1), (reach, 0, z1), (reach, 0, z2), (base, 0, z2)]
    canvas.shadow(camera.points(shade))


def _gable(
  scene: Scene, base: float, far: float, z1: float, z2: float, top: float, wall: Rgb, tag: Kind
):
  """Paints a pitched roof whose ridge runs along the road."""
  rng, camera = scene.rng, scene.camera
  ridge, mid = top + rng.uniform(1.5, 4), 0.5 * (base + far)
  tiles = hue(rng, rng.uniform(0, 0.5), rng.uniform(0.2, 0.55), rng.uniform(0, 0.08))
  eave, low = base + 0.4 * np.sign(base - far), top - 0.2
  slope = [(eave, low, z1), (mid, ridge, z1), (mid, ridge, z2), (eave, low, z2)]
  scene.canvas.polygon(camera.points(slope), tiles, tag)
  gable = [(base, top, z1), (mid, ridge, z1), (far, top, z1)]
  scene.canvas.polygon(camera.points(gable), wall, tag)


def _courses(
  scene: Scene, base: float, z1: float, z2: float, storey: float, storeys: int, wall: Rgb
):
  """Paints bands between the storeys, and a shop front or a plinth on the ground floor."""
  rng, camera, canvas = scene.rng, scene.camera, scene.canvas
  if chance(rng, 0.4):
    tint = np.clip(wall * rng.uniform(0.6, 1.35), 0, 1)
    for level in range(1, storeys + 1):
      y = level * storey + 0.1
      canvas.polygon(camera.wall(base, y - 0.15, y + 0.15, z1, z2), tint)
  if chance(rng, 0.35):
    shop = hue(rng, rng.uniform(0, 0.9), rng.uniform(0.15, 0.8))
    canvas.polygon(camera.wall(base, 0, rng.uniform(0.6, 3.0), z1, z2), shop)


def _windows(
  scene: Scene, across: tuple[float, float], z1: float, z2: float, storey: float, storeys: int
):
  """Paints a grid of windows on a wall from `(across[0], z1)` to `(across[1], z2)`."""
  rng = scene.rng
  if z1 > 70:
    return  # windows are smaller than a pixel
  run = abs(z2 - z1) + abs(across[1] - across[0])
  spacing = rng.uniform(1.6, 4.0)
  columns, fraction = max(1, int(run / spacing)), rng.uniform(0.35, 0.75)
  low, high = rng.uniform(0.15, 0.35), rng.uniform(0.65, 0.92)
  # Left and right edges in 0..1 of the wall, lower and upper ones in storeys; then all corners.
  edge = (np.arange(columns)[:, None] + 0.5 + np.array([-0.5, 0.5]) * fraction) / columns
  level = np.arange(storeys)[:, None] + np.array([low, high])
  t = edge[:, None, [0, 0, 1, 1]]  # [columns, 1, 4]
  y = (level * storey)[None, :, [0, 1, 1, 0]]  # [1, storeys, 4]
  s = across[0] + (across[1] - across[0]) * t
  quads = scene.camera.project(s, y, z1 + (z2 - z1) * t).reshape(-1, 4, 2)
  glass = grey(rng, 0.08, 0.6) * np.array([0.92, 1.0, 1.08])
  lit = rng.uniform(size=len(quads)) < 0.4 * scene.weather.night
  tone = rng.uniform(0.7, 1.35, (len(quads), 1))
  warm = np.array([0.95, 0.8, 0.45]) * np.minimum(tone, 1)
  scene.canvas.polygons(quads, np.where(lit[:, None], warm, glass * tone))
  for quad in quads[lit]:
    scene.canvas.mark(quad, kind(BUILDING, z1, LAMP))


def fence(scene: Scene, base: float, z1: float, z2: float):
  """Paints a wall, a panel fence or railings, all of class building."""
  rng, camera, canvas = scene.rng, scene.camera, scene.canvas
  style, high = pick(rng, ('wall', 'slats', 'rails')), rng.uniform(0.8, 2.1)
  colour = (
    wall_colour(rng)
    if style == 'wall'
    else hue(rng, rng.uniform(0, 0.6), rng.uniform(0.15, 0.9), pick(rng, (0.08, 0.3, 0.6)))
  )
  whole, tag = camera.wall(base, 0, high, z1, z2), kind(BUILDING, 0.5 * (z1 + z2))
  if style == 'wall':
    canvas.polygon(whole, colour, tag)
    canvas.polygon(camera.wall(base, high - 0.15, high, z1, z2), colour * rng.uniform(0.6, 1.3))
    return
  canvas.mark(whole, tag)
  pitch, gap = rng.uniform(0.3, 0.6), 0.8 if style == 'slats' else 0.3
  edges = np.arange(z1, z2, pitch)[:, None] + np.array([0, 0, 1, 1]) * pitch * gap
  slats = camera.project(base, np.array([0, high, high, 0]), edges)
  canvas.polygons(slats, colour * rng.uniform(0.85, 1.1, (len(slats), 1)))
  for y in (0.2 * high, 0.85 * high):
    canvas.polygon(camera.wall(base, y, y + 0.1, z1, z2), colour * 0.85)
