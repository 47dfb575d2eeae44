"""Which values are finite, and what is kept if some are not."""

import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.core.finite import all_finite, where_tree


@pytest.mark.parametrize(
  'value, finite',
  [(0.0, True), (3e38, True), (-1e-40, True), (np.inf, False), (-np.inf, False), (np.nan, False)],
)
def test_one_value_decides(value, finite):
  tree = {'a': jnp.ones((3, 2)), 'b': (jnp.zeros(4).at[2].set(value), jnp.array(7))}
  assert bool(all_finite(tree)) is finite


def test_an_empty_tree_is_finite():
  assert bool(all_finite({}))


def test_old_values_come_through_nan():
  new, old = {'a': jnp.array([jnp.nan, 1.0])}, {'a': jnp.array([5.0, 6.0])}
  assert where_tree(jnp.array(False), new, old)['a'].tolist() == [5.0, 6.0]
  assert np.isnan(where_tree(jnp.array(True), new, old)['a'][0])
