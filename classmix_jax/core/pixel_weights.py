"""Weights of the pixels of a pseudo-label.

A weight function maps `(confidence [B, H, W] float32, valid [B, H, W] bool, progress, threshold,
global_batch)` to weights `[B, H, W]` float32. `progress` is 0 at the first step and 1 at the end
of the ramp. `WEIGHTS` lists them by their names in the config.
"""

from collections.abc import Callable, Mapping

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Bool, Float

from classmix_jax.core.collectives import ONE_DEVICE, GlobalBatch
from classmix_jax.core.losses import masked_mean
from classmix_jax.core.shapes import check_dtype, check_same_shape
from classmix_jax.types import Array


def confident_share(
  confidence: Float[Array, '...'],
  valid: Bool[Array, '...'],
  threshold: ArrayLike,
  global_batch: GlobalBatch = ONE_DEVICE,
) -> Float[Array, '']:
  """Returns the fraction of valid pixels of the *global* batch with confidence >= threshold.

  This is the weight of the unlabelled loss in ClassMix (arXiv 2007.07936, section 3.2).

  Returns:
    float32 scalar in 0..1, equal on all devices.

  Raises:
    ValueError: the shapes differ, or `valid` is not bool (at trace time).

  Example:
    >>> float(confident_share(jnp.array([0.99, 0.5]), jnp.ones(2, bool), 0.968))
    0.5
  """
  hint = 'both have one value for each pixel'
  check_same_shape(hint, confidence=confidence, valid=valid)
  check_dtype('valid', valid, jnp.bool_, 'False on padding, such as label != VOID')
  confident = (confidence >= threshold).astype(jnp.float32)
  return global_batch.mean(masked_mean(confident, valid, global_batch))


def threshold_uniform(confidence, valid, progress, threshold, global_batch=ONE_DEVICE) -> Array:
  """Returns the confident fraction for all pixels (the choice of ClassMix)."""
  del progress
  fraction = confident_share(confidence, valid, threshold, global_batch)
  return jnp.broadcast_to(fraction, confidence.shape)


def threshold_pixel(confidence, valid, progress, threshold, global_batch=ONE_DEVICE) -> Array:
  """Returns 1 where the teacher is confident, else 0."""
  del valid, progress, global_batch
  return (confidence >= threshold).astype(jnp.float32)


def sigmoid_ramp(progress: ArrayLike) -> Float[Array, '']:
  """Returns exp(-5 (1 - progress)^2), and 1 after the ramp (arXiv 1610.02242, section 2).

  Example:
    >>> [round(float(sigmoid_ramp(jnp.array(t))), 4) for t in (0.0, 0.5, 1.0, 2.0)]
    [0.0067, 0.2865, 1.0, 1.0]
  """
  return jnp.exp(-5.0 * (1.0 - jnp.minimum(progress, 1.0)) ** 2)


def sigmoid(confidence, valid, progress, threshold, global_batch=ONE_DEVICE) -> Array:
  """Returns the value of `sigmoid_ramp` for all pixels."""
  del valid, threshold, global_batch
  return jnp.broadcast_to(sigmoid_ramp(progress), confidence.shape)


def ones(confidence, valid, progress, threshold, global_batch=ONE_DEVICE) -> Array:
  """Returns 1 for every pixel."""
  del valid, progress, threshold, global_batch
  return jnp.ones_like(confidence)


WEIGHTS: Mapping[str, Callable[..., Array]] = {
  'threshold_uniform': threshold_uniform,
  'threshold': threshold_pixel,
  'sigmoid': sigmoid,
  'ones': ones,
}
