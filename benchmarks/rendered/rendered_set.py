"""Declares what a rendered set consists of."""

from collections.abc import Callable
import dataclasses

import numpy as np

Render = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class RenderedSet:
  """A renderer with its classes and default counts.

  `render(rng)` returns an image, uint8 `[H, W, 3]` or `[H, W]` if it is grey, and its class ids,
  uint8 `[H, W]`, the positions of names in `classes`.
  """

  render: Render
  classes: tuple[str, ...]
  labeled: int
  unlabeled: int
  val: int
