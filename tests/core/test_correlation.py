"""Correlations, segments and the highest confidences by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.core.collectives import ALL_DEVICES
from classmix_jax.core.correlation import (
  correlate,
  normalize_range,
  propagate_labels,
  top_confidence,
)
from classmix_jax.types import AXIS


def test_correlation():
  """Four channels: products are divided by 2."""
  query = jnp.array([[[2.0, 0, 0, 0], [0.0, 0, 0, 0]]])
  key = jnp.array([[[np.log(3.0), 5, 0, 0], [0.0, 7, 0, 0]]])
  np.testing.assert_allclose(correlate(query, key)[0], [[0.75, 0.25], [0.5, 0.5]], rtol=1e-5)


def test_equal_values_have_no_range():
  assert normalize_range(jnp.full((2, 1, 2), 0.3)).tolist() == [[[0, 0]], [[0, 0]]]


LABEL = jnp.array([[[1, 1, 1, 0, 0]]])
CONFIDENT = jnp.array([[[True, True, False, False, True]]])
VALID = jnp.ones((1, 1, 5), bool)
# The first four pixels: 3/4 are of class 1, 1/2 are confident. The last two, and the first.
FOUR, LAST, FIRST = [0.3, 0.3, 0.2, 0.2, 0.0], [0.0, 0.0, 0.0, 0.2, 0.8], [1.0, 0, 0, 0, 0]


@pytest.mark.parametrize(
  'rows, threshold, label, reliable',
  [
    ([FOUR], 0.45, [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]),
    ([FOUR], 0.5, [1, 1, 1, 0, 0], [1, 1, 0, 0, 1]),  # 1/2 is not more than 1/2
    ([LAST], 0.9, [1, 1, 1, 0, 0], [1, 1, 0, 0, 1]),  # 0.2 is a quarter: the last one alone
    ([FIRST, FOUR, LAST], 0.45, [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]),
  ],
)
def test_segments(rows, threshold, label, reliable):
  maps = jnp.array(rows)[None, :, None]
  result = propagate_labels(LABEL, CONFIDENT, VALID, maps, threshold, 2)
  assert result[0][0, 0].tolist() == label
  assert result[1][0, 0].tolist() == [bool(x) for x in reliable]


def test_padding_is_in_no_segment():
  """Without the two unconfident pixels every one left is confident and of class 1."""
  valid = jnp.array([[[True, True, False, False, True]]])
  label, reliable = propagate_labels(
    LABEL, CONFIDENT, valid, jnp.array(FOUR)[None, None, None], 0.9, 2
  )
  assert label.tolist() == LABEL.tolist() and reliable.tolist() == CONFIDENT.tolist()


def test_the_last_segment_decides():
  """Fractions are those of the predictions: the second segment has three quarters of class 0."""
  label = jnp.array([[[1, 1, 1, 0, 0, 0, 0]]])
  confident, valid = jnp.ones((1, 1, 7), bool), jnp.ones((1, 1, 7), bool)
  maps = jnp.array([[1.0, 1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, 1, 0]])[None, :, None]
  first, _ = propagate_labels(label, confident, valid, maps, 0.7, 2)
  assert first[0, 0].tolist() == [1, 1, 0, 0, 0, 0, 0]
  second, _ = propagate_labels(label, confident, valid, maps[:, ::-1], 0.7, 2)
  assert second[0, 0].tolist() == [1, 1, 1, 1, 0, 0, 0]


def test_top_confidence_is_that_of_the_global_batch():
  """Class 0 has 0.5 and 0.75 on two devices, class 2 has 0.9; 0.99 is padding."""
  label, confidence = jnp.array([[0, 1], [0, 2]]), jnp.array([[0.5, 0.99], [0.75, 0.9]])
  valid = jnp.array([[True, False], [True, True]])
  result = jax.pmap(
    lambda *arrays: top_confidence(*arrays, 3, ALL_DEVICES), AXIS, devices=jax.devices()[:2]
  )(label, confidence, valid)
  np.testing.assert_allclose(result, [0.825, 0.825], rtol=1e-6)
  assert float(top_confidence(label, confidence, valid & False, 3)) == 0
