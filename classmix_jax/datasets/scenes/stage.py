"""Chooses the objects of a scene and their places: jobs for the painters.

A job is a tuple: distance, painter, and the arguments of the painter after the scene.

Synopsis:

    for _, paint, *arguments in sorted(jobs(scene), key=lambda job: -job[0]):
      paint(scene, *arguments)
"""

import numpy as np

from classmix_jax.datasets.scenes.buildings import building, fence
from classmix_jax.datasets.scenes.camera import FAR, NEAR
from classmix_jax.datasets.scenes.draws import Rgb, Rng, chance, leaf_colour, pick
from classmix_jax.datasets.scenes.furniture import litter_bin, pole
from classmix_jax.datasets.scenes.people import person
from classmix_jax.datasets.scenes.plants import hedge, tree
from classmix_jax.datasets.scenes.scene import Scene
from classmix_jax.datasets.scenes.vehicle_painters import paint_vehicle
from classmix_jax.datasets.scenes.vehicles import make_car, make_truck

Job = tuple

# Fractions of houses and of trees along the road; the rest is open.
_VERGES = {'city': (0.8, 0.12), 'suburb': (0.52, 0.32), 'park': (0.15, 0.7), 'works': (0.5, 0.15)}


def jobs(scene: Scene) -> list[Job]:
  """Returns the jobs of all objects, in no order."""
  left, right = (_verge(scene, side, walk) for side, _, walk in scene.street.sides())
  return left + right + _traffic(scene) + _walkers(scene) + _furniture(scene)


def _verge(scene: Scene, side: int, walk: float) -> list[Job]:
  """Returns the jobs along one side of the road, stretch by stretch, from near to far."""
  rng, street = scene.rng, scene.street
  jobs: list[Job] = []
  garden = rng.uniform(1.5, 6) if street.area in ('suburb', 'park') else rng.uniform(0, 1.5)
  leaf, z = leaf_colour(rng), NEAR + rng.uniform(-6, 0)
  gap = street.junction, street.junction + street.junction_width
  while z < FAR:
    end = z + rng.uniform(7, 22)
    if z < gap[1] and end > gap[0]:
      if gap[0] - z < 4:  # the side road itself stays free
        z = gap[1]
        continue
      end = gap[0]
    lot = rng.random()
    if end > NEAR + 1.5:
      jobs += _stretch(scene, side, walk, garden, max(z, NEAR), end, lot, leaf)
    z = end + (rng.uniform(0, 6) if chance(rng, 0.3) else 0)
  return jobs


def _stretch(
  scene: Scene, side: int, walk: float, garden: float, z1: float, z2: float, lot: float, leaf: Rgb
) -> list[Job]:
  """Returns the jobs of one stretch: a house, trees, or a fence in front of open ground."""
  rng, base = scene.rng, walk + side * garden
  jobs: list[Job] = []
  houses, trees = _VERGES[scene.street.area]
  border = walk + side * 0.1
  if lot < houses:
    jobs.append((z2, building, side, base, z1, z2))
    if garden > 1.2 and chance(rng, 0.5):
      fenced = chance(rng, 0.65)
      jobs.append(
        (z2 - 0.1, fence, border, z1, z2) if fenced else (z2 - 0.1, hedge, border, z1, z2, leaf)
      )
  elif lot < houses + trees:
    for z in rng.uniform(max(z1, 5), max(z2, 6), int(rng.integers(1, 4))).tolist():
      s = base + side * rng.uniform(0, 7)
      jobs.append((z, tree, s, z, leaf * rng.uniform(0.8, 1.2)))
    if chance(rng, 0.5):
      jobs.append((z2, hedge, base, z1, z2, leaf))
    elif chance(rng, 0.4):
      jobs.append((z2 - 0.1, fence, border, z1, z2))
  else:
    jobs.append((z2, fence, walk + side * 0.2, z1, z2))
  return jobs


