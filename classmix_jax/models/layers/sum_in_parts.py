"""Products that sum over all pixels of a batch, in parts, for NVIDIA GPUs.

XLA splits such a sum into 2^n parts, so that the small result occupies all multiprocessors, and
copies both factors with padding if 2^n does not divide the pixels (`splitk_rewriter.cc`; jaxlib
0.10.2 and 0.11.2). A ResNet-101 with feature maps of 65x129 then moves a tenth more bytes. Here the
parts divide the pixels.
"""

import math
from typing import Any

import jax.numpy as jnp

from classmix_jax.types import Array

TILE = (64, 128)  # of the result, with which XLA counts
ENOUGH_TILES = 256  # from 1.5 for each of an H100's 132 multiprocessors XLA splits no further
FEW_PIXELS = 1536  # sums of fewer are not split


def count_parts(rows: int, width: int, channels: tuple[int, int]) -> int:
  """Returns the smallest divisor of `rows` into parts that XLA does not split.

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
  return next(
    parts
    for parts in range(1, rows + 1)
    if rows % parts == 0
    and (parts * tiles >= ENOUGH_TILES or rows // parts * width < FEW_PIXELS or parts == rows)
  )


def sum_in_parts(x: Array, gradient: Array, parts: int, precision: Any) -> Array:
  """Sums the outer products of `[B, h, w, F]` and `[B, h, w, G]` over pixels, to `[F, G]`.

  Args:
    x, gradient: of equal dtype; sums are float32, the result has their dtype.
    parts: number of sums; divides B * h.
    precision: of the products, see `jax.lax.Precision`.

  Example:
    >>> ones = jnp.ones((1, 4, 5, 1))
    >>> sum_in_parts(ones, 2 * ones, 2, None).tolist()
    [[40.0]]
  """
  x, gradient = (values.reshape(parts, -1, values.shape[-1]) for values in (x, gradient))
  # Sums over the pixels k of every part p.
  sums = jnp.einsum(
    'pkf,pkg->pfg', x, gradient, precision=precision, preferred_element_type=jnp.float32
  )
  return sums.sum(0).astype(x.dtype)
