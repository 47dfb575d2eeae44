"""How the pixels of a batch are shared by the classes.

Synopsis:

    shares = class_shares(pseudo_label, valid, num_classes=19, axis_name='batch')   # [19]
"""

import jax.numpy as jnp

from classmix_jax.core.collectives import mean_over_devices
from classmix_jax.types import Array


def class_counts(label: Array, mask: Array, num_classes: int) -> Array:
  """Number of pixels of every class where `mask`, of this device alone: `[C]` float32.

  Example:
    >>> class_counts(jnp.array([0, 1, 1, 255]), jnp.array([True] * 4), 3).tolist()
    [1.0, 2.0, 0.0]
  """
  counted = jnp.where(mask, label.astype(jnp.int32), num_classes).ravel()
  # Compared class by class: one pass over the pixels, where a scatter would take turns.
  found = counted[:, None] == jnp.arange(num_classes)[None, :]
  return jnp.sum(found, axis=0, dtype=jnp.float32)


def class_shares(
  label: Array, mask: Array, num_classes: int, axis_name: str | None = None
) -> Array:
  """Share of every class in the pixels of the *global* batch where `mask`; 0 where none count.

  Args:
    label: `[...]` integer class ids; others, such as `VOID` (255), count nowhere.
    mask: `[...]` bool.
    num_classes: C.
    axis_name: the device axis of `pmap`, None outside.

  Returns:
    `[C]` float32 that sums to 1, equal on all devices.

  Example:
    >>> class_shares(jnp.array([0, 1, 1, 255]), jnp.array([True] * 4), 3).tolist()
    [0.3333333432674408, 0.6666666865348816, 0.0]
  """
  counts = mean_over_devices(class_counts(label, mask, num_classes), axis_name)
  return counts / jnp.maximum(jnp.sum(counts), 1e-6)
