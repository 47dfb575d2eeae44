"""Taking over weights: every array is accounted for, and another network is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.pretrained import merge
from classmix_jax.types import UserError


def network(value, classes=3, convolutions=10, width=2):
  return {
      'backbone': {f'conv{i}': {'kernel': jnp.full((1, width), value)}
                   for i in range(convolutions)},
      'head': {'conv': {'kernel': jnp.full((2, classes), value), 'bias': jnp.full(classes, value)}},
  }


def values(tree):
  return {leaf.ravel()[0].item() for leaf in jax.tree.leaves(tree)}


def test_everything_fits():
  merged, report = merge(network(0.0), network(1.0))
  assert values(merged) == {1.0} and report == 'matched 12 of 12 arrays'
  assert jax.tree.structure(merged) == jax.tree.structure(network(0.0))


def test_a_head_for_other_classes_stays():
  tree = network(0.0, classes=5)
  merged, report = merge(tree, network(1.0))
  assert values(merged['backbone']) == {1.0} and values(merged['head']) == {0.0}
  assert report == 'matched 10 of 12 arrays; not taken: head/conv/bias, head/conv/kernel'
  assert merged['head']['conv']['kernel'].shape == (2, 5)


def test_one_in_twenty_may_be_missing():
  merged, report = merge(network(0.0, convolutions=20), network(1.0, convolutions=19))
  assert float(merged['backbone']['conv19']['kernel'][0, 0]) == 0.0
  assert report == 'matched 21 of 22 arrays; not taken: backbone/conv19/kernel'


@pytest.mark.parametrize('other', [network(1.0, convolutions=8), network(1.0, width=3), {}])
def test_another_network_is_refused(other):
  with pytest.raises(UserError, match='holds another network: matched .* of 12 arrays'):
    merge(network(0.0), other)


def test_numpy_arrays_will_do():
  merged, _ = merge(network(0.0), jax.tree.map(np.asarray, network(1.0)))
  assert values(merged) == {1.0}
