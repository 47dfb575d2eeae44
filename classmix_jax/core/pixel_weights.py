"""How much each pixel of a pseudo-label counts.

A weight function maps `(confidence [B, H, W] float32, valid [B, H, W] bool,
progress, threshold, axis_name)` to weights that broadcast against `[B, H, W]`.
`progress` is 0 at the first step and 1 at the end of the ramp. `WEIGHTS` lists them by
the name that the config uses.
"""

from collections.abc import Callable, Mapping

import jax.numpy as jnp

from classmix_jax.core.collectives import mean_over_devices
from classmix_jax.core.losses import masked_mean
from classmix_jax.types import Array


def confident_share(
  confidence: Array, valid: Array, threshold: float, axis_name: str | None = None
) -> Array:
  """Share of the valid pixels of the *global* batch with confidence >= threshold.

  The weight of the unlabelled loss in ClassMix (arXiv 2007.07936, section 3.2).

  Returns:
    float32 scalar in 0..1, equal on all devices.

  Example:
    >>> float(confident_share(jnp.array([0.99, 0.5]), jnp.ones(2, bool), 0.968))
    0.5
  """
  confident = (confidence >= threshold).astype(jnp.float32)
  return mean_over_devices(masked_mean(confident, valid, axis_name), axis_name)


def threshold_uniform(confidence, valid, progress, threshold, axis_name=None) -> Array:
  """One weight for all pixels: the confident share (the paper's choice)."""
  del progress
  share = confident_share(confidence, valid, threshold, axis_name)
  return jnp.broadcast_to(share, confidence.shape)


def threshold_pixel(confidence, valid, progress, threshold, axis_name=None) -> Array:
  """1 where the teacher is confident, 0 elsewhere."""
  del valid, progress, axis_name
  return (confidence >= threshold).astype(jnp.float32)


def sigmoid_ramp(progress: Array) -> Array:
  """exp(-5 (1 - progress)^2) until `progress` is 1, then 1 (Laine and Aila, arXiv 1610.02242).

  Example:
    >>> [round(float(sigmoid_ramp(jnp.array(t))), 4) for t in (0.0, 0.5, 1.0, 2.0)]
    [0.0067, 0.2865, 1.0, 1.0]
  """
  return jnp.exp(-5.0 * (1.0 - jnp.minimum(progress, 1.0)) ** 2)


def sigmoid(confidence, valid, progress, threshold, axis_name=None) -> Array:
  """One weight for all pixels that ramps up."""
  del valid, threshold, axis_name
  return jnp.broadcast_to(sigmoid_ramp(progress), confidence.shape)


def ones(confidence, valid, progress, threshold, axis_name=None) -> Array:
  """Every pixel counts fully."""
  del valid, progress, threshold, axis_name
  return jnp.ones_like(confidence)


WEIGHTS: Mapping[str, Callable[..., Array]] = {
  'threshold_uniform': threshold_uniform,
  'threshold': threshold_pixel,
  'sigmoid': sigmoid,
  'ones': ones,
}
