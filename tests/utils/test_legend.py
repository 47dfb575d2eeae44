"""Entries of legends by the pixel: they do not overlap, and their names differ."""

import itertools

import numpy as np
import pytest

from classmix_jax.utils.legend import MAX_NAME, Legend


def overlap(first, second):
  return (
    first.left < second.right
    and second.left < first.right
    and first.top < second.bottom
    and second.top < first.bottom
  )


@pytest.mark.parametrize('width', [100, 250, 640, 1280])
def test_120_classes_are_told_apart(width):
  names = [f'species number {number}' for number in range(120)]
  legend = Legend(names, [(0, 0, 0)] * 120, (9, 9, 9), padding=np.zeros((10, 10, 3), np.uint8))
  assert legend.names == [*names, 'void', 'padding']
  width = max(width, legend.least_width())
  boxes = legend.boxes(width)
  assert not any(overlap(*pair) for pair in itertools.combinations(boxes, 2))
  assert min(box.left for box in boxes) == 0 and max(box.right for box in boxes) <= width
  assert max(box.bottom for box in boxes) == legend.height(width) <= 500


def test_long_names_stay_distinguishable():
  start = 'a name that is by far too long for any legend, whose end alone tells it from others, '
  legend = Legend([f'{start} {number}' for number in range(20)], [(0, 0, 0)] * 20)
  assert len(set(legend.names)) == 20 and legend.least_width() < MAX_NAME + 60


def test_no_classes_have_no_legend():
  legend = Legend((), ())
  assert legend.height(100) == legend.least_width() == 0
