"""The teacher's average: its decay at the steps that matter, and one update by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.core.ema import ema_decay, ema_update, relative_distance


@pytest.mark.parametrize(
  'step, decay',
  [(0, 0.0), (1, 0.5), (2, 2 / 3), (98, 98 / 99), (99, 0.99), (100, 0.99), (40_000, 0.99)],
)
def test_decay(step, decay):
  np.testing.assert_allclose(ema_decay(jnp.array(step)), decay, rtol=1e-6)


def test_other_largest_decay():
  np.testing.assert_allclose(ema_decay(jnp.array([1, 1000]), 0.4), [0.4, 0.4], rtol=1e-6)


def test_update_by_hand():
  student = {'a': jnp.array([1.0, 2.0]), 'b': {'c': jnp.array(4.0)}}
  teacher = {'a': jnp.array([3.0, 2.0]), 'b': {'c': jnp.array(0.0)}}
  result = ema_update(student, teacher, jnp.array(0.75))
  np.testing.assert_allclose(result['a'], [2.5, 2.0])
  np.testing.assert_allclose(result['b']['c'], 1.0)


def test_decay_zero_copies_the_student():
  result = ema_update({'a': jnp.array([0.1])}, {'a': jnp.array([7.0])}, ema_decay(jnp.array(0)))
  np.testing.assert_array_equal(result['a'], np.float32([0.1]))


def test_distance_by_hand():
  """sqrt(2^2 + 1^2) over sqrt(3^2 + 4^2)."""
  student = {'a': jnp.array([3.0, 0.0]), 'b': {'c': jnp.array(4.0)}}
  teacher = {'a': jnp.array([1.0, 0.0]), 'b': {'c': jnp.array(5.0)}}
  np.testing.assert_allclose(relative_distance(teacher, student), np.sqrt(5) / 5, rtol=1e-6)
  assert float(relative_distance(student, student)) == 0
  nothing = {'a': jnp.zeros(2)}
  assert np.isfinite(relative_distance(nothing, nothing))