def _traffic(scene: Scene) -> list[Job]:
  """Returns the jobs of parked, moving and crossing cars, buses and lorries."""
  rng, street, fleet = scene.rng, scene.street, []
  for side, edge, _ in street.sides():
    if abs(edge) > 3.0 and chance(rng, 0.6):  # parked
      s, z, density = edge - side * 1.05, rng.uniform(3.5, 14), rng.uniform(0.3, 0.9)
      while z < 50:
        make = _maker(rng, 0.12)
        if chance(rng, density):
          fleet.append(make(rng, s, z, pick(rng, ('away', 'toward'))))
        z += rng.uniform(5.2, 8) if make is make_car else rng.uniform(9, 13)
  z = rng.uniform(6.5, 22)
  while z < 80:  # the camera's lane
    if chance(rng, 0.6):
      make = _maker(rng, 0.3)
      fleet.append(make(rng, rng.uniform(-0.4, 0.4), z, 'away'))
    z += rng.uniform(12, 30)
  if street.right - street.left > 5:  # the lane beside
    lane = (3.2 if street.right > -street.left else -3.2) * rng.uniform(0.85, 1.05)
    z, heading = rng.uniform(5, 18), 'toward' if chance(rng, 0.75) else 'away'
    while z < 80:
      make = _maker(rng, 0.3)
      if chance(rng, 0.6):
        fleet.append(make(rng, lane, z, heading))
      z += rng.uniform(12, 28)
  if street.junction < 45 and chance(rng, 0.55):
    make, heading = _maker(rng, 0.25), pick(rng, ('across_left', 'across_right'))
    fleet.append(make(rng, rng.uniform(-9, 5), street.junction + rng.uniform(1, 3), heading))
  return [(vehicle.z, paint_vehicle, vehicle) for vehicle in fleet]


def _maker(rng: Rng, trucks: float):
  """Draws `make_truck` with the probability `trucks`, else `make_car`."""
  return make_truck if chance(rng, trucks) else make_car


def _walkers(scene: Scene) -> list[Job]:
  """Returns the jobs of people on the pavements, alone or in groups, and on the road."""
  rng, street = scene.rng, scene.street
  jobs: list[Job] = []
  for _ in range(rng.integers(3, 8)):
    _, inner, outer = pick(rng, street.sides())
    middle = 4.5 + 12 * rng.random() ** 1.5
    for _ in range(pick(rng, (1, 1, 2, 2))):
      z, s = middle + rng.uniform(-0.6, 0.6), inner + (outer - inner) * rng.uniform(0.2, 0.85)
      jobs.append((z, person, s, z))
  if street.crossing < 25:
    depths = (street.crossing + rng.uniform(0.3, 2.8) for _ in range(rng.integers(0, 4)))
  else:
    depths = (rng.uniform(9, 25) for _ in range(chance(rng, 0.2)))
  for z in depths:
    jobs.append((z, person, rng.uniform(street.left, street.right), z))
  return jobs


def _furniture(scene: Scene) -> list[Job]:
  """Returns the jobs of lamp posts, signs, lights, trees and bins along both kerbs."""
  rng, street = scene.rng, scene.street
  jobs: list[Job] = []
  for side, kerb, walk in street.sides():
    s = kerb + side * rng.uniform(0.4, 0.7)
    if chance(rng, 0.65):
      lamps = np.arange(rng.uniform(6, 18), 45, rng.uniform(13, 26)).tolist()
      jobs += [(z, pole, s, z, 'lamp') for z in lamps]
    signs = 5 + 17 * rng.uniform(size=rng.integers(1, 4)) ** 1.3
    jobs += [(z, pole, s, z, 'sign') for z in signs.tolist()]
    for z in (street.crossing, street.junction):
      if z < 30 and chance(rng, 0.6):
        jobs.append((z - 0.5, pole, s, z - 0.5, 'light'))
    if abs(walk - kerb) > 2.2 and chance(rng, 0.35):
      leaf = leaf_colour(rng)
      for z in np.arange(rng.uniform(7, 16), 70, rng.uniform(7, 14)).tolist():
        jobs.append((z, tree, s + side * 0.4, z, leaf * rng.uniform(0.8, 1.2)))
    if chance(rng, 0.4):
      z = rng.uniform(6, 20)
      jobs.append((z, litter_bin, walk - side * 0.6, z))
  return jobs
