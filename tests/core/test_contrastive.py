"""The contrastive loss by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from classmix_jax.core.contrastive import info_nce, normalize
from classmix_jax.types import VOID

# Class 0 holds e_1 and e_2, class 1 holds -e_1 and a free slot, class 2 nothing.
BANK = jnp.array([[[1.0, 0.0], [0.0, 1.0]], [[-1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
FILLED = jnp.array([[True, True], [True, False], [False, False]])


def test_by_hand():
  """Similarities of e_1 at T = 1/2: 2, 0 and -2. The free slots, of similarity 0, do not count."""
  anchor = jnp.broadcast_to(jnp.array([1.0, 0.0]), (4, 2))
  loss = info_nce(anchor, jnp.array([0, 1, 2, VOID]), BANK, FILLED, 0.5)
  total = np.exp(2) + 1 + np.exp(-2)
  expected = [-np.log((np.exp(2) + 1) / total), -np.log(np.exp(-2) / total), 0, 0]
  np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_gradient():
  """(sum of p b) / T - mean of the positives weighted alike; exactly 0 without a positive."""
  anchor = jnp.broadcast_to(jnp.array([0.6, 0.8]), (2, 2))

  def total(anchor):
    return jnp.sum(info_nce(anchor, jnp.array([0, 2]), BANK, FILLED, 0.5))

  weight = np.exp(np.array([1.2, 1.6, -1.2]))
  vectors = np.array([[1, 0], [0, 1], [-1, 0]])
  positive = weight * [1, 1, 0]
  expected = (weight / weight.sum() - positive / positive.sum()) @ vectors / 0.5
  np.testing.assert_allclose(jax.grad(total)(anchor), [expected, [0, 0]], rtol=1e-5)


def test_empty_bank():
  """Neither a value nor a gradient."""
  value, slope = jax.value_and_grad(
    lambda x: jnp.sum(info_nce(x, jnp.array([1]), BANK * 0, FILLED & False, 0.1))
  )(jnp.ones((1, 2)))
  assert float(value) == 0 and slope.tolist() == [[0, 0]]


def test_zeros_have_no_length():
  x = jnp.array([[0.0, 0.0], [0.0, 2.0]])
  np.testing.assert_allclose(normalize(x), [[0, 0], [0, 1]], atol=1e-6)
  assert np.isfinite(jax.grad(lambda x: normalize(x).sum())(x)).all()
