"""Enlarges a feature map to the next finer one by repeating its cells."""

import jax.numpy as jnp

from classmix_jax.core.plain import as_operation
from classmix_jax.core.resize import cut, get_size, resize_centers
from classmix_jax.types import Array, Size


def double(x: Array) -> Array:
  """Repeats each cell of `[B, h, w, F]` in both directions, to `[B, 2 h, 2 w, F]`.

  Example:
    >>> double(jnp.array([1.0, 2.0]).reshape(1, 1, 2, 1))[0, :, :, 0].tolist()
    [[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]
  """
  return as_operation('double', _repeat)(x)


def _repeat(x: Array) -> Array:
  batch, height, width, features = x.shape
  x = jnp.broadcast_to(x[:, :, None, :, None], (batch, height, 2, width, 2, features))
  return x.reshape(batch, 2 * height, 2 * width, features)


def enlarge_to(x: Array, size: Size, factor: float) -> Array:
  """Repeats cells that are twice as large as those of the finer map, else resizes bilinearly.

  The last row and column may be missing, as at odd sizes, or two of them, as after a pooling in
  torch's ceil mode.

  Args:
    x: `[B, h, w, F]`.
    size: (H, W) of the finer map, at least (h, w); may be symbolic.
    factor: stride of x by that of the finer map.

  Example:
    >>> enlarge_to(jnp.array([1.0, 2.0]).reshape(1, 1, 2, 1), (1, 3), 2).ravel().tolist()
    [1.0, 1.0, 2.0]
  """
  if get_size(x) == size:
    return x
  if factor == 2:
    return cut(double(x), size)
  return resize_centers(x, size)
