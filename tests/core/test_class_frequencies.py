"""Shares of classes, by hand and over devices."""

import jax
import jax.numpy as jnp
import numpy as np

from classmix_jax.core.class_frequencies import class_shares
from classmix_jax.core.collectives import ALL_DEVICES
from classmix_jax.types import AXIS


def test_by_hand():
  label = jnp.array([[0, 2, 2], [255, 2, 1]], jnp.uint8)
  mask = jnp.array([[True, True, True], [True, True, False]])
  np.testing.assert_allclose(class_shares(label, mask, 4), [0.25, 0, 0.75, 0])


def test_nothing_counts():
  assert class_shares(jnp.zeros(3, int), jnp.zeros(3, bool), 2).tolist() == [0, 0]
  assert class_shares(jnp.zeros((0, 2), int), jnp.zeros((0, 2), bool), 2).tolist() == [0, 0]


def test_shares_are_of_the_global_batch():
  """Devices with 3, 0 and 1 pixels that count."""
  label = jnp.array([[0, 0, 1], [1, 1, 1], [1, 0, 0]])
  mask = jnp.array([[1, 1, 1], [0, 0, 0], [1, 0, 0]], bool)
  result = jax.pmap(lambda x, m: class_shares(x, m, 2, ALL_DEVICES), AXIS)(label, mask)
  np.testing.assert_allclose(result, [[0.5, 0.5]] * 3)
