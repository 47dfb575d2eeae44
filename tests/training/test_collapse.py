"""Statistics of the pseudo-labels in rows, and when a collapse is reported."""

import pytest
from toy import assert_says

from classmix_jax.training.collapse import CollapseMonitor, count_present

LABELED = [0.5, 0.3, 0.2]
ALONE = [0.0005, 0.999, 0.0005]


def read(monitor, pseudo, labeled=LABELED):
  return monitor.read({'loss/sup': 1.0, 'pseudo_shares': pseudo, 'labeled_shares': labeled})


def test_a_thousandth_counts():
  assert count_present([0.001, 0.0009, 0.9981, 0.0]) == 2


def test_a_row():
  row, warning = read(CollapseMonitor('abc'), [0.6, 0.4, 0.0])
  assert row == {'loss/sup': 1.0, 'pseudo_classes': 2, 'pseudo_largest_share': 0.6}
  assert warning == ''


def test_a_collapse_is_reported_once_in_a_sentence():
  monitor = CollapseMonitor(('road', 'sky', 'car'))
  warnings = [read(monitor, ALONE)[1] for _ in range(4)]
  assert [bool(warning) for warning in warnings] == [False, True, False, False]
  assert_says(
    warnings[1],
    "99.90 % of the pseudo-labels are 'sky'",
    'have 3 classes',
    'collapsed',
    'learning_rate',
  )
  read(monitor, LABELED)
  assert [bool(read(monitor, ALONE)[1]) for _ in range(2)] == [False, True]


@pytest.mark.parametrize(
  'pseudo, labeled',
  [
    (ALONE, [0, 1.0, 0]),  # there is one class
    ([0.0, 0.0, 0.0], LABELED),  # there are no pseudo-labels in this stage
    ([0.002, 0.997, 0.001], LABELED),
  ],
)
def test_no_collapse(pseudo, labeled):
  monitor = CollapseMonitor('abc')
  assert [read(monitor, pseudo, labeled)[1] for _ in range(3)] == [''] * 3


def test_methods_without_pseudo_labels():
  assert CollapseMonitor('ab').read({'loss/sup': 1.0}) == ({'loss/sup': 1.0}, '')
