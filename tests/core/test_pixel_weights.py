"""Pixel weights by hand, and the confident share of the global batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.core.collectives import ALL_DEVICES
from classmix_jax.core.pixel_weights import WEIGHTS, confident_share, sigmoid_ramp
from classmix_jax.types import AXIS

CONFIDENCE = jnp.array([[[0.9, 0.5], [0.968, 0.1]]])
VALID = jnp.array([[[True, True], [True, False]]])
PROGRESS = jnp.array(0.5)
EXPECTED = {
  'threshold_uniform': np.full((1, 2, 2), 1 / 3),  # one of three valid pixels
  'threshold': np.array([[[0, 0], [1, 0]]]),  # the threshold itself counts
  'sigmoid': np.full((1, 2, 2), np.exp(-5 * 0.25)),
  'ones': np.ones((1, 2, 2)),
}


@pytest.mark.parametrize('name', WEIGHTS)
def test_by_hand(name):
  arguments = CONFIDENCE, VALID, PROGRESS, 0.968
  weight = WEIGHTS[name](*arguments)
  assert weight.dtype == jnp.float32 and weight.shape == CONFIDENCE.shape
  np.testing.assert_allclose(weight, EXPECTED[name], rtol=1e-6)
  np.testing.assert_allclose(jax.jit(WEIGHTS[name])(*arguments), weight, rtol=1e-6)


def test_sigmoid_ramp_ends_at_one():
  values = [float(sigmoid_ramp(jnp.array(t))) for t in (0.0, 0.25, 1.0, 2.0)]
  np.testing.assert_allclose(values, [np.exp(-5), np.exp(-5 * 0.75**2), 1, 1], rtol=1e-6)


def test_confident_share_is_global():
  """Devices with 3, 1, 0 and 2 valid pixels, of which 2, 0, 0 and 1 are confident."""
  confidence = jnp.array([[0.9, 0.8, 0.1], [0.2, 0.9, 0.9], [0.9, 0.9, 0.9], [0.9, 0.1, 0.9]])
  valid = jnp.array([[1, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 0]], bool)
  share = jax.pmap(lambda c, v: confident_share(c, v, 0.5, ALL_DEVICES), AXIS)(confidence, valid)
  np.testing.assert_allclose(share, np.full(4, 3 / 6))


def test_nothing_valid_is_share_zero():
  assert float(confident_share(jnp.ones((2, 2)), jnp.zeros((2, 2), bool), 0.5)) == 0.0
