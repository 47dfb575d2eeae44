"""Draws the view of a frame that an example shows: scaled, cropped, mirrored; NumPy only.

Synopsis:

    geometry = Geometry(crop=(128, 160), scale=(0.75, 1.5), flip=True)
    view = draw_view(geometry, seed=0, stream=0, position=7, frame=(180, 240))

A view is a pure function of (seed, stream, position) and of the frame's size, so that all pipelines
cut the same pixels, on the host or on a device.
"""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np

from classmix_jax.data.sampler import index_stream
from classmix_jax.errors import UserError
from classmix_jax.types import Size


@dataclasses.dataclass(frozen=True)
class Geometry:
  """How training examples are cut from frames.

  Attributes:
    crop: (H, W), or None for whole frames, which must have one size.
    scale: smallest and largest factor by which a frame is resized before the crop.
    scale_step: 0 draws the factor uniformly between the two; otherwise it is one of smallest,
      smallest + scale_step, ... up to the largest.
    flip: whether to mirror left and right with probability 0.5.
    scale_apart: whether to draw the factors of height and width independently.
    grid: corners of crops are multiples of it, e.g. of the cells of features.

  Raises:
    UserError: an option is out of range, or a random scale has no crop.
  """

  crop: Size | None = None
  scale: tuple[float, float] = (1.0, 1.0)
  scale_step: float = 0.0
  flip: bool = False
  scale_apart: bool = False
  grid: Size = (1, 1)

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
    """Whether frames are resized."""
    return self.scale != (1.0, 1.0)


class View(NamedTuple):
  """A window of a resized frame.

  Attributes:
    scaled: (height, width) to which the frame is resized.
    corner: (top, left) of the window in the resized frame.
    extent: (height, width) of the window; it is padded to the crop at the bottom and right, after
      it was mirrored.
    mirrored: 1 if the columns of the window are reversed, else 0.
  """

  scaled: Size
  corner: Size
  extent: Size
  mirrored: int

  def packed(self) -> tuple[int, ...]:
    """Returns the view as 7 integers: scaled, corner, extent, mirrored."""
    return *self.scaled, *self.corner, *self.extent, self.mirrored


def draw_view(geometry: Geometry, *, seed: int, stream: int, position: int, frame: Size) -> View:
  """Returns the view at a position of a stream.

  Args:
    geometry: the options.
    seed: 0 or more.
    stream: number of the stream, see `sampler`.
    position: 0 or more, in the endless stream of examples.
    frame: (height, width) of the whole frame.

  Example: `draw_view(Geometry(crop=(2, 2)), seed=0, stream=0, position=3, frame=(4, 5)).extent`
    is `(2, 2)`.
  """
  u = uniform4(seed, stream, position)
  factors = [draw_factor(geometry, u[0])] * 2
  if geometry.scale_apart:
    factors[1] = draw_factor(geometry, uniform4(seed, stream, position, block=1)[0])
  scaled = max(1, round(frame[0] * factors[0])), max(1, round(frame[1] * factors[1]))
  crop = geometry.crop or scaled
  extent = min(crop[0], scaled[0]), min(crop[1], scaled[1])
  top, left = (
    int(u[1 + axis] * ((scaled[axis] - extent[axis]) // step + 1)) * step
    for axis, step in enumerate(geometry.grid)
  )
  return View(scaled, (top, left), extent, int(geometry.flip and u[3] < 0.5))


def draw_example(
  geometry: Geometry, *, seed: int, stream: int, position: int, length: int, frame: Size
) -> tuple[int, View]:
  """Returns the example at a position of a stream, and its view.

  Args:
    geometry, seed, stream, position, frame: see `draw_view`; all frames have one size.
    length: number of examples.
  """
  index = int(index_stream(seed, stream, length, position, position + 1)[0])
  view = draw_view(geometry, seed=seed, stream=stream, position=position, frame=frame)
  return index, view


def draw_factor(geometry: Geometry, u: float) -> float:
  """Maps a uniform `u` in [0, 1) to a factor.

  Example: `draw_factor(Geometry((9, 9), scale=(0.5, 1.6), scale_step=0.1), 0.99)` is 1.6.
  """
  low, high = geometry.scale
  if not geometry.scale_step:
    return low + (high - low) * u
  # 1e-6: the largest factor counts even if the quotient is rounded down, as (0.7 - 0.1) / 0.1.
  choices = int((high - low) / geometry.scale_step + 1e-6) + 1
  return low + geometry.scale_step * int(u * choices)


def uniform4(seed: int, stream: int, position: int, block: int = 0) -> np.ndarray:
  """Returns 4 uniform float64 in [0, 1) of a counter-based generator.

  `block` chooses further draws for the same position.
  """
  counter = [position, block, 0, 0]
  raw = np.random.Philox(key=_key(seed, stream), counter=counter).random_raw(4)
  # The 53 upper bits, as many as a float64 has.
  return (raw >> np.uint64(11)) * 2.0**-53


@functools.lru_cache(maxsize=16)
def _key(seed: int, stream: int) -> np.ndarray:
  return np.random.SeedSequence([seed, stream]).generate_state(2, np.uint64)
