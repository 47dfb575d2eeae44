"""Class frequencies among the pixels of a batch.

Synopsis:

    shares = class_shares(pseudo_label, valid, num_classes=19)   # [19]
"""

import jax.numpy as jnp
from jaxtyping import Bool, Float32, Integer

from classmix_jax.core.collectives import ONE_DEVICE, GlobalBatch
from classmix_jax.types import Array


def class_counts(
  label: Integer[Array, '...'], mask: Bool[Array, '...'], num_classes: int
) -> Float32[Array, ' C']:
  """Counts the pixels of every class inside `mask` on this device: `[C]` float32.

  Example:
    >>> class_counts(jnp.array([0, 1, 1, 255]), jnp.array([True] * 4), 3).tolist()
    [1.0, 2.0, 0.0]
  """
  counted = jnp.where(mask, label.astype(jnp.int32), num_classes).ravel()
  # A comparison with every class is one pass over the pixels; a scatter would serialize them.
  is_class = counted[:, None] == jnp.arange(num_classes)[None, :]
  return jnp.sum(is_class, axis=0, dtype=jnp.float32)


def class_shares(
  label: Integer[Array, '...'],
  mask: Bool[Array, '...'],
  num_classes: int,
  global_batch: GlobalBatch = ONE_DEVICE,
) -> Float32[Array, ' C']:
  """Returns each class's fraction of the pixels of the *global* batch inside `mask`.

  Args:
    label: `[...]` integer class ids; others, such as `VOID` (255), are not counted.
    mask: `[...]` bool.
    num_classes: C.
    global_batch: where this device's images belong; inside `pmap`, pass its axis.

  Returns:
    `[C]` float32, equal on all devices. The sum is 1, or 0 if no pixel counts.

  Example:
    >>> class_shares(jnp.array([0, 1, 1, 255]), jnp.array([True] * 4), 3).tolist()
    [0.3333333432674408, 0.6666666865348816, 0.0]
  """
  counts = global_batch.mean(class_counts(label, mask, num_classes))
  return counts / jnp.maximum(jnp.sum(counts), 1e-6)
