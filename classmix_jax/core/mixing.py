"""Cut from one image, paste on the next.

Synopsis:

    mask = jax.vmap(mask_fn)(keys, prediction)      # [B, H, W] bool
    mixed_image = mix(mask, image)                  # [B, H, W, 3]
    mixed_label = mix(mask, pseudo_label)           # [B, H, W]
"""

import jax.numpy as jnp

from classmix_jax.core.collectives import next_image
from classmix_jax.types import Array

GREY = (0.485, 0.456, 0.406)  # the mean of ImageNet


def mix(mask: Array, x: Array, axis_name: str | None = None, micro_batches: int = 1) -> Array:
  """Pastes the masked part of every image on the next image of the batch.

  x_mix[i] = M[i] x[i] + (1 - M[i]) x[(i + 1) mod N]  (ClassMix, arXiv
  2007.07936, section 3.1; batch-cyclic as in the original code), over the
  global batch of N images.

  Args:
    mask: `[B, H, W]` bool, True where image i itself is kept.
    x: `[B, H, W]` or `[B, H, W, C]`, any dtype.
    axis_name: the device axis of `pmap`, None outside.
    micro_batches: A, how many micro-batches B images are, see `collectives.py`.

  Returns:
    An array of the shape and dtype of `x`.

  Raises:
    ValueError: the shapes do not fit (at trace time).

  Example:
    >>> mask = jnp.array([[[True, False]], [[False, True]]])
    >>> mix(mask, jnp.array([[[1, 2]], [[3, 4]]])).tolist()
    [[[1, 4]], [[1, 4]]]
  """
  if mask.shape != x.shape[:3]:
    raise ValueError(f'mask {mask.shape} does not cover x {x.shape}: [B, H, W] must be equal')
  expanded = mask.reshape(mask.shape + (1,) * (x.ndim - 3))
  return jnp.where(expanded, x, next_image(x, axis_name, micro_batches))


def erase(mask: Array, image: Array) -> Array:
  """CutOut: mean grey outside of the mask (French et al., arXiv 1906.01916, section 3.3).

  Args:
    mask: `[B, H, W]` bool, True where the image is kept.
    image: `[B, H, W, 3]` float32 in 0..1.
  """
  return jnp.where(mask[..., None], image, jnp.array(GREY).reshape(1, 1, 1, 3))
