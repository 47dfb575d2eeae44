"""Losses by hand: cross-entropy with void, squared error, the mean over the global batch."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.core.collectives import ALL_DEVICES
from classmix_jax.core.losses import cross_entropy, device_count, masked_mean, squared_error
from classmix_jax.types import AXIS, VOID

LOGITS = jnp.log(jnp.array([[1.0, 3.0], [1.0, 3.0], [2.0, 2.0], [1.0, 9.0]]))
LABEL = jnp.array([0, 1, 1, VOID], jnp.uint8)


def test_cross_entropy_by_hand():
  expected = [np.log(4), np.log(4 / 3), np.log(2), 0.0]
  np.testing.assert_allclose(cross_entropy(LOGITS, LABEL), expected, rtol=1e-6)
  np.testing.assert_allclose(jax.jit(cross_entropy)(LOGITS, LABEL), expected, rtol=1e-6)


def test_gradient_of_cross_entropy_by_hand():
  """softmax - one hot, and exactly zero at void, whatever the logits are there."""
  logits = LOGITS.at[3].set(jnp.array([-1e30, 1e30]))
  gradient = jax.grad(lambda x: cross_entropy(x, LABEL).sum())(logits)
  expected = [[0.25 - 1, 0.75], [0.25, 0.75 - 1], [0.5, 0.5 - 1], [0, 0]]
  np.testing.assert_allclose(gradient, expected, rtol=1e-6)
  np.testing.assert_array_equal(gradient[3], 0)


def test_all_void_is_zero_and_flat():
  label = jnp.full((2, 3), VOID, jnp.uint8)

  def loss(x):
    return masked_mean(cross_entropy(x, label), label != VOID)

  value, gradient = jax.value_and_grad(loss)(jnp.ones((2, 3, 4)))
  assert float(value) == 0.0
  np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_losses_are_float32(dtype):
  assert cross_entropy(LOGITS.astype(dtype), LABEL).dtype == jnp.float32
  assert squared_error(LOGITS.astype(dtype), jnp.full((4, 2), 0.5)).dtype == jnp.float32


def test_squared_error_by_hand():
  prob = jnp.array([[0.25, 0.75], [1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
  expected = [0.0, 0.75**2, 0.0, 0.1**2]  # mean over the classes, not the sum
  np.testing.assert_allclose(squared_error(LOGITS, prob), expected, atol=1e-7)
  np.testing.assert_allclose(jax.jit(squared_error)(LOGITS, prob), expected, atol=1e-7)


def test_masked_mean_by_hand():
  value = jnp.array([1.0, 3.0, jnp.nan, 8.0])
  assert float(masked_mean(value, jnp.array([True, True, False, True]))) == 4.0
  assert float(masked_mean(value, jnp.zeros(4, bool))) == 0.0


def test_mean_over_devices_is_the_mean_over_pixels():
  """Three pixels count on one device, one on the other, none on two: no mean of means."""
  value = jnp.arange(12.0).reshape(4, 3)
  mask = jnp.array([[1, 1, 1], [0, 0, 1], [0, 0, 0], [0, 0, 0]], bool)
  shares = jax.pmap(lambda v, m: masked_mean(v, m, ALL_DEVICES), AXIS)(value, mask)
  np.testing.assert_allclose(shares.mean(), (0 + 1 + 2 + 5) / 4)


def test_masked_means_of_micro_batches_add_up():
  value, mask = jnp.arange(6.0), jnp.array([1, 1, 1, 0, 0, 1], bool)
  count = device_count(mask)
  parts = [masked_mean(value[part], mask[part], count=count) for part in np.split(np.arange(6), 3)]
  np.testing.assert_allclose(parts, [1 / 4, 2 / 4, 5 / 4])


@pytest.mark.parametrize(
  'call',
  [
    lambda: inspect.unwrap(cross_entropy)(jnp.zeros((2, 3, 4)), jnp.zeros((2, 4), int)),
    lambda: inspect.unwrap(squared_error)(jnp.zeros((2, 3)), jnp.zeros((2, 1))),
    lambda: inspect.unwrap(masked_mean)(jnp.zeros((2, 3)), jnp.zeros((2,), bool)),
  ],
)
def test_shapes_that_do_not_fit(call):
  with pytest.raises(ValueError, match=r'\(2, '):
    call()
