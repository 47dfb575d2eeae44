"""Draws a box as a mask."""

import jax.numpy as jnp
from jax.typing import ArrayLike

from classmix_jax.types import Array


def rectangle(
  shape: tuple[int, int], top: ArrayLike, left: ArrayLike, height: ArrayLike, width: ArrayLike
) -> Array:
  """Returns `[H, W]` bool, True inside of the box; position and size are scalars in pixels.

  Example:
    >>> rectangle((2, 3), top=0, left=1, height=1, width=2).tolist()
    [[False, True, True], [False, False, False]]
  """
  row, column = jnp.arange(shape[0])[:, None], jnp.arange(shape[1])[None, :]
  in_rows = (row >= top) & (row < top + height)
  in_columns = (column >= left) & (column < left + width)
  return in_rows & in_columns
