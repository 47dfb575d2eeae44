"""The masks of French et al. (arXiv 1906.01916, section 3.3): boxes of any aspect ratio."""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Integer

from classmix_jax.core.shapes import Ids, label_size
from classmix_jax.masks.rectangle import rectangle
from classmix_jax.types import Array


def draw_box(
  key: Array, label: Integer[Array, 'H W'], area: Float[Array, '']
) -> Bool[Array, 'H W']:
  """Returns `[H, W]` bool, True inside a box that covers a fraction p = `area` of `label`.

  The height is H p^u with u ~ U(0, 1) and the width is W p / p^u, both rounded, so the aspect
  ratio is log-uniform. The position is uniform within the image.
  """
  height, width = label_size(label)
  draw = jax.random.uniform(key, (3,))
  tall = area ** draw[0]
  box_height, box_width = jnp.round(height * tall), jnp.round(width * area / tall)
  top = jnp.round(draw[1] * (height - box_height))
  left = jnp.round(draw[2] * (width - box_width))
  return rectangle((height, width), top, left, box_height, box_width)


def half_box_mask(
  key: Array, label: Integer[Array, 'H W'], num_classes: int, ignore: Ids = ()
) -> Bool[Array, 'H W']:
  """Selects a box of half of the area: `[H, W]` bool, the shape of `label`."""
  del num_classes, ignore
  return draw_box(key, label, jnp.float32(0.5))


def any_box_mask(
  key: Array, label: Integer[Array, 'H W'], num_classes: int, ignore: Ids = ()
) -> Bool[Array, 'H W']:
  """Selects a box of U(0, 1) of the area: `[H, W]` bool, the shape of `label`."""
  del num_classes, ignore
  area_key, box_key = jax.random.split(key)
  return draw_box(box_key, label, jax.random.uniform(area_key, minval=1e-6))
