"""Evaluation counts every valid pixel once, on any number of devices, and adds up in int64."""

import jax
import numpy as np
import pytest
import small

from classmix_jax.evaluation.eval_step import evaluate, make_count, predict, summarize
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
  result = evaluate(count, variables, [sharded, sharded], small.CLASSES)
  np.testing.assert_array_equal(result, 2 * expected)
  assert result.dtype == np.int64 and len(np.unique(prediction)) > 1


def test_sums_leave_int32():
  def count(variables, example):
    return np.array([[2**31 - 1, 1], [0, 2**24 + 1]], np.int32)

  result = evaluate(count, None, range(5), 2)
  assert result.tolist() == [[5 * (2**31 - 1), 5], [0, 5 * (2**24 + 1)]]


def test_summary_by_hand():
  confusion = np.array([[2, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
  summary = summarize(confusion, ('a', 'b', 'predicted', 'absent'))
  assert summary['iou'] == pytest.approx({'a': 2 / 3, 'b': 1 / 3, 'predicted': 0.0, 'absent': None})
  assert summary['miou'] == pytest.approx(1 / 3)
  assert summary['miou_all_classes'] == pytest.approx(1 / 4)
  assert summary['classes_present'] == 2 and summary['pixels'] == 5
