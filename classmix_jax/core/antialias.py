"""Resizes images as Pillow does, but for rounding, in a program of JAX.

Synopsis:

    resize_antialiased(images, (180, 240))      # Image.resize((240, 180), Resampling.BILINEAR)
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Float

from classmix_jax.core.resize import enlarge, get_size
from classmix_jax.types import Array, Size


def triangle_matrix(size_in: Any, size_out: Any) -> Float[Array, 'size_out size_in']:
  """Returns the weights of Pillow's bilinear filter along an axis; sizes may be symbolic.

  The filter is a triangle as wide as two pixels of the smaller of both images.

  Example:
    >>> (7 * triangle_matrix(4, 2)).round().tolist()
    [[3.0, 3.0, 1.0, 0.0], [0.0, 1.0, 3.0, 3.0]]
  """
  scale = jnp.asarray(size_in) / jnp.asarray(size_out)
  center = (jnp.arange(size_out) + 0.5) * scale - 0.5
  distance = jnp.abs(jnp.arange(size_in)[None] - center[:, None]) / jnp.maximum(scale, 1.0)
  weights = jnp.maximum(1.0 - distance, 0.0)
  return weights / jnp.sum(weights, axis=1, keepdims=True)


def resize_antialiased(images: Float[Array, 'B h w C'], size: Size) -> Float[Array, 'B H W C']:
  """Resizes `[B, h, w, C]` to `size`; h and w may be symbolic.

  Pillow rounds the result, and the rows before, to whole numbers. That is left out: libraries whose
  last digits differ would round some pixels differently.
  """
  if get_size(images) == size:
    return images
  rows, columns = (
    triangle_matrix(length, new) for length, new in zip(get_size(images), size, strict=True)
  )
  return enlarge(images, rows, columns)
