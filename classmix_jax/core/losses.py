"""Pixel-wise losses that ignore void pixels.

Synopsis:

    loss = masked_mean(cross_entropy(logits, label), label != VOID, ALL_DEVICES)   # inside pmap

Losses are computed per pixel and averaged afterwards. Devices and micro-batches hold different
numbers of void pixels, so a mean over devices or a sum over micro-batches is exact only if the
*count* is that of the global batch (`device_count`).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Float32, Integer, Shaped

from classmix_jax.core.collectives import ONE_DEVICE, GlobalBatch
from classmix_jax.core.shapes import Ids, check_dtype, check_same_shape, class_ids
from classmix_jax.types import Array


def cross_entropy(
  logits: Float[Array, '... C'], label: Integer[Array, '...'], ignore: Ids = ()
) -> Float32[Array, '...']:
  """Returns the cross-entropy per pixel, -log softmax(logits)[label], 0 at void pixels.

  Args:
    logits: `[..., C]` float.
    label: `[...]` integer class ids 0..C-1; all others, such as -1, -100 and 255, are void.
    ignore: further ids that are void.

  Returns:
    `[...]` float32. Void pixels change neither the value nor the gradient.

  Raises:
    ValueError: the shapes do not match, C < 2, or a dtype is another (at trace time).

  Example:
    >>> cross_entropy(jnp.zeros((2, 4)), jnp.array([1, 255])).tolist()
    [1.3862943649291992, 0.0]
  """
  _check_classes_last(logits, label)
  logits = jnp.asarray(logits, jnp.float32)
  label = class_ids(label, logits.shape[-1], ignore)  # -1 is void
  # A comparison with every class instead of a gather, whose gradient is a scatter: GPUs sort that
  # first if additions must have a fixed order. No class equals -1, so void selects no logit.
  is_label = jax.nn.one_hot(label, logits.shape[-1], dtype=bool)
  label_logit = jnp.sum(jnp.where(is_label, logits, 0.0), axis=-1)
  return jnp.where(label >= 0, jax.nn.logsumexp(logits, axis=-1) - label_logit, 0.0)


def _check_classes_last(logits: Array, label: Array) -> None:
  """Raises ValueError if logits `[..., C]` do not match labels `[...]`, or C < 2."""
  check_dtype('logits', logits, jnp.floating, 'scores before the softmax')
  scores, ids = jnp.shape(logits), jnp.shape(label)
  if scores[:-1] != ids:
    hint = ''
    if len(scores) == len(ids) + 1 > 1 and scores[:1] + scores[2:] == ids:
      hint = ': classes come last, jnp.moveaxis(logits, 1, -1)'
    elif len(scores) == len(ids) + 1 and scores[1:] == ids:
      hint = ': classes come last, jnp.moveaxis(logits, 0, -1)'
    elif scores[:-1] + (1,) == ids:
      hint = ': remove the last axis, label[..., 0]'
    elif scores == ids:
      hint = ': labels are ids; of one-hot labels take jnp.argmax(label, axis=-1)'
    raise ValueError(
      f'logits {scores} do not match label {ids}, expected are [..., C] and [...]{hint}.'
    )
  if scores[-1] < 2:
    raise ValueError(
      f'logits have the shape {scores}, expected are two classes or more in the last axis: of one '
      'class the softmax is 1 and the loss 0. For one logit z per pixel use '
      'jnp.stack([jnp.zeros_like(z), z], axis=-1).'
    )


def squared_error(
  logits: Float[Array, '... C'], prob: Float[Array, '... C']
) -> Float32[Array, '...']:
  """Returns the mean over classes of (softmax(logits) - prob)^2 per pixel.

  The code of ClassMix averages over classes, too. French et al. (arXiv 1906.01916) sum over
  classes, which is C times larger.

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
  check_same_shape('prob has a probability for each class', logits=logits, prob=prob)
  check_dtype('logits', logits, jnp.floating, 'scores before the softmax')
  check_dtype('prob', prob, jnp.floating, 'probabilities, such as jax.nn.softmax(logits)')
  difference = jax.nn.softmax(logits.astype(jnp.float32)) - prob
  return jnp.mean(difference**2, axis=-1)


def kl_divergence(
  logits: Float[Array, '... C'], prob: Float[Array, '... C']
) -> Float32[Array, '...']:
  """Returns KL(softmax(logits) | prob) = sum over classes of q log(q / prob) per pixel.

  Args:
    logits: `[..., C]` float.
    prob: `[..., C]` float, rows sum to 1; values count as 1e-7 or more, which keeps the result
      finite.

  Returns:
    `[...]` float32.

  Example:
    >>> round(float(kl_divergence(jnp.zeros(2), jnp.array([0.25, 0.75]))), 4)   # log(4 / 3) / 2
    0.1438
  """
  log_q = jax.nn.log_softmax(logits.astype(jnp.float32))
  return jnp.sum(jnp.exp(log_q) * (log_q - jnp.log(jnp.maximum(prob, 1e-7))), axis=-1)


def binary_cross_entropy(logit: Float[Array, '...'], real: bool) -> Float32[Array, '...']:
  """Returns -log sigmoid(logit) if `real`, else -log(1 - sigmoid(logit)), per element.

  Args:
    logit: `[...]` float, output of a discriminator.
    real: the target.

  Returns:
    `[...]` float32.

  Example:
    >>> round(float(binary_cross_entropy(jnp.array(0.0), real=True)), 4)
    0.6931
  """
  logit = logit.astype(jnp.float32)
  return jax.nn.softplus(-logit if real else logit)


def device_count(
  mask: Shaped[Array, '...'], global_batch: GlobalBatch = ONE_DEVICE
) -> Float32[Array, '']:
  """Returns the sum of `mask` (bool or weights) per device on average: float32, at least 1e-6."""
  count = global_batch.mean(jnp.sum(mask, dtype=jnp.float32))
  return jnp.maximum(count, 1e-6)


def masked_mean(
  value: Float[Array, '...'],
  mask: Bool[Array, '...'],
  global_batch: GlobalBatch = ONE_DEVICE,
  count: Float[Array, ''] | None = None,
) -> Float[Array, '']:
  """Returns the mean of `value` inside `mask` over the *global* batch; 0 if the mask is empty.

  The local sum is divided by the device mean of the count, so the mean over devices of the result
  is sum(value * mask) / sum(mask) over all devices.

  Args:
    value: float array.
    mask: bool array of the same shape.
    global_batch: where this device's images belong; inside `pmap`, pass its axis.
    count: `device_count` of the whole batch if `value` is one of its micro-batches; results are
      to be summed over micro-batches then.

  Raises:
    ValueError: the shapes differ, or the mask is not bool (at trace time).

  Example:
    >>> float(masked_mean(jnp.array([1.0, 3.0, 9.0]), jnp.array([True, True, False])))
    2.0
  """
  check_same_shape('the mask has one bool for each value', value=value, mask=mask)
  check_dtype('mask', mask, jnp.bool_, 'such as label != VOID; weights are factors of the value')
  if count is None:
    count = device_count(mask, global_batch)
  return jnp.sum(jnp.where(mask, value, 0.0)) / count
