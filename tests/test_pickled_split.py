"""Pickled permutations are read without executing a byte of them."""

import os
import pickle

import numpy as np
import pytest

from classmix_jax.pickled_split import labeled_names, read_permutation
from classmix_jax.types import UserError

PERMUTATION = np.random.default_rng(0).permutation(2975)


@pytest.mark.parametrize('protocol', range(6))
@pytest.mark.parametrize('kind', ['int64', 'int32', '>i8', 'uint16', 'list'])
def test_every_protocol_and_type(tmp_path, protocol, kind):
  content = PERMUTATION.tolist() if kind == 'list' else PERMUTATION.astype(kind)
  (tmp_path / 'split.pkl').write_bytes(pickle.dumps(content, protocol))
  order = read_permutation(tmp_path / 'split.pkl')
  assert order.dtype == np.int64
  np.testing.assert_array_equal(order, PERMUTATION)


def test_nothing_is_executed(tmp_path):
  class Hostile:
    def __reduce__(self):
      return os.system, (f'touch {tmp_path}/executed',)

  (tmp_path / 'split.pkl').write_bytes(pickle.dumps([0, 1, Hostile()]))
  read_permutation(tmp_path / 'split.pkl')  # 0, 1 are a permutation; the rest is no number
  (tmp_path / 'only.pkl').write_bytes(pickle.dumps(Hostile()))
  with pytest.raises(UserError, match='holds 0 integers'):
    read_permutation(tmp_path / 'only.pkl')
  assert not (tmp_path / 'executed').exists()


@pytest.mark.parametrize(('content', 'message'), [
    (pickle.dumps([1, 2, 3]), 'no permutation'), (pickle.dumps(np.ones(3)), 'no permutation'),
    (b'aachen/0001\n', 'is no pickle'), (b'', 'is no pickle')])
def test_other_files_are_refused(tmp_path, content, message):
  (tmp_path / 'split.pkl').write_bytes(content)
  with pytest.raises(UserError, match=message):
    read_permutation(tmp_path / 'split.pkl')


def test_missing_file(tmp_path):
  with pytest.raises(UserError, match='split.pkl cannot be read'):
    read_permutation(tmp_path / 'split.pkl')


def test_positions_mean_sorted_names():
  assert labeled_names(['b', 'a', 'c'], np.array([2, 0, 1]), 2) == ['a', 'c']
  with pytest.raises(UserError, match='permutes 2 images, but the data set has 3'):
    labeled_names(['b', 'a', 'c'], np.array([1, 0]), 1)
  with pytest.raises(UserError, match='--labeled=4'):
    labeled_names(['b', 'a', 'c'], np.array([2, 0, 1]), 4)
