"""Cuts a region out of an image and pastes it on the next image of the batch."""

import jax.numpy as jnp
from jaxtyping import Bool, Shaped

from classmix_jax.core.collectives import ONE_DEVICE, GlobalBatch
from classmix_jax.core.resize import cover
from classmix_jax.types import Array


def mix(
  mask: Bool[Array, 'B H W'], x: Shaped[Array, 'B h w *C'], global_batch: GlobalBatch = ONE_DEVICE
) -> Shaped[Array, 'B h w *C']:
  """Pastes the masked region of every image on its partner, the next image of the batch.

  x_mix[i] = M[i] x[i] + (1 - M[i]) x[(i + 1) mod N] (ClassMix, arXiv 2007.07936, section 3.1;
  cyclic as in the original code), over the global batch of N images, in the dtype of x.

  Args:
    mask: True where image i is kept.
    x: images or labels, or features on a coarser grid, of any dtype.
    global_batch: where this device's images belong, and their partners; in `pmap`, pass its axis.

  Raises:
    ValueError: the mask is not `[B, H, W]` bool, or x has more images or pixels (at trace time).

  Example:
    >>> mask = jnp.array([[[True, False]], [[False, True]]])
    >>> mix(mask, jnp.array([[[1, 2]], [[3, 4]]])).tolist()
    [[[1, 4]], [[1, 4]]]
  """
  return jnp.where(cover(mask, x), x, global_batch.partner(x))
