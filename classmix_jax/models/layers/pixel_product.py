"""Products of feature maps with matrices, pixel by pixel, and their gradients.

Synopsis:

    y = multiply_pixels(x, matrix, precision=None)      # [B, h, w, F], [F, G] -> [B, h, w, G]

The gradient by the matrix sums over all pixels of the batch, and each platform has its fastest way.
"""

import functools
import math
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp

from classmix_jax.types import Array

# Channels of the wider factor from which CPUs use `sum_in_place` (benchmarks/ops.py).
MIN_CHANNELS_IN_PLACE = 128

# On NVIDIA GPUs XLA splits a sum over pixels into 2^n parts, so that the small result occupies all
# multiprocessors, and copies both factors with padding if 2^n does not divide the pixels
# (splitk_rewriter.cc, jaxlib 0.10.2 and 0.11.2). Here parts divide them, and XLA splits no further.
TILE = (64, 128)  # of the result, in which XLA counts
ENOUGH_TILES = 256  # XLA's limit is 1.5 for each multiprocessor, of which an H100 has 132
FEW_PIXELS = 1536  # in a part; twice as many as the least in a part of XLA's


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def multiply_pixels(x: Array, matrix: Array, precision: Any) -> Array:
  """Multiplies `[B, h, w, F]` by `[F, G]`.

  Args:
    x, matrix: of equal dtype.
    precision: of the products, see `jax.lax.Precision`.

  Example:
    >>> multiply_pixels(jnp.ones((1, 1, 2, 3)), jnp.ones((3, 1)), None).tolist()
    [[[[3.0], [3.0]]]]
  """
  # Sums over the channels f of every pixel; g are the output channels.
  return jnp.einsum('bhwf,fg->bhwg', x, matrix, precision=precision)


def _forward(x: Array, matrix: Array, precision: Any) -> tuple[Array, tuple[Array, Array]]:
  return multiply_pixels(x, matrix, precision), (x, matrix)


def _backward(precision: Any, inputs: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
  x, matrix = inputs
  # The gradient of y = x M by x is g M^T, pixel by pixel.
  x_gradient = jnp.einsum('bhwg,fg->bhwf', gradient, matrix, precision=precision)
  return x_gradient, sum_products(x, gradient, precision)


multiply_pixels.defvjp(_forward, _backward)


def sum_products(x: Array, gradient: Array, precision: Any) -> Array:
  """Sums the outer products of `[B, h, w, F]` and `[B, h, w, G]` over pixels, to `[F, G]`.

  Args:
    x, gradient: of equal dtype, which is that of the result.
    precision: of the products, see `jax.lax.Precision`.

  Example:
    >>> sum_products(jnp.ones((1, 4, 5, 1)), 2 * jnp.ones((1, 4, 5, 1)), None).tolist()
    [[40.0]]
  """
  images, height, width, _ = x.shape
  parts = count_parts(images * height, width, (x.shape[-1], gradient.shape[-1]))
  ways = {}
  if parts > 1:
    ways['cuda'] = functools.partial(sum_in_parts, x, gradient, parts, precision)
  if max(x.shape[-1], gradient.shape[-1]) >= MIN_CHANNELS_IN_PLACE:
    ways['cpu'] = functools.partial(sum_in_place, x, gradient, precision)
  at_once = functools.partial(_sum_at_once, x, gradient, precision)
  return lax.platform_dependent(default=at_once, **ways) if ways else at_once()


def _sum_at_once(x: Array, gradient: Array, precision: Any) -> Array:
  # On CPUs XLA transposes the first factor of these einsums in memory, so it is the narrower.
  if x.shape[-1] < gradient.shape[-1]:
    return jnp.einsum('bhwf,bhwg->fg', x, gradient, precision=precision)
  return jnp.einsum('bhwg,bhwf->gf', gradient, x, precision=precision).T


def sum_in_place(x: Array, gradient: Array, precision: Any) -> Array:
  """Computes `sum_products` on CPUs without a transposed copy of a factor.

  XLA's CPU backend (jaxlib 0.10.2 and 0.11.2) transposes a factor of YNNPACK's products in memory,
  together with the layers before it. Eigen adds up products of two matrices `[pixels, channels]`
  as they are, fastest if the first is the narrower. The result is smaller, and may be transposed.
  """
  x, gradient = (values.reshape(-1, values.shape[-1]) for values in (x, gradient))
  over_pixels = (((0,), (0,)), ((), ()))
  if x.shape[-1] <= gradient.shape[-1]:
    return lax.dot_general(x, gradient, over_pixels, precision)
  product = lax.dot_general(gradient, x, over_pixels, precision)
  # Without the barrier XLA exchanges the factors, instead of transposing the result.
  return lax.optimization_barrier(product).T


def sum_in_parts(x: Array, gradient: Array, parts: int, precision: Any) -> Array:
  """Computes `sum_products` as a sum of float32 sums over equal parts of the rows.

  Args:
    x, gradient: `[B, h, w, F]` and `[B, h, w, G]`.
    parts: divides B * h.
    precision: of the products.
  """
  x, gradient = (values.reshape(parts, -1, values.shape[-1]) for values in (x, gradient))
  # Sums over the pixels k of every part p.
  sums = jnp.einsum(
    'pkf,pkg->pfg', x, gradient, precision=precision, preferred_element_type=jnp.float32
  )
  return sums.sum(0).astype(x.dtype)


def count_parts(rows: int, width: int, channels: tuple[int, int]) -> int:
  """Returns the smallest divisor of `rows` into parts that XLA splits no further.

  Args:
    rows: of pixels in the batch, B * h.
    width: of a row in pixels.
    channels: F and G, shape of the result.

  Example:
    >>> count_parts(4 * 65, 129, (1024, 256))  # 16 x 2 tiles of the result
    10
    >>> count_parts(4 * 16, 20, (64, 64))
    1
  """
  tiles = math.prod(-(-size // tile) for size, tile in zip(channels, TILE, strict=True))
  for parts in range(1, rows):
    few = rows // parts * width < FEW_PIXELS
    if rows % parts == 0 and (few or parts * tiles >= ENOUGH_TILES):
      return parts
  return max(rows, 1)  # a batch may be empty
