"""The mask of CutMix in the code of UniMatch: a box of moderate size, in half of the images."""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Integer

from classmix_jax.core.shapes import Ids, label_size
from classmix_jax.masks.rectangle import rectangle
from classmix_jax.types import Array

PROBABILITY = 0.5
AREA = (0.02, 0.4)  # of the image
ASPECT = (0.3, 1 / 0.3)  # height / width
TRIALS = 16  # a box fits into the image in most trials


def small_box_mask(
  key: Array, label: Integer[Array, 'H W'], num_classes: int, ignore: Ids = ()
) -> Bool[Array, 'H W']:
  """Cuts out a box of U(0.02, 0.4) of the area with probability 0.5: False inside.

  The aspect ratio is U(0.3, 1 / 0.3). Sizes are drawn until the box fits into the image, as in the
  code of UniMatch (arXiv 2208.09910). The position is uniform.

  Args:
    key: random key.
    label: `[H, W]` array, only its shape is used.
    num_classes: not used.
    ignore: not used.

  Returns:
    `[H, W]` bool.

  Raises:
    ValueError: label is not `[H, W]`, but a batch, for example.
  """
  del num_classes, ignore
  height, width = label_size(label)
  draw = jax.random.uniform(key, (TRIALS + 1, 4))
  area, aspect = (
    low + (high - low) * draw[:TRIALS, i] for i, (low, high) in enumerate((AREA, ASPECT))
  )
  heights = jnp.floor(jnp.sqrt(area * height * width * aspect)).astype(jnp.int32)
  widths = jnp.floor(jnp.sqrt(area * height * width / aspect)).astype(jnp.int32)
  fits = (heights <= height) & (widths <= width)
  first = jnp.argmax(fits)
  box_height, box_width = jnp.minimum(heights[first], height), jnp.minimum(widths[first], width)
  top = jnp.floor(draw[first, 2] * (height - box_height + 1))
  left = jnp.floor(draw[first, 3] * (width - box_width + 1))
  inside = rectangle((height, width), top, left, box_height, box_width)
  return ~inside | (draw[TRIALS, 0] >= PROBABILITY)
