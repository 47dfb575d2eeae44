"""Batch normalisation by hand: global statistics, and torch's running variance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.models.layers.batch_norm import batch_norm, normalize_separately
from classmix_jax.types import AXIS

VALUES = np.array([1.0, 2.0, 3.0, 6.0], np.float32)  # mean 3, squared distances 4 + 1 + 0 + 9
VARIABLES = {
  'params': {'scale': np.full(1, 2.0), 'bias': np.full(1, 1.0)},
  'batch_stats': {'mean': np.full(1, -1.0), 'var': np.full(1, 2.0)},
}


@pytest.mark.parametrize('devices', [1, 2])
def test_training(devices):
  layer = batch_norm(train=True, bn='batch', dtype=jnp.float32, name='bn')

  def run(x):
    return layer.apply(VARIABLES, x, mutable=['batch_stats'])

  shared = jax.vmap(run, axis_name=AXIS, out_axes=(0, None))
  y, updated = shared(VALUES.reshape(devices, -1, 1, 1, 1))
  # Normalised by 14 / 4, remembered as 14 / 3.
  np.testing.assert_allclose(y.ravel(), 2 * (VALUES - 3) / np.sqrt(3.5 + 1e-5) + 1, rtol=1e-5)
  statistics = updated['batch_stats']
  np.testing.assert_allclose(statistics['mean'], [0.9 * -1 + 0.1 * 3], rtol=1e-5)
  np.testing.assert_allclose(statistics['var'], [0.9 * 2 + 0.1 * 14 / 3], rtol=1e-5)


@pytest.mark.parametrize('train, bn', [(True, 'running'), (False, 'batch'), (False, 'running')])
def test_running_statistics_stay(train, bn):
  layer = batch_norm(train=train, bn=bn, dtype=jnp.float32, name='bn')
  y, updated = layer.apply(VARIABLES, VALUES.reshape(4, 1, 1, 1), mutable=['batch_stats'])
  np.testing.assert_allclose(y.ravel(), 2 * (VALUES + 1) / np.sqrt(2 + 1e-5) + 1, rtol=1e-5)
  assert updated in ({}, {'batch_stats': VARIABLES['batch_stats']})


def test_a_single_value_has_no_variance():
  layer = batch_norm(train=True, bn='batch', dtype=jnp.float32, name='bn')

  def run(x):
    return layer.apply(VARIABLES, x, mutable=['batch_stats'])[1]['batch_stats']['var']

  var = jax.vmap(run, axis_name=AXIS)(jnp.full((1, 1, 1, 1, 1), 5.0))
  np.testing.assert_allclose(var, [[0.9 * 2]])


@pytest.mark.parametrize('devices', [1, 2])
def test_parts_of_a_batch_are_normalised_apart(devices):
  """One image and then two, of two values each, on every device."""
  layer = batch_norm(train=True, bn='batch', dtype=jnp.float32, name='bn')
  x = np.random.default_rng(0).normal(size=(devices, 3, 1, 2, 1)).astype(np.float32)

  def together(x):
    with normalize_separately([1, 2]):
      return layer.apply(VARIABLES, x, mutable=['batch_stats'])

  def in_turn(x):
    first, between = layer.apply(VARIABLES, x[:1], mutable=['batch_stats'])
    second, after = layer.apply({**VARIABLES, **between}, x[1:], mutable=['batch_stats'])
    return jnp.concatenate([first, second]), after

  actual, expected = (
    jax.vmap(run, axis_name=AXIS, out_axes=(0, None))(x) for run in (together, in_turn)
  )
  jax.tree.map(
    lambda *pair: np.testing.assert_allclose(*pair, rtol=1e-5, atol=1e-6), actual, expected
  )
  # The first part's two values v and w of one device: (v - w) / 2 over its own deviation.
  if devices == 1:
    half = (x[0, 0, 0, 0, 0] - x[0, 0, 0, 1, 0]) / 2
    np.testing.assert_allclose(
      actual[0][0, 0, 0, 0, 0], 2 * half / np.sqrt(half**2 + 1e-5) + 1, rtol=1e-4
    )
