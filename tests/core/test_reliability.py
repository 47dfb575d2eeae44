"""Reliability by hand: bins and their edges, void, empty bins, thresholds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.core.reliability import (
  NUM_BINS,
  calibration_curve,
  calibration_error,
  confidence_counts,
  confident_precision,
)
from classmix_jax.types import VOID

CONFIDENCE = jnp.array([[1.0, 0.968, 0.9679], [0.25, 0.9999, 0.0]])
PREDICTION = jnp.array([[0, 1, 2], [1, 1, 0]])
LABEL = jnp.array([[0, 0, 2], [1, VOID, 1]], jnp.uint8)


def test_counts_by_hand():
  """The first row counts wrong pixels; a confidence of 1 belongs to the last bin."""
  expected = np.zeros((2, NUM_BINS), int)
  expected[0, [968, 0]] = 1
  expected[1, [NUM_BINS - 1, 967, 250]] = 1
  for count in (confidence_counts, jax.jit(confidence_counts)):
    counts = count(CONFIDENCE, PREDICTION, LABEL)
    np.testing.assert_array_equal(counts, expected)
    assert counts.dtype == jnp.int32


def test_confidences_above_one_by_rounding_count():
  counts = confidence_counts(jnp.array([1.0000001]), jnp.array([1]), jnp.array([1]))
  assert counts[1, -1] == 1 and counts.sum() == 1


def test_precision_and_share_by_hand():
  counts = np.asarray(confidence_counts(CONFIDENCE, PREDICTION, LABEL))
  assert confident_precision(counts, 0.968) == (1 / 2, 2 / 5)
  assert confident_precision(counts, 0.967) == (2 / 3, 3 / 5)
  assert confident_precision(counts, 0.0) == (3 / 5, 1.0)  # the accuracy
  assert confident_precision(counts, 1.0) == (None, 0.0)
  assert confident_precision(np.zeros((2, NUM_BINS), int), 0.5) == (None, 0.0)


@pytest.mark.parametrize('threshold', [0.9, 0.95, 0.968, 0.97, 0.123])
def test_a_pixel_at_the_threshold_is_confident(threshold):
  one = jnp.array([threshold], jnp.float32)
  counts = np.asarray(confidence_counts(one, jnp.array([1]), jnp.array([1])))
  assert confident_precision(counts, threshold) == (1.0, 1.0)


def test_calibrated_pixels_have_no_error():
  """In every bin the fraction of correct pixels is the confidence."""
  pixels = np.full(20, 2 * NUM_BINS)
  correct = np.round(pixels * (np.arange(20) + 0.5) / 20).astype(int)
  counts = np.stack([pixels - correct, correct])
  assert calibration_error(counts) == pytest.approx(0, abs=1e-12)
  curve = calibration_curve(counts)
  np.testing.assert_allclose(curve[:, 0], curve[:, 1])
  np.testing.assert_allclose(curve[:, 2], 1 / 20)


def test_no_pixels():
  counts = np.zeros((2, NUM_BINS), int)
  assert calibration_curve(counts).shape == (0, 3) and calibration_error(counts) == 0


def test_exact_beyond_float32():
  label = jnp.zeros(2**24 + 3, jnp.uint8)
  counts = confidence_counts(jnp.full(label.shape, 0.5), label, label)
  assert int(counts[1, 500]) == 2**24 + 3


def test_shapes_that_differ():
  with pytest.raises(ValueError, match='differ'):
    confidence_counts(CONFIDENCE, PREDICTION, LABEL[0])
