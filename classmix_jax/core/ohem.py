"""Online hard example mining: selects the pixels whose label has the lowest probability.

Synopsis:

    hard = hard_pixels(label_prob, known, threshold=0.7, min_kept=200_000)
"""

from jax import lax
import jax.numpy as jnp
from jaxtyping import Bool, Float32

from classmix_jax.core.collectives import ONE_DEVICE, GlobalBatch
from classmix_jax.types import Array


def kth_smallest(
  value: Float32[Array, '...'], k: int, global_batch: GlobalBatch = ONE_DEVICE
) -> Float32[Array, '']:
  """Returns the k-th smallest element over all devices, exactly, without sorting or gathering.

  Non-negative floats are ordered like their bit patterns. So the result, the largest number with
  fewer than k elements below it, is determined bit by bit.

  Args:
    value: float32 array without negative elements.
    k: 1 for the smallest; the result is infinity if there are fewer than k elements.
    global_batch: where this device's images belong; inside `pmap`, pass its axis.

  Returns:
    float32 scalar.

  Example:
    >>> float(kth_smallest(jnp.array([0.5, 0.25, 1.0]), 2))
    0.5
  """
  bits = lax.bitcast_convert_type(value, jnp.int32)

  def set_bit(index: Array, result: Array) -> Array:
    candidate = result | (1 << (30 - index))
    below = global_batch.sum(jnp.sum(bits < candidate))
    return jnp.where(below < k, candidate, result)

  result = lax.fori_loop(0, 31, set_bit, jnp.int32(0))
  infinity = lax.bitcast_convert_type(jnp.float32(jnp.inf), jnp.int32)  # larger patterns are NaNs
  return lax.bitcast_convert_type(jnp.minimum(result, infinity), jnp.float32)


def hard_pixels(
  prob: Float32[Array, '...'],
  known: Bool[Array, '...'],
  threshold: float,
  min_kept: int,
  global_batch: GlobalBatch = ONE_DEVICE,
) -> Bool[Array, '...']:
  """Selects pixels with a label probability <= `threshold`, at least the worst `min_kept`.

  The rule of PSPNet's code, which UniMatch uses on Cityscapes with 0.7 and 200,000. Pixels are
  counted over the global batch here, on each device there.

  Args:
    prob: `[...]` float32 in 0..1, the probability of the pixel's label.
    known: `[...]` bool, False on void.
    threshold: in 0..1; 1 selects every known pixel.
    min_kept: least number of pixels, over all devices.
    global_batch: where this device's images belong; inside `pmap`, pass its axis.

  Returns:
    `[...]` bool.

  Example:
    >>> hard_pixels(jnp.array([0.1, 0.8, 0.9]), jnp.array([True] * 3), 0.7, 2).tolist()
    [True, True, False]
  """
  prob = jnp.where(known, lax.stop_gradient(prob), 1.0)
  if min_kept > 0:
    smallest = kth_smallest(prob, min_kept, global_batch)
    return known & (prob <= jnp.maximum(threshold, smallest))
  return known & (prob <= threshold)
