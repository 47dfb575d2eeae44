"""Pixel-wise losses in which void pixels count nowhere.

Synopsis:

    loss = masked_mean(cross_entropy(logits, label), label != VOID, axis_name='batch')

Per-pixel losses come first, means second: a mean over devices, or a sum over
micro-batches, is exact only if the *count* is that of the global batch
(`device_count`), as they see different numbers of void pixels.
"""

import jax
import jax.numpy as jnp

from classmix_jax.core.collectives import mean_over_devices
from classmix_jax.types import VOID, Array


def cross_entropy(logits: Array, label: Array) -> Array:
  """Per-pixel cross-entropy, -log softmax(logits)[label], 0 at void pixels.

  Args:
    logits: `[..., C]` float.
    label: `[...]` integer class ids, `VOID` (255) where unknown.

  Returns:
    `[...]` float32. Neither the value nor the gradient is touched by void.

  Raises:
    ValueError: the shapes do not fit.

  Example:
    >>> cross_entropy(jnp.zeros((2, 4)), jnp.array([1, 255])).tolist()
    [1.3862943649291992, 0.0]
  """
  if logits.shape[:-1] != label.shape:
    raise ValueError(f'logits {logits.shape} do not fit label {label.shape}: want [..., C], [...]')
  logits = logits.astype(jnp.float32)
  # Compared class by class: the gradient of a gather is a scatter, which GPUs sort first if
  # additions are to have a fixed order. No class is VOID, so that pixels of it choose nothing.
  chosen = jax.nn.one_hot(label, logits.shape[-1], dtype=bool)
  of_label = jnp.sum(jnp.where(chosen, logits, 0.0), axis=-1)
  return jnp.where(label != VOID, jax.nn.logsumexp(logits, axis=-1) - of_label, 0.0)


def squared_error(logits: Array, prob: Array) -> Array:
  """Per-pixel mean over classes of (softmax(logits) - prob)^2.

  The variant of the ClassMix code (mean over classes); French et al. (arXiv
  1906.01916) sum over classes, which is C times larger.

  Args:
    logits: `[..., C]` float.
    prob: `[..., C]` float, rows sum to 1.

  Returns:
    `[...]` float32.

  Raises:
    ValueError: the shapes differ.

  Example:
    >>> squared_error(jnp.zeros((1, 2)), jnp.array([[1.0, 0.0]])).tolist()
    [0.25]
  """
  if logits.shape != prob.shape:
    raise ValueError(f'logits {logits.shape} and prob {prob.shape} differ')
  difference = jax.nn.softmax(logits.astype(jnp.float32)) - prob
  return jnp.mean(difference**2, axis=-1)


def binary_cross_entropy(logit: Array, real: bool) -> Array:
  """Per-element -log sigmoid(logit) where `real`, else -log(1 - sigmoid(logit)).

  Args:
    logit: `[...]` float, what a discriminator says.
    real: what it should have said.

  Returns:
    `[...]` float32.

  Example:
    >>> round(float(binary_cross_entropy(jnp.array(0.0), real=True)), 4)
    0.6931
  """
  logit = logit.astype(jnp.float32)
  return jax.nn.softplus(-logit if real else logit)


def device_count(mask: Array, axis_name: str | None = None) -> Array:
  """Sum of `mask`, bool or weights, on a device on average: float32, never quite 0."""
  count = mean_over_devices(jnp.sum(mask, dtype=jnp.float32), axis_name)
  return jnp.maximum(count, 1e-6)


def masked_mean(
  value: Array, mask: Array, axis_name: str | None = None, count: Array | None = None
) -> Array:
  """Mean of `value` where `mask`, over the *global* batch; 0 if nothing counts.

  The mean over devices of what this returns is sum(value * mask) / sum(mask)
  over all devices: the local sum is divided by the device mean of the count.

  Args:
    value: float array.
    mask: bool array of the same shape.
    axis_name: the device axis of `pmap`, None outside.
    count: `device_count` of the whole batch, where `value` is one of its
      micro-batches: what this returns is then to be summed over them.

  Example:
    >>> float(masked_mean(jnp.array([1.0, 3.0, 9.0]), jnp.array([True, True, False])))
    2.0
  """
  if value.shape != mask.shape:
    raise ValueError(f'value {value.shape} and mask {mask.shape} differ')
  if count is None:
    count = device_count(mask, axis_name)
  return jnp.sum(jnp.where(mask, value, 0.0)) / count
