"""The bank of features by hand and against a list per class."""

import jax
import jax.numpy as jnp
import numpy as np

from classmix_jax.core.feature_bank import FeatureBank, empty_bank, enqueue, filled_slots


def numbers(*rows):
  """Features of one channel."""
  return jnp.array(rows, jnp.float32)[..., None]


def test_the_oldest_are_replaced():
  """Three slots: 1, 2, then 3, 4; the second class stays empty."""
  bank = empty_bank(2, 3, 1)
  bank = enqueue(bank, numbers((1, 2), (8, 9)), jnp.array([2, 0]))
  assert filled_slots(bank).tolist() == [[True, True, False], [False] * 3]
  bank = enqueue(bank, numbers((3, 4), (8, 9)), jnp.array([2, 0]))
  assert bank.features[..., 0].tolist() == [[4, 2, 3], [0, 0, 0]]
  assert bank.num_stored.tolist() == [4, 0] and filled_slots(bank).tolist() == [
    [True] * 3,
    [False] * 3,
  ]


def test_more_features_than_slots():
  """The first ones are stored."""
  bank = enqueue(FeatureBank(numbers((7, 8)), jnp.array([1])), numbers((1, 2, 3)), jnp.array([3]))
  assert bank.features[..., 0].tolist() == [[2, 1]] and bank.num_stored.tolist() == [3]


def test_a_hundred_steps_are_those_of_lists():
  rng, classes, size, most = np.random.default_rng(0), 3, 5, 4
  queues, bank = [[] for _ in range(classes)], empty_bank(classes, size, 2)
  store = jax.jit(enqueue)
  for _ in range(100):
    features = rng.normal(size=(classes, most, 2)).astype(np.float32)
    count = rng.integers(0, most + 1, classes)
    bank = store(bank, features, jnp.asarray(count, jnp.int32))
    for queue, new, number in zip(queues, features, count, strict=True):
      queue += [tuple(x) for x in new[:number]]
  for queue, slots in zip(queues, np.asarray(bank.features), strict=True):
    assert sorted(map(tuple, slots.tolist())) == sorted(
      map(tuple, np.array(queue[-size:]).tolist())
    )
