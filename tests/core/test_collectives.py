"""The global batch looks the same from any number of devices."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.core.collectives import ALL_DEVICES, ONE_DEVICE, GlobalBatch
from classmix_jax.core.mixing import mix
from classmix_jax.types import AXIS

IMAGES = 8
X = np.random.default_rng(0).random((IMAGES, 2, 3)).astype(np.float32)


def on_devices(devices, function, *arrays, micro_batches=1):
  """Gives every device its images of all micro-batches; puts results in the global order."""
  lead = (micro_batches, devices, -1)
  shards = [
    x.reshape(lead + x.shape[1:]).swapaxes(0, 1).reshape((devices, -1) + x.shape[1:])
    for x in arrays
  ]
  result = np.asarray(jax.pmap(function, AXIS, devices=jax.devices()[:devices])(*shards))
  result = result.reshape((devices, micro_batches, -1) + result.shape[2:]).swapaxes(0, 1)
  return result.reshape((IMAGES,) + result.shape[3:])


SHARES = [(1, 1), (2, 1), (4, 1), (8, 1), (1, 2), (1, 8), (2, 2), (4, 2), (2, 4)]


@pytest.mark.parametrize('devices, micro_batches', SHARES)
def test_next_image(devices, micro_batches):
  result = on_devices(
    devices,
    lambda x: GlobalBatch(AXIS, micro_batches).next_image(x),
    X,
    micro_batches=micro_batches,
  )
  np.testing.assert_array_equal(result, np.roll(X, -1, axis=0))
  np.testing.assert_array_equal(ONE_DEVICE.next_image(jnp.asarray(X)), np.roll(X, -1, axis=0))


@pytest.mark.parametrize('devices, micro_batches', SHARES)
def test_reversed_image(devices, micro_batches):
  """Image i gets image 7 - i of the global batch, also as the partner in `mix`."""
  global_batch = GlobalBatch(AXIS, micro_batches, reverse_partners=True)
  mask = np.random.default_rng(1).random(X.shape) < 0.5
  pairs = ((global_batch.reversed_image, X[::-1]), (global_batch.partner, X[::-1]))
  for function, expected in pairs:
    result = on_devices(devices, function, X, micro_batches=micro_batches)
    np.testing.assert_array_equal(result, expected)
  mixed = on_devices(
    devices, lambda m, x: mix(m, x, global_batch), mask, X, micro_batches=micro_batches
  )
  np.testing.assert_array_equal(mixed, np.where(mask, X, X[::-1]))


def test_the_middle_of_an_odd_batch_is_its_own_partner():
  global_batch = GlobalBatch(reverse_partners=True)
  assert global_batch.partner(jnp.arange(5)).tolist() == [4, 3, 2, 1, 0]


@pytest.mark.parametrize('devices, micro_batches', SHARES)
def test_random_half(devices, micro_batches):
  """Four of the eight images, the same ones on any number of devices."""

  def choose(x, axis_name=AXIS):
    batch = GlobalBatch(axis_name, micro_batches if axis_name else 1)
    return jnp.stack([batch.random_half(jax.random.key(seed), len(x)) for seed in range(5)], 1)

  expected = np.asarray(choose(X, None))
  result = on_devices(devices, choose, X, micro_batches=micro_batches)
  np.testing.assert_array_equal(result, expected)
  assert (expected.sum(axis=0) == IMAGES // 2).all() and len(np.unique(expected, axis=1).T) > 1


@pytest.mark.parametrize('images, half', [(1, 0), (2, 1), (5, 2), (7, 3)])
def test_half_of_an_odd_batch_is_rounded_down(images, half):
  chosen = [ONE_DEVICE.random_half(jax.random.key(seed), images) for seed in range(40)]
  assert {int(x.sum()) for x in chosen} == {half}
  if half:  # every image is chosen by some seed
    assert np.any(chosen, axis=0).all()


@pytest.mark.parametrize('devices, micro_batches', SHARES)
def test_keys(devices, micro_batches):
  key = jax.random.key(3)

  def draw(x, axis_name=AXIS):
    return jax.random.key_data(GlobalBatch(axis_name, micro_batches).keys(key, len(x)))

  expected = np.asarray(draw(X, None))
  result = on_devices(devices, draw, X, micro_batches=micro_batches)
  np.testing.assert_array_equal(result, expected)
  assert len(np.unique(expected, axis=0)) == IMAGES


@pytest.mark.parametrize('devices', [1, 4, 8])
def test_mix(devices):
  mask = np.random.default_rng(1).random((IMAGES, 2, 3)) < 0.5
  result = on_devices(devices, lambda m, x: mix(m, x, ALL_DEVICES), mask, X)
  np.testing.assert_array_equal(result, np.where(mask, X, np.roll(X, -1, axis=0)))


def test_mix_keeps_the_dtype_and_checks_shapes():
  mask = jnp.ones((2, 3, 4), bool)
  assert mix(mask, jnp.zeros((2, 3, 4, 3), jnp.uint8)).dtype == jnp.uint8
  with pytest.raises(ValueError, match='does not cover'):
    inspect.unwrap(mix)(mask, jnp.zeros((2, 4, 3, 3)))  # without the check of annotations


def test_mean_and_sum():
  x = jnp.arange(4.0)

  def both(x):
    return (ALL_DEVICES.mean(x), ALL_DEVICES.sum(x))

  mean, total = jax.pmap(both, AXIS)(x)
  assert mean.tolist() == [1.5] * 4 and total.tolist() == [6.0] * 4
  assert ONE_DEVICE.mean(x) is x and ONE_DEVICE.sum(x) is x
