"""Chooses the labelled images that are set aside for validation.

Synopsis:

    validation = choose_validation(['a', 'b', 'c', 'd', 'e'], share=0.2, seed=0)
"""

from collections.abc import Collection
import hashlib
import math


def choose_validation(names: Collection[str], share: float, seed: int) -> frozenset[str]:
  """Returns the names of about `share` of the examples, but at least one and not all of them.

  An example is chosen if the hash of seed and name is below the share: it depends on no other
  example, so that examples that are added leave all others where they are. The exceptions are
  sets of so few examples that the hash would choose less than half or more than twice the share.

  Args:
    names: unique names.
    share: 0 up to, but not including, 1.
    seed: 0 or more.

  Example: `choose_validation(['a'], 0.2, 0) == {'a'}`.
  """
  order = sorted(names, key=lambda name: _fraction(name, seed))
  expected = share * len(order)
  least = max(1, math.ceil(expected / 2))
  most = min(max(least, math.floor(2 * expected)), max(1, len(order) - 1))
  count = sum(_fraction(name, seed) < share for name in order)
  return frozenset(order[: min(max(count, least), most)])


def _fraction(name: str, seed: int) -> float:
  """Returns a number in [0, 1) from a hash of the seed and the name."""
  digest = hashlib.sha256(f'{seed}/{name}'.encode()).digest()
  return int.from_bytes(digest[:7]) / 2**56
