"""The masks of French et al. (arXiv 1906.01916, section 3.3): boxes of any aspect."""

import jax
import jax.numpy as jnp

from classmix_jax.masks.rectangle import rectangle
from classmix_jax.types import Array


def box(key: Array, height: int, width: int, share: Array) -> Array:
  """A box of a share p of the image, True inside, `[H, W]`.

  Its height is H p^u with u ~ U(0, 1) and its width W p / p^u, rounded: the aspect is
  log-uniform. The position is uniform among those within the image.
  """
  draw = jax.random.uniform(key, (3,))
  tall = share ** draw[0]
  box_height, box_width = jnp.round(height * tall), jnp.round(width * share / tall)
  top = jnp.round(draw[1] * (height - box_height))
  left = jnp.round(draw[2] * (width - box_width))
  return rectangle((height, width), top, left, box_height, box_width)


def half_box_mask(key: Array, label: Array, num_classes: int) -> Array:
  """A box of half of the area: True inside, `[H, W]`; of `label` only the shape is used."""
  del num_classes
  return box(key, *label.shape, jnp.float32(0.5))


def any_box_mask(key: Array, label: Array, num_classes: int) -> Array:
  """A box of U(0, 1) of the area: True inside, `[H, W]`; of `label` only the shape is used."""
  del num_classes
  share_key, box_key = jax.random.split(key)
  return box(box_key, *label.shape, jax.random.uniform(share_key, minval=1e-6))
