"""Ranges of numbers that a config may hold."""

import math
from typing import NamedTuple


class Range(NamedTuple):
  """Finite numbers from `low` to `high`, both included, and less than `below`.

  Example:
    >>> str(FRACTION), 1.5 in FRACTION
    ('0 to 1', False)
  """

  low: float = 0
  high: float = math.inf
  below: float = math.inf

  def __str__(self) -> str:
    if not math.isinf(self.below):
      return f'{self.low:,} or more, and less than {self.below:,}'
    return f'{self.low:,} or more' if math.isinf(self.high) else f'{self.low:,} to {self.high:,}'

  def __contains__(self, value: object) -> bool:
    if not isinstance(value, int | float) or not math.isfinite(value):
      return False
    return self.low <= value <= self.high and value < self.below


NON_NEGATIVE, POSITIVE_COUNT = Range(0), Range(1)
FRACTION, FRACTION_BELOW_ONE = Range(0, 1), Range(0, below=1)
