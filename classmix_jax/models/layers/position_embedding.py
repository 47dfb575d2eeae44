"""Interpolation of the position embedding of a vision transformer to another grid.

Synopsis:

    grid = interpolate_positions(positions, (26, 34), OFFSET)    # [26, 34, D] from [37, 37, D]

Both ways reproduce the bicubic interpolation of torch as a small matrix for each axis;
`jax.image.resize` differs from both of them.
"""

import functools
from types import ModuleType
from typing import Any

import jax.numpy as jnp
from jaxtyping import Float
import numpy as np

from classmix_jax.core.resize import enlarge
from classmix_jax.types import Array, Size

OFFSET_CUBIC, ANTIALIASED_CUBIC = -0.75, -0.5  # free parameter of the kernel in torch
OFFSET_CELLS = 0.1  # which DINOv2 adds to the size before it computes the scale

# How DINOv2 interpolates, without and with register tokens.
OFFSET, ANTIALIASED = 'offset', 'antialiased'


def cubic_kernel(distance: Any, a: float) -> Any:
  """Returns the weights of cubic convolution (Keys, 1981) at distances from a sample.

  Example:
    >>> cubic_kernel(np.array([0.0, 1.0, 2.0]), -0.5).tolist()
    [1.0, 0.0, 0.0]
  """
  x = abs(distance)
  near = ((a + 2) * x - (a + 3)) * x**2 + 1
  far = a * (((x - 5) * x + 8) * x - 4)
  return (x <= 1) * near + ((x > 1) & (x < 2)) * far


def offset_matrix(size_in: int, size_out: Any, arrays: ModuleType = np) -> Any:
  """Returns `[size_out, size_in]` weights without antialiasing, by the scale (out + 0.1) / in.

  Taps beyond the border count for the border.
  """
  scale = size_in / (arrays.asarray(size_out) + OFFSET_CELLS)
  center = (arrays.arange(size_out) + 0.5) * scale - 0.5
  taps = arrays.arange(-2, size_in + 2)
  weight = cubic_kernel(center[:, None] - taps[None], OFFSET_CUBIC)
  first, inner, last = arrays.split(weight, [3, size_in + 1], axis=1)
  first, last = (part.sum(axis=1, keepdims=True) for part in (first, last))
  return arrays.concatenate([first, inner, last], axis=1)


def antialiased_matrix(size_in: int, size_out: Any, arrays: ModuleType = np) -> Any:
  """Returns `[size_out, size_in]` weights of antialiased interpolation, which sum to 1."""
  scale = size_in / arrays.asarray(size_out)
  center = (arrays.arange(size_out) + 0.5) * scale - 0.5
  distance = (arrays.arange(size_in)[None, :] - center[:, None]) / arrays.maximum(scale, 1.0)
  weight = cubic_kernel(distance, ANTIALIASED_CUBIC)
  return weight / weight.sum(axis=1, keepdims=True)


MATRICES = {OFFSET: offset_matrix, ANTIALIASED: antialiased_matrix}


@functools.cache
def axis_matrix(size_in: int, size_out: int, way: str) -> Float[np.ndarray, 'size_out size_in']:
  """Returns the float32 weights `[size_out, size_in]` of one axis."""
  return MATRICES[way](size_in, size_out).astype(np.float32)


def interpolate_positions(
  positions: Float[Array, 'n n D'], size: Size, way: str
) -> Float[Array, 'h w D']:
  """Interpolates a square grid of embeddings; the grid itself is returned at its own size.

  Args:
    positions: `[n, n, D]` float32.
    size: (h, w) of the result, in cells.
    way: 'offset' or 'antialiased'.
  """
  if positions.shape[:2] == size:
    return positions
  if all(isinstance(length, int) for length in size):
    rows, columns = (jnp.asarray(axis_matrix(len(positions), length, way)) for length in size)
  else:
    rows, columns = _symbolic_matrices(len(positions), size, way)
  return jnp.squeeze(enlarge(positions[None], rows, columns), 0)


def _symbolic_matrices(length: int, size: Size, way: str) -> list[Array]:
  """Returns the matrices of both axes, the identity if both sizes turn out to be `length`."""
  is_own = jnp.logical_and(*(jnp.asarray(side) == length for side in size))
  cells = jnp.arange(length)[None]
  matrices = []
  for side in size:
    identity = (jnp.arange(side)[:, None] == cells).astype(jnp.float32)
    matrices.append(jnp.where(is_own, identity, MATRICES[way](length, side, jnp)))
  return matrices
