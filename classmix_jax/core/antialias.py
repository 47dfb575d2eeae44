"""Resizes images as Pillow does, in a program of JAX.

Synopsis:

    resize_antialiased(images, (180, 240))      # Image.resize((240, 180), Resampling.BILINEAR)
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Float

from classmix_jax.core.resize import PRECISION, get_size
from classmix_jax.types import Array, Size


def triangle_matrix(size_in: Any, size_out: Any) -> Float[Array, 'size_out size_in']:
  """Returns the weights of Pillow's bilinear filter along an axis; sizes may be symbolic.

  The filter is a triangle as wide as two pixels of the smaller of both images.

  Example:
    >>> triangle_matrix(4, 2).round(3).tolist()
    [[0.429, 0.429, 0.143, 0.0], [0.0, 0.143, 0.429, 0.429]]
  """
  scale = jnp.asarray(size_in) / jnp.asarray(size_out)
  center = (jnp.arange(size_out) + 0.5) * scale - 0.5
  distance = jnp.abs(jnp.arange(size_in)[None] - center[:, None]) / jnp.maximum(scale, 1.0)
  weights = jnp.maximum(1.0 - distance, 0.0)
  return weights / jnp.sum(weights, axis=1, keepdims=True)


def resize_antialiased(images: Float[Array, 'B h w C'], size: Size) -> Float[Array, 'B H W C']:
  """Resizes images with values 0..255 to whole numbers, first their rows, then their columns.

  Args:
    images: `[B, h, w, C]` float32; h and w may be symbolic.
    size: (H, W).
  """
  if get_size(images) == size:
    return images
  rows, columns = (
    triangle_matrix(length, new) for length, new in zip(get_size(images), size, strict=True)
  )
  x = jnp.einsum('Ww,bhwc->bhWc', columns, images, precision=PRECISION)
  x = jnp.floor(x + 0.5)  # as Pillow rounds between both passes
  return jnp.floor(jnp.einsum('Hh,bhwc->bHwc', rows, x, precision=PRECISION) + 0.5)
