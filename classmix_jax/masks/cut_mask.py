"""The mask of CutMix in the code of ClassMix: a box of half of the area."""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Integer

from classmix_jax.core.shapes import Ids, label_size
from classmix_jax.masks.rectangle import rectangle
from classmix_jax.types import Array


def cut_mask(
  key: Array, label: Integer[Array, 'H W'], num_classes: int, ignore: Ids = ()
) -> Bool[Array, 'H W']:
  """Cuts a box of half of the area out of the image: False inside, True outside.

  The width is a uniform integer in [W / 2, W], the height is round(H W / 2 / width), and the
  position is uniform within the image. The CutMix paper has a random area instead. For odd W the
  original may compute a height of H + 1 and crash; the height is clamped to H here.

  Args:
    key: random key.
    label: `[H, W]` array, only its shape is used.
    num_classes: not used.
    ignore: not used.

  Returns:
    `[H, W]` bool.

  Raises:
    ValueError: label is not `[H, W]`, but a batch, for example.

  Example:
    >>> mask = cut_mask(jax.random.key(0), jnp.zeros((32, 32), int), 5)
    >>> mask.shape, abs(float(mask.mean()) - 0.5) < 0.02
    ((32, 32), True)
  """
  del num_classes, ignore
  height, width = label_size(label)
  width_key, row_key, column_key = jax.random.split(key, 3)
  box_width = jax.random.randint(width_key, (), width // 2, width + 1)
  box_height = jnp.round(height * width / 2 / box_width).astype(jnp.int32)
  box_height = jnp.minimum(box_height, height)
  top = jax.random.randint(row_key, (), 0, height - box_height + 1)
  left = jax.random.randint(column_key, (), 0, width - box_width + 1)
  return ~rectangle((height, width), top, left, box_height, box_width)
