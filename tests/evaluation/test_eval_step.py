"""Evaluation counts every valid pixel once, on any number of devices, and adds up in int64."""

import jax
import numpy as np
import pytest
import small

from classmix_jax.evaluation.eval_step import Counts, evaluate, make_count, predict, summarize
from classmix_jax.types import VOID


@pytest.mark.parametrize('devices', [1, 4])
def test_count_is_numpys_count(devices):
  method, state = small.method('supervised'), small.start('supervised')
  variables = method.networks(state)['student']
  example = small.batch().labeled
  prediction = np.asarray(
    jax.jit(lambda v, x: predict(method.model, v, x).argmax(-1))(variables, example.image)
  )
  counted = example.valid & (example.label != VOID)
  expected = np.zeros((small.CLASSES, small.CLASSES), np.int64)
  np.add.at(expected, (example.label[counted], prediction[counted]), 1)

  count = make_count(method.model, small.CLASSES, jax.devices()[:devices])
  sharded = jax.tree.map(lambda x: x.reshape((devices, -1) + x.shape[1:]), example)
  result = evaluate(count, variables, [sharded, sharded])
  np.testing.assert_array_equal(result.confusion, 2 * expected)
  assert result.confusion.dtype == np.int64 and len(np.unique(prediction)) > 1
  correct = np.trace(result.confusion)
  assert result.confidence.sum(axis=1).tolist() == [result.confusion.sum() - correct, correct]
  assert result.confidence.dtype == np.int64


def test_sums_leave_int32():
  def count(variables, example):
    pixels = np.array([[2**31 - 1, 1], [0, 2**24 + 1]], np.int32)
    return Counts(pixels, pixels.T)

  expected = [[5 * (2**31 - 1), 5], [0, 5 * (2**24 + 1)]]
  result = evaluate(count, None, range(5))
  assert result.confusion.tolist() == expected
  assert result.confidence.T.tolist() == expected


def test_summary_by_hand():
  confusion = np.array([[2, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
  confidence = np.zeros((2, 20), int)
  confidence[:, 19], confidence[:, 0] = (1, 3), (1, 0)
  counts = Counts(confusion, confidence)
  summary = summarize(counts, ('a', 'b', 'predicted', 'absent'), threshold=0.95)
  assert summary['iou'] == pytest.approx({'a': 2 / 3, 'b': 1 / 3, 'predicted': 0.0, 'absent': None})
  assert summary['miou'] == pytest.approx(1 / 3)
  assert summary['miou_all_classes'] == pytest.approx(1 / 4)
  assert summary['classes_present'] == 2 and summary['pixels'] == 5
  reliability = summary['reliability']
  assert (reliability['threshold'], reliability['precision'], reliability['share']) == (
    0.95,
    3 / 4,
    4 / 5,
  )
  # Bins have the centers 0.025 and 0.975: 1/5 * 0.025 + 4/5 * (0.975 - 3/4).
  assert reliability['calibration_error'] == pytest.approx(0.185)
  assert np.allclose(reliability['curve'], [[0.025, 0, 0.2], [0.975, 0.75, 0.8]])
