"""A bank of features: for every class the last ones that were stored.

Synopsis:

    bank = empty_bank(num_classes=21, size=256, width=256)
    bank = enqueue(bank, features, count)        # the oldest of each class are replaced
    filled_slots(bank)                           # [21, 256]
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Bool, Float, Integer

from classmix_jax.types import Array


class FeatureBank(NamedTuple):
  """First-in first-out queues of one length, one per class.

  Attributes:
    features: `[C, S, D]` float32, 0 in free slots.
    num_stored: `[C]` int32, how many features of each class were ever stored.
  """

  features: Array
  num_stored: Array


def empty_bank(num_classes: int, size: int, width: int) -> FeatureBank:
  """Returns a bank of `size` free slots for each class, for features of `width` channels."""
  features = jnp.zeros((num_classes, size, width), jnp.float32)
  return FeatureBank(features, jnp.zeros(num_classes, jnp.int32))


def filled_slots(bank: FeatureBank) -> Bool[Array, 'C S']:
  """Returns which slots hold a feature.

  Example:
    >>> bank = FeatureBank(jnp.zeros((2, 3, 1)), jnp.array([1, 7]))
    >>> filled_slots(bank).tolist()
    [[True, False, False], [True, True, True]]
  """
  return jnp.arange(bank.features.shape[1])[None] < bank.num_stored[:, None]


def enqueue(
  bank: FeatureBank, features: Float[Array, 'C K D'], count: Integer[Array, ' C']
) -> FeatureBank:
  """Stores features of every class in place of the oldest.

  Args:
    bank: the bank; classes have S slots.
    features: `[C, K, D]` float32. If K is more than S, the first S are stored.
    count: `[C]` int32, how many of the K features of each class are stored; the first ones.

  Example:
    >>> bank = FeatureBank(jnp.array([[[1.0], [2.0]]]), jnp.array([3]))
    >>> enqueue(bank, jnp.array([[[5.0], [6.0]]]), jnp.array([1])).features.ravel().tolist()
    [1.0, 5.0]
  """
  size = bank.features.shape[1]
  features = features[:, :size]
  count = jnp.minimum(count, size)
  number = jnp.arange(features.shape[1])[None]
  slot = (bank.num_stored[:, None] + number) % size
  # A slot beyond the last one is dropped.
  slot = jnp.where(number < count[:, None], slot, size)
  classes = jnp.arange(len(features))[:, None]
  stored = bank.features.at[classes, slot].set(features, mode='drop')
  return FeatureBank(stored, bank.num_stored + count)
