"""Warns if pseudo-labels collapse onto one class.

Synopsis:

    monitor = CollapseMonitor(('road', 'car'))
    row, warning = monitor.read({'pseudo_shares': [0.9997, 0.0003], 'labeled_shares': [0.7, 0.3]})
    row['pseudo_classes']     # 1
"""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

import numpy as np

PRESENT = 0.001  # fraction of the pixels from which on a class counts as present
PATIENCE = 2  # rows before the warning: a network from scratch predicts one class at first


def count_present(shares: Sequence[float]) -> int:
  """Returns how many classes have at least a thousandth of the pixels.

  Example:
    >>> count_present([0.9, 0.0995, 0.0005])
    2
  """
  return int(np.sum(np.asarray(shares) >= PRESENT))


@dataclasses.dataclass
class CollapseMonitor:
  """Summarizes the class fractions of pseudo-labels and detects a collapse.

  Attributes:
    class_names: name of class 0, 1, ...
    collapsed_rows: consecutive rows whose pseudo-labels had one class while labels had more.
  """

  class_names: Sequence[str]
  collapsed_rows: int = 0

  def read(self, row: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Replaces class fractions by numbers to log.

    Args:
      row: means over some steps; `pseudo_shares` and `labeled_shares` are `[C]`, or missing if the
        method has no pseudo-labels.

    Returns:
      The row to write, and a warning, '' if there is no collapse.
    """
    row = dict(row)
    pseudo, labeled = (row.pop(f'{kind}_shares', None) for kind in ('pseudo', 'labeled'))
    if pseudo is None or not sum(pseudo):
      return row, ''
    row['pseudo_classes'], row['pseudo_largest_share'] = count_present(pseudo), max(pseudo)
    collapsed = row['pseudo_classes'] == 1 and count_present(labeled) > 1
    self.collapsed_rows = self.collapsed_rows + 1 if collapsed else 0
    if self.collapsed_rows != PATIENCE:
      return row, ''
    return row, (
      f"{100 * max(pseudo):.2f} % of the pseudo-labels are '"
      f"{self.class_names[int(np.argmax(pseudo))]}', but the labelled images of the same steps "
      f'have {count_present(labeled)} classes: the pseudo-labels have collapsed onto one class. '
      'If this persists, label more images of the others, lower config.optim.learning_rate, or '
      'raise the threshold of the method.'
    )
