"""Every tensor is reported; another network is refused, a head for other classes is not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.errors import UserError
from classmix_jax.pretrained.layouts.layout import NATIVE
from classmix_jax.pretrained.load import Weights, flatten_arrays
from classmix_jax.pretrained.matching import (
  MatchResult,
  check_backbone,
  compare,
  compute_matched_fraction,
  copy_matching,
  fits_exactly,
  format_report,
)

CLASS_NAMES = frozenset({'head/conv/kernel', 'head/conv/bias'})


def network(value, classes=3, convolutions=10, width=2):
  params = {
    'backbone': {f'conv{i}': {'kernel': jnp.full((1, width), value)} for i in range(convolutions)},
    'head': {'conv': {'kernel': jnp.full((classes, 2), value), 'bias': jnp.full(classes, value)}},
  }
  return {'params': params, 'batch_stats': {'backbone': {'bn': {'mean': jnp.full(4, value)}}}}


def as_weights(tree):
  return Weights('RUN', flatten_arrays(tree), NATIVE, '', '', '')


def copy_and_check(tree, other):
  """Copies and checks; returns the tree, the report and whether everything fits."""
  merged, result = copy_matching(tree, as_weights(other))
  check_backbone(result, NATIVE, 'config.model.pretrained=RUN')
  return merged, format_report(result, NATIVE, 'RUN'), fits_exactly(result, NATIVE, CLASS_NAMES)


def values(tree):
  return {leaf.ravel()[0].item() for leaf in jax.tree.leaves(tree)}


def test_compare_reports_every_name():
  actual = {'a': (1,), 'b': (2,), 'c': (3,), 'bn.num_batches_tracked': ()}
  result = compare(actual, {'a': (1,), 'b': (4,), 'd': (5,)})
  assert result == MatchResult(
    ('a',), ('d',), ('c',), (('b', (2,), (4,)),), ('bn.num_batches_tracked',)
  )
  assert format_report(result, NATIVE, 'FILE') == '\n'.join(
    [
      'FILE: matched 1 of 3 tensors',
      '  missing      1: d',
      '  unexpected   1: c',
      '  wrong shape  1: b [2], expected [4]',
      '  ignored      1 num_batches_tracked, which have no effect',
    ]
  )
  assert compute_matched_fraction(result) == 1 / 3


def test_everything_fits():
  merged, text, exact = copy_and_check(network(0.0), network(1.0))
  assert values(merged) == {1.0} and text == 'RUN: matched 13 of 13 tensors' and exact
  assert jax.tree.structure(merged) == jax.tree.structure(network(0.0))


def test_a_head_for_other_classes_stays():
  merged, text, exact = copy_and_check(network(0.0, classes=5), network(1.0))
  assert values(merged['params']['backbone']) == {1.0} and exact
  assert values(merged['params']['head']) == {0.0}
  assert 'matched 11 of 13' in text and 'the head is for 3 classes, not for 5' in text
  assert merged['params']['head']['conv']['kernel'].shape == (5, 2)


def test_no_head_at_all():
  other = network(1.0)
  del other['params']['head']
  _, text, exact = copy_and_check(network(0.0), other)
  assert 'the file has no such head: it is initialized from scratch' in text and exact


def test_one_in_twenty_may_be_missing():
  merged, text, exact = copy_and_check(network(0.0, convolutions=20), network(1.0, convolutions=19))
  assert float(merged['params']['backbone']['conv19']['kernel'][0, 0]) == 0.0
  assert 'missing      1: backbone/conv19/kernel' in text and not exact


@pytest.mark.parametrize('change', ['missing', 'reshaped', 'classes'])
def test_half_a_head_does_not_fit_exactly(change):
  other = network(1.0)
  head = other['params']['head']['conv']
  if change == 'missing':
    del head['bias']
  elif change == 'reshaped':
    head['kernel'] = jnp.ones((3, 4))
  else:
    head['bias'] = jnp.ones(4)
  assert not copy_and_check(network(0.0), other)[2]


@pytest.mark.parametrize(
  'other',
  [network(1.0, convolutions=8), network(1.0, width=3), {}, network(1.0, convolutions=20)],
  ids=['smaller', 'wider', 'nothing', 'larger'],
)
def test_another_network_is_refused(other):
  with pytest.raises(UserError, match='RUN contains another network: .* at least 90 % must'):
    copy_and_check(network(0.0), other)


def test_numpy_arrays_will_do():
  assert values(copy_and_check(network(0.0), jax.tree.map(np.asarray, network(1.0)))[0]) == {1.0}
