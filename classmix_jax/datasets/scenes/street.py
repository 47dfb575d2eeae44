"""The layout of a street: widths of road and pavements, junction and crossing."""

import dataclasses

from classmix_jax.datasets.scenes.camera import FAR
from classmix_jax.datasets.scenes.draws import Rng, chance, pick


@dataclasses.dataclass(frozen=True)
class Street:
  """Layout of a street in metres, from left to right and ahead.

  Attributes:
    left, right: `s` of the edges of the road.
    walk_left, walk_right: `s` of the outer edges of the pavements.
    junction: `z` of the beginning of a side road; beyond FAR if there is none.
    junction_width: width of the side road.
    crossing: `z` of a zebra crossing; beyond FAR if there is none.
    area: 'city', 'suburb', 'park' or 'works'.
  """

  left: float
  right: float
  walk_left: float
  walk_right: float
  junction: float
  junction_width: float
  crossing: float
  area: str

  def sides(self) -> tuple[tuple[int, float, float], tuple[int, float, float]]:
    """Returns sign, edge of the road and outer edge of the pavement, for left and right."""
    return (-1, self.left, self.walk_left), (1, self.right, self.walk_right)


def draw_street(rng: Rng) -> Street:
  """Draws a random street; the camera is in one of its lanes."""
  area = str(rng.choice(['city', 'suburb', 'park', 'works'], p=[0.42, 0.3, 0.16, 0.12]))
  lanes = pick(rng, (1, 2, 2, 3, 4))
  width = lanes * rng.uniform(2.9, 3.6) + rng.uniform(0, 4)  # with room for parked cars
  near = min(width - 1.5, rng.uniform(1.6, 4.2))
  left, right = near - width, near
  if chance(rng, 0.4):  # the other side of the road
    left, right = -right, -left
  walk = rng.uniform(1.6, 5.0 if area == 'city' else 3.5, 2).tolist()
  return Street(
    left=left,
    right=right,
    walk_left=left - walk[0],
    walk_right=right + walk[1],
    junction=rng.uniform(12, 50) if chance(rng, 0.4) else 2 * FAR,
    junction_width=rng.uniform(6, 11),
    crossing=rng.uniform(7, 25) if chance(rng, 0.3) else 2 * FAR,
    area=area,
  )
