"""A quantile over the global batch, by counting.

Synopsis:

    least = global_quantile(confidence, valid, 0.2, ALL_DEVICES)   # inside pmap
"""

from jax import lax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Float32

from classmix_jax.core.collectives import ONE_DEVICE, GlobalBatch
from classmix_jax.types import Array

BITS = 20  # the result is a multiple of 2^-20


def global_quantile(
  value: Float[Array, '...'],
  mask: Bool[Array, '...'],
  fraction: ArrayLike,
  global_batch: GlobalBatch = ONE_DEVICE,
) -> Float32[Array, '']:
  """Returns the largest t with at most `fraction` of the values in `mask` below t.

  Bisection needs one pass over the values for each bit, no sort and no copy of the values of other
  devices. Counts are integers, so the result does not depend on the number of devices.

  Args:
    value: float in 0..1.
    mask: bool array of the same shape.
    fraction: in 0..1, may be traced.
    global_batch: where this device's images belong; inside `pmap`, pass its axis.

  Returns:
    float32 scalar in 0..1 - 2^-20, a multiple of 2^-20, equal on all devices.

  Example:
    >>> float(global_quantile(jnp.array([0.25, 0.5, 0.75, 0.0]), jnp.arange(4) < 3, 0.4))
    0.5
  """
  limit = fraction * global_batch.sum(jnp.sum(mask, dtype=jnp.int32))

  def narrow(bit: Array, low: Array) -> Array:
    middle = low + 0.5 ** (bit + 1.0)
    below = global_batch.sum(jnp.sum(mask & (value < middle), dtype=jnp.int32))
    return jnp.where(below <= limit, middle, low)

  return lax.fori_loop(0, BITS, narrow, jnp.float32(0))
