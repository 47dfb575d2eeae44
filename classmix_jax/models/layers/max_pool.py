"""Max-pooling of stride 2 whose gradient is gathered.

XLA's own scatters: every window looks for its maximum and adds to it there. On GPUs that takes
atomic additions, whose order is not fixed, and on CPUs four times as long.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from classmix_jax.types import Array

SIZE, STRIDE = 3, 2


def max_pool(x: Array, padding: Sequence[tuple[int, int]]) -> Array:
  """The largest of every 3x3 window, in strides of 2, as `nn.max_pool` finds it.

  Args:
    x: `[B, H, W, F]`.
    padding: rows and columns before and after, of which no window may consist: one before.

  Returns:
    `[B, h, w, F]`. Of several largest the first learns, row by row, as with XLA and torch.

  Example:
    >>> max_pool(jnp.arange(16.0).reshape(1, 4, 4, 1), [(1, 1), (1, 1)])[0, :, :, 0].tolist()
    [[5.0, 7.0], [13.0, 15.0]]
  """
  return _max_pool(x, tuple(padding))


def _pool(x: Array, padding: tuple[tuple[int, int], ...]) -> Array:
  return nn.max_pool(x, (SIZE, SIZE), strides=(STRIDE, STRIDE), padding=padding)


_max_pool = jax.custom_vjp(_pool, nondiff_argnums=(1,))


def _forward(x: Array, padding: tuple[tuple[int, int], ...]) -> tuple[Array, tuple[Array, Array]]:
  y = _pool(x, padding)
  return y, (x, y)


def _backward(
  padding: tuple[tuple[int, int], ...], kept: tuple[Array, Array], gradient: Array
) -> tuple[Array]:
  """Element (u, v) of window (i, j) is pixel (2i + u, 2j + v) of the padded image.

  So pixels of one parity get gradients of at most four windows: one sum for each of the four
  parities, which are then interleaved.
  """
  x, y = kept
  (top, bottom), (left, right) = padding
  padded = jnp.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=-jnp.inf)
  rows, columns = y.shape[1:3]
  taken = jnp.zeros(y.shape, bool)
  sums = [[0.0, 0.0], [0.0, 0.0]]
  for u in range(SIZE):
    for v in range(SIZE):
      seen = padded[:, u : u + STRIDE * rows - 1 : STRIDE, v : v + STRIDE * columns - 1 : STRIDE]
      first = (seen == y) & ~taken
      taken |= first
      down, across = u // STRIDE, v // STRIDE
      sums[u % STRIDE][v % STRIDE] += jnp.pad(
        jnp.where(first, gradient, 0), ((0, 0), (down, 1 - down), (across, 1 - across), (0, 0))
      )
  whole = jnp.stack([jnp.stack(row, axis=3) for row in sums], axis=2)
  whole = whole.reshape(len(x), STRIDE * (rows + 1), STRIDE * (columns + 1), -1)
  return (whole[:, top : top + x.shape[1], left : left + x.shape[2]],)


_max_pool.defvjp(_forward, _backward)
