"""The global batch looks the same from any number of devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.core import collectives
from classmix_jax.core.mixing import mix
from classmix_jax.types import AXIS

IMAGES = 8
X = np.random.default_rng(0).random((IMAGES, 2, 3)).astype(np.float32)


def on_devices(devices, function, *arrays):
  shards = [x.reshape((devices, IMAGES // devices) + x.shape[1:]) for x in arrays]
  found = jax.pmap(function, AXIS, devices=jax.devices()[:devices])(*shards)
  return np.asarray(found).reshape((IMAGES,) + found.shape[2:])


@pytest.mark.parametrize('devices', [1, 2, 4, 8])
def test_next_image(devices):
  found = on_devices(devices, lambda x: collectives.next_image(x, AXIS), X)
  np.testing.assert_array_equal(found, np.roll(X, -1, axis=0))
  np.testing.assert_array_equal(collectives.next_image(jnp.asarray(X)), np.roll(X, -1, axis=0))


@pytest.mark.parametrize('devices', [1, 2, 4, 8])
def test_example_keys(devices):
  key = jax.random.key(3)
  def draw(x, axis_name=AXIS):
    keys = collectives.example_keys(key, x.shape[0], axis_name)
    return jax.random.key_data(keys)
  expected = np.asarray(draw(X, None))
  np.testing.assert_array_equal(on_devices(devices, draw, X), expected)
  assert len(np.unique(expected, axis=0)) == IMAGES


@pytest.mark.parametrize('devices', [1, 4, 8])
def test_mix(devices):
  mask = np.random.default_rng(1).random((IMAGES, 2, 3)) < 0.5
  found = on_devices(devices, lambda m, x: mix(m, x, AXIS), mask, X)
  np.testing.assert_array_equal(found, np.where(mask, X, np.roll(X, -1, axis=0)))


def test_mix_keeps_the_dtype_and_checks_shapes():
  mask = jnp.ones((2, 3, 4), bool)
  assert mix(mask, jnp.zeros((2, 3, 4, 3), jnp.uint8)).dtype == jnp.uint8
  with pytest.raises(ValueError, match='does not cover'):
    mix(mask, jnp.zeros((2, 4, 3, 3)))


def test_mean_and_sum():
  x = jnp.arange(4.0)
  both = lambda x: (collectives.mean_over_devices(x, AXIS), collectives.sum_over_devices(x, AXIS))
  mean, total = jax.pmap(both, AXIS)(x)
  assert mean.tolist() == [1.5] * 4 and total.tolist() == [6.0] * 4
  assert collectives.mean_over_devices(x) is x and collectives.sum_over_devices(x) is x
