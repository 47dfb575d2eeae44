"""Max-pooling of stride 2 with a gradient by gathers.

XLA's gradient is a scatter: each window adds to the position of its maximum. On GPUs that takes
atomic additions, whose order is not deterministic, and on CPUs four times as long (jaxlib 0.10.2).
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from classmix_jax.types import Array

POOL_SIZE, POOL_STRIDE = 3, 2


def max_pool(x: Array, padding: Sequence[tuple[int, int]]) -> Array:
  """Returns the maximum of each 3x3 window with stride 2, equal to `nn.max_pool`.

  Among equal maxima of a window, the gradient goes to the first in row-major order, as in XLA and
  torch.

  Args:
    x: `[B, H, W, F]`.
    padding: rows and columns (before, after); one before, so that no window is padding only.

  Returns:
    `[B, h, w, F]`.

  Example:
    >>> max_pool(jnp.arange(16.0).reshape(1, 4, 4, 1), [(1, 1), (1, 1)])[0, :, :, 0].tolist()
    [[5.0, 7.0], [13.0, 15.0]]
  """
  return _max_pool(x, tuple(padding))


def _pool(x: Array, padding: tuple[tuple[int, int], ...]) -> Array:
  return nn.max_pool(x, (POOL_SIZE, POOL_SIZE), strides=(POOL_STRIDE, POOL_STRIDE), padding=padding)


_max_pool = jax.custom_vjp(_pool, nondiff_argnums=(1,))


def _forward(x: Array, padding: tuple[tuple[int, int], ...]) -> tuple[Array, tuple[Array, Array]]:
  y = _pool(x, padding)
  return y, (x, y)


def _backward(
  padding: tuple[tuple[int, int], ...], residuals: tuple[Array, Array], gradient: Array
) -> tuple[Array]:
  """Computes the gradient by the image as one sum for each of four pixel parities.

  Element (u, v) of window (i, j) is pixel (2i + u, 2j + v) of the padded image. So pixels of one
  parity receive the gradients of at most four windows. The four sums are then interleaved.
  """
  x, y = residuals
  (top, bottom), (left, right) = padding
  padded = jnp.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=-jnp.inf)
  rows, columns = y.shape[1:3]
  stride = POOL_STRIDE
  taken = jnp.zeros(y.shape, bool)
  sums: list[list[Any]] = [[0.0, 0.0], [0.0, 0.0]]
  for u in range(POOL_SIZE):
    for v in range(POOL_SIZE):
      # Pixel (u, v) of every window, `[B, rows, columns, F]`.
      pixels = padded[:, u : u + stride * rows - 1 : stride, v : v + stride * columns - 1 : stride]
      first = (pixels == y) & ~taken
      taken |= first
      down, across = u // stride, v // stride
      sums[u % stride][v % stride] += jnp.pad(
        jnp.where(first, gradient, 0), ((0, 0), (down, 1 - down), (across, 1 - across), (0, 0))
      )
  # Interleaves the parities: [B, rows + 1, 2, columns + 1, 2, F] -> [B, height, width, F].
  result = jnp.stack([jnp.stack(row, axis=3) for row in sums], axis=2)
  result = result.reshape(len(x), stride * (rows + 1), stride * (columns + 1), -1)
  return (result[:, top : top + x.shape[1], left : left + x.shape[2]],)


_max_pool.defvjp(_forward, _backward)
