"""Which window of a frame an example shows: a random factor, a crop, a mirror; NumPy only.

Synopsis:

    geometry = Geometry(crop=(128, 160), scale=(0.75, 1.5), flip=True)
    view = draw_view(geometry, seed=0, stream=0, position=7, frame=(180, 240))

A view is a pure function of (seed, stream, position) and of the frame's size, so
whoever cuts it out, on the host or on the device, shows the same pixels.
"""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np

from classmix_jax.errors import UserError

Size = tuple[int, int]  # (height, width)


@dataclasses.dataclass(frozen=True)
class Geometry:
  """How training examples are cut from frames.

  Attributes:
    crop: (H, W), or None for whole frames of one size.
    scale: smallest and largest factor by which a frame is resized first.
    scale_step: 0 draws the factor uniformly between the two; otherwise one of
      smallest, smallest + scale_step, ... up to the largest.
    flip: mirror left and right, p = 0.5.
    scale_apart: draw the factors of height and width independently.

  Raises:
    UserError: for options that do not fit together.
  """

  crop: Size | None = None
  scale: tuple[float, float] = (1.0, 1.0)
  scale_step: float = 0.0
  flip: bool = False
  scale_apart: bool = False

  def __post_init__(self) -> None:
    low, high = self.scale
    if not 0 < low <= high:
      raise UserError(f'config.data.scale={self.scale}: give (smallest, largest) with 0 < smallest')
    if self.scale_step < 0:
      raise UserError(f'config.data.scale_step={self.scale_step}: give 0 or a step above 0')
    if self.crop is not None and min(self.crop) < 1:
      raise UserError(f'config.data.crop={self.crop}: height and width must be 1 or more')
    if self.crop is None and low < high:
      raise UserError(f'config.data.scale={self.scale} needs a crop: set config.data.crop=(H, W)')

  @property
  def resizes(self) -> bool:
    return self.scale != (1.0, 1.0)


class View(NamedTuple):
  """A window of a resized frame.

  Attributes:
    scaled: (height, width) to which the frame is resized.
    corner: (top, left) of the window in the resized frame.
    kept: (height, width) of the window; what is missing to the crop is padded
      at the bottom and right, after the mirror.
    mirrored: 1 where the columns of the window are reversed, else 0.
  """

  scaled: Size
  corner: Size
  kept: Size
  mirrored: int

  def packed(self) -> tuple[int, ...]:
    """Returns the 7 integers as which a view travels: scaled, corner, kept, mirrored."""
    return *self.scaled, *self.corner, *self.kept, self.mirrored


def draw_view(geometry: Geometry, *, seed: int, stream: int, position: int, frame: Size) -> View:
  """Returns the view at a position of a stream.

  Args:
    geometry: the options.
    seed: 0 or more.
    stream: tells apart the streams of one seed.
    position: 0 or more, in the endless stream of examples.
    frame: (height, width) of the whole frame.

  Example: `draw_view(Geometry(crop=(2, 2)), seed=0, stream=0, position=3, frame=(4, 5)).kept`
    is `(2, 2)`.
  """
  u = uniform4(seed, stream, position)
  factors = [draw_factor(geometry, u[0])] * 2
  if geometry.scale_apart:
    factors[1] = draw_factor(geometry, uniform4(seed, stream, position, block=1)[0])
  scaled = tuple(max(1, round(n * factor)) for n, factor in zip(frame, factors, strict=True))
  kept = tuple(map(min, geometry.crop or scaled, scaled))
  corner = tuple(int(u[1 + axis] * (scaled[axis] - kept[axis] + 1)) for axis in (0, 1))
  return View(scaled, corner, kept, int(geometry.flip and u[3] < 0.5))


def draw_factor(geometry: Geometry, u: float) -> float:
  """Maps `u` in [0, 1) to a factor.

  Example: `draw_factor(Geometry((9, 9), scale=(0.5, 1.6), scale_step=0.1), 0.99)` is 1.6.
  """
  low, high = geometry.scale
  if not geometry.scale_step:
    return low + (high - low) * u
  # The small surplus keeps the largest factor where the division rounds down.
  choices = int((high - low) / geometry.scale_step + 1e-6) + 1
  return low + geometry.scale_step * int(u * choices)


def uniform4(seed: int, stream: int, position: int, block: int = 0) -> np.ndarray:
  """Returns 4 numbers of U[0, 1), float64, of a counter-based generator; a position has blocks."""
  counter = [position, block, 0, 0]
  raw = np.random.Philox(key=_key(seed, stream), counter=counter).random_raw(4)
  return (raw >> np.uint64(11)) * 2.0**-53


@functools.lru_cache(maxsize=16)
def _key(seed: int, stream: int) -> np.ndarray:
  return np.random.SeedSequence([seed, stream]).generate_state(2, np.uint64)
