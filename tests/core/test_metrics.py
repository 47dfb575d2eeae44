"""Counts by hand: void, invalid labels, absent classes, more pixels than float32 holds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.core.metrics import confusion_matrix, iou, mean_iou
from classmix_jax.types import VOID

PREDICTION = jnp.array([[0, 1, 2], [1, 1, 0]])
LABEL = jnp.array([[0, 1, 1], [VOID, 0, 0]], jnp.uint8)
CONFUSION = [[2, 1, 0], [0, 1, 1], [0, 0, 0]]


def test_confusion_by_hand():
  result = confusion_matrix(PREDICTION, LABEL, 3)
  assert result.tolist() == CONFUSION and result.dtype == jnp.int32
  counted = jax.jit(confusion_matrix, static_argnums=2)(PREDICTION, LABEL, 3)
  np.testing.assert_array_equal(counted, CONFUSION)


def test_labels_beyond_the_classes_count_nowhere():
  """A label of C must not be clamped to C - 1, nor wrap into another row."""
  result = confusion_matrix(jnp.array([0, 1, 2, 2]), jnp.array([3, 4, 254, 2], jnp.uint8), 3)
  assert result.tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 1]]


def test_all_void_counts_nothing():
  assert int(confusion_matrix(PREDICTION, jnp.full((2, 3), VOID), 3).sum()) == 0


def test_shapes_that_differ():
  with pytest.raises(ValueError, match='differ'):
    confusion_matrix(PREDICTION, LABEL[0], 3)


def test_iou_by_hand():
  """Class 2 is predicted once and never true: its IoU is 0. Class 3 is neither: NaN."""
  confusion = np.zeros((4, 4), np.int64)
  confusion[:3, :3] = CONFUSION
  np.testing.assert_allclose(iou(confusion), [2 / 3, 1 / 3, 0, np.nan])
  np.testing.assert_allclose(mean_iou(confusion), 1 / 3)


def test_nothing_counted_is_nan():
  assert np.isnan(mean_iou(np.zeros((3, 3), np.int64)))


def test_exact_beyond_float32():
  """2^24 + 1 has no float32; sums of int32 batches may leave int32."""
  total = np.zeros((2, 2), np.int64)
  for pixels in (2**24, 1, 2**31 - 1, 2**31 - 1):
    total += np.asarray(jnp.array([[pixels, 0], [0, 1]], jnp.int32), np.int64)
  assert total[0, 0] == 2**24 + 1 + 2 * (2**31 - 1)
  assert iou(total).tolist() == [1.0, 1.0]


def test_many_pixels_in_one_call_are_exact():
  """One cell holds more than 2^24 pixels: a float32 count would stop there."""
  label = jnp.zeros(2**24 + 3, jnp.uint8)
  assert int(confusion_matrix(label, label, 2)[0, 0]) == 2**24 + 3
