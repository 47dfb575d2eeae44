"""Whether a training is healthy: what its pseudo-labels show, and a warning in words.

Synopsis:

    health = Health(('road', 'car'))
    row, warning = health.read({'pseudo_shares': [0.9997, 0.0003], 'labeled_shares': [0.7, 0.3]})
    row['pseudo_classes']     # 1
"""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

import numpy as np

PRESENT = 0.001  # share of the pixels from which on a class counts as there
PATIENCE = 2  # rows: a network that starts from scratch sees one class at first


def count_present(shares: Sequence[float]) -> int:
  """Returns how many classes hold at least a thousandth of the pixels.

  Example:
    >>> count_present([0.9, 0.0995, 0.0005])
    2
  """
  return int(np.sum(np.asarray(shares) >= PRESENT))


@dataclasses.dataclass
class Health:
  """Turns the shares of the classes into numbers to log, and watches for a collapse.

  Attributes:
    class_names: name of class 0, 1, ...
    alone: how many rows in a row pseudo-labels had one class and labels had more.
  """

  class_names: Sequence[str]
  alone: int = 0

  def read(self, row: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Returns the row to write, and a warning, '' where there is none.

    Args:
      row: means over some steps; `pseudo_shares` and `labeled_shares` are `[C]`, or missing where
        the method has no pseudo-labels.
    """
    row = dict(row)
    pseudo, labeled = (row.pop(f'{kind}_shares', None) for kind in ('pseudo', 'labeled'))
    if pseudo is None or not sum(pseudo):
      return row, ''
    row['pseudo_classes'], row['pseudo_largest_share'] = count_present(pseudo), max(pseudo)
    lost = row['pseudo_classes'] == 1 and count_present(labeled) > 1
    self.alone = self.alone + 1 if lost else 0
    if self.alone != PATIENCE:
      return row, ''
    return row, (
      f"{100 * max(pseudo):.2f} % of the pseudo-labels are '"
      f"{self.class_names[int(np.argmax(pseudo))]}', but the labelled images of the same steps "
      f'show {count_present(labeled)} classes: the training has collapsed onto one class. If '
      'this stays, label more images of the others, lower config.optim.learning_rate, or '
      'raise the threshold of the method.'
    )
