"""Condenses a confusion matrix: fractions of true classes, and the most confused pairs.

Synopsis:

    counts = run.confusion()           # pixels [truth][prediction]
    confusion_fractions(counts)[0][1]
    most_confused(counts)[0].pixels
"""

from collections.abc import Sequence
from typing import NamedTuple

MOST = 12  # pairs of classes in the list


def confusion_fractions(counts: Sequence[Sequence[int]]) -> list[list[float]]:
  """Divides each row of a confusion matrix by its sum; rows of zeros stay.

  Example:
    >>> confusion_fractions([[3, 1], [0, 0]])
    [[0.75, 0.25], [0.0, 0.0]]
  """
  return [[count / max(sum(row), 1) for count in row] for row in counts]


class Confusion(NamedTuple):
  """Pixels of a class that are predicted as another.

  Attributes:
    truth, prediction: class ids.
    pixels: their number.
    fraction: of the pixels of the true class.
  """

  truth: int
  prediction: int
  pixels: int
  fraction: float


def most_confused(counts: Sequence[Sequence[int]], most: int = MOST) -> list[Confusion]:
  """Returns the pairs of different classes with the most pixels, the largest first.

  Args:
    counts: pixels [truth][prediction].
    most: number of pairs.

  Example:
    >>> [pair[:3] for pair in most_confused([[3, 1], [2, 0]])]
    [(1, 0, 2), (0, 1, 1)]
  """
  pairs = [
    Confusion(truth, prediction, pixels, pixels / sum(row))
    for truth, row in enumerate(counts)
    for prediction, pixels in enumerate(row)
    if prediction != truth and pixels
  ]
  return sorted(pairs, key=lambda pair: -pair.pixels)[:most]
