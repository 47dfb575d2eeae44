"""Replaces the part of an image outside of a mask by a constant color."""

import jax.numpy as jnp
from jaxtyping import Bool, Float

from classmix_jax.types import Array

MEAN_COLOR = (0.485, 0.456, 0.406)  # of ImageNet


def erase(mask: Bool[Array, 'B H W'], image: Float[Array, 'B H W 3']) -> Float[Array, 'B H W 3']:
  """Fills `image` with the mean color outside `mask` (CutOut, arXiv 1906.01916, section 3.3).

  Args:
    mask: `[B, H, W]` bool, True where the image is kept.
    image: `[B, H, W, 3]` float32 in 0..1.

  Example:
    >>> erase(jnp.array([[[True, False]]]), jnp.ones((1, 1, 2, 3)))[0, 0, :, 0].round(3).tolist()
    [1.0, 0.48500001430511475]
  """
  return jnp.where(mask[..., None], image, jnp.array(MEAN_COLOR).reshape(1, 1, 1, 3))
