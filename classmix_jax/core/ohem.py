"""Online hard example mining: which pixels the network gets least right.

Synopsis:

    hard = hard_pixels(prob_of_label, known, threshold=0.7, min_kept=200_000, axis_name='batch')
"""

from jax import lax
import jax.numpy as jnp

from classmix_jax.core.collectives import sum_over_devices
from classmix_jax.types import Array


def kth_smallest(value: Array, k: int, axis_name: str | None = None) -> Array:
  """The k-th smallest element over all devices, exactly, without sorting or gathering.

  Bits of non-negative floats are ordered as the floats are, so the result is found
  bit by bit: it is the largest number with fewer than k elements below it.

  Args:
    value: float32 array, nowhere negative.
    k: 1 for the smallest; beyond the last element the result is infinity.
    axis_name: the device axis of `pmap`, None outside.

  Returns:
    float32 scalar.

  Example:
    >>> float(kth_smallest(jnp.array([0.5, 0.25, 1.0]), 2))
    0.5
  """
  bits = lax.bitcast_convert_type(value, jnp.int32)

  def decide(index: Array, found: Array) -> Array:
    candidate = found | (1 << (30 - index))
    below = sum_over_devices(jnp.sum(bits < candidate), axis_name)
    return jnp.where(below < k, candidate, found)

  found = lax.fori_loop(0, 31, decide, jnp.int32(0))
  infinity = lax.bitcast_convert_type(jnp.float32(jnp.inf), jnp.int32)  # beyond are NaNs
  return lax.bitcast_convert_type(jnp.minimum(found, infinity), jnp.float32)


def hard_pixels(
  prob: Array, known: Array, threshold: float, min_kept: int, axis_name: str | None = None
) -> Array:
  """Pixels whose label has a probability of at most `threshold`, but at least the worst `min_kept`.

  The rule of PSPNet's code base, which UniMatch uses on Cityscapes with 0.7 and 200,000;
  there counted on each device, here over the global batch.

  Args:
    prob: `[...]` float32 in 0..1, the probability of the pixel's label.
    known: `[...]` bool, False on void.
    threshold: in 0..1; 1 keeps every known pixel.
    min_kept: in pixels of all devices together.
    axis_name: the device axis of `pmap`, None outside.

  Returns:
    `[...]` bool.

  Example:
    >>> hard_pixels(jnp.array([0.1, 0.8, 0.9]), jnp.array([True] * 3), 0.7, 2).tolist()
    [True, True, False]
  """
  prob = jnp.where(known, lax.stop_gradient(prob), 1.0)
  if min_kept > 0:
    threshold = jnp.maximum(threshold, kth_smallest(prob, min_kept, axis_name))
  return known & (prob <= threshold)
