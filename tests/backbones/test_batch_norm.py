"""Batch normalisation by hand: global statistics, and torch's running variance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.backbones.layers import batch_norm
from classmix_jax.types import AXIS

VALUES = np.array([1.0, 2.0, 3.0, 6.0], np.float32)  # mean 3, squared distances 4 + 1 + 0 + 9
VARIABLES = {
    'params': {'scale': np.full(1, 2.0), 'bias': np.full(1, 1.0)},
    'batch_stats': {'mean': np.full(1, -1.0), 'var': np.full(1, 2.0)}}


@pytest.mark.parametrize('devices', [1, 2])
def test_training(devices):
  layer = batch_norm(train=True, bn='batch', dtype=jnp.float32, name='bn')
  run = lambda x: layer.apply(VARIABLES, x, mutable=['batch_stats'])
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
  run = lambda x: layer.apply(VARIABLES, x, mutable=['batch_stats'])[1]['batch_stats']['var']
  var = jax.vmap(run, axis_name=AXIS)(jnp.full((1, 1, 1, 1, 1), 5.0))
  np.testing.assert_allclose(var, [[0.9 * 2]])
