"""Random draws that several painters share: choices and colours.

Synopsis:

    colour = leaf_colour(rng) if chance(rng, 0.5) else grey(rng, 0.2, 0.8)
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Rng = np.random.Generator
Rgb = np.ndarray  # float [3], albedo 0..1
Option = TypeVar('Option')


def chance(rng: Rng, probability: float) -> bool:
  """Returns True with a probability."""
  return rng.random() < probability


def pick(rng: Rng, options: Sequence[Option]) -> Option:
  """Draws one of the options."""
  return options[int(rng.integers(len(options)))]


def grey(rng: Rng, low: float, high: float, tint: float = 0.04) -> Rgb:
  """Draws a grey between `low` and `high`, slightly tinted."""
  return rng.uniform(low, high) + rng.uniform(-tint, tint, 3)


def hue(rng: Rng, saturation: float, value: float, turn: float | None = None) -> Rgb:
  """Returns a colour from saturation, value and hue (`turn`, 0..1, random if None)."""
  sector = 6 * (rng.random() if turn is None else turn)
  ramp = [min(max(abs((sector + shift) % 6 - 3) - 1, 0.0), 1.0) for shift in (0.0, 4.0, 2.0)]
  return np.array([value * (1 - saturation + saturation * part) for part in ramp])


def wall_colour(rng: Rng) -> Rgb:
  """Draws the colour of brick, plaster or concrete."""
  lot = rng.random()
  if lot < 0.4:
    return hue(rng, rng.uniform(0.35, 0.6), rng.uniform(0.4, 0.65), rng.uniform(0.0, 0.05))
  if lot < 0.85:
    return hue(rng, rng.uniform(0.15, 0.35), rng.uniform(0.65, 0.95), rng.uniform(0.08, 0.14))
  return grey(rng, 0.5, 0.8)


def leaf_colour(rng: Rng) -> Rgb:
  """Draws a green, or sometimes an autumnal yellow to orange."""
  lot = rng.random()
  if lot < 0.85:
    return hue(rng, rng.uniform(0.4, 0.75), rng.uniform(0.25, 0.58), rng.uniform(0.22, 0.36))
  return hue(rng, rng.uniform(0.5, 0.85), rng.uniform(0.4, 0.8), rng.uniform(0.05, 0.14))


def paint_colour(rng: Rng) -> Rgb:
  """Draws the colour of car paint or clothes: a grey or any hue."""
  if chance(rng, 0.55):
    return grey(rng, 0.05, 0.92, 0.02)
  return hue(rng, rng.uniform(0.3, 0.9), rng.uniform(0.2, 0.85))
