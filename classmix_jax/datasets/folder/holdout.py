"""Chooses the labelled images that are set aside for validation.

Synopsis:

    validation = choose_validation(['a', 'b', 'c', 'd', 'e'], share=0.2, seed=0)
"""

from collections.abc import Collection
import hashlib


def choose_validation(names: Collection[str], share: float, seed: int) -> frozenset[str]:
  """Returns the names of about `share` of the examples, but at least one and not all of them.

  An example is chosen if the hash of seed and name is below the share: it depends on no other
  example, so that examples that are added leave all others where they are. The exceptions are
  sets of so few examples that the hash chooses none or all of them.

  Args:
    names: unique names.
    share: 0 up to, but not including, 1.
    seed: 0 or more.

  Example: `choose_validation(['a'], 0.2, 0) == {'a'}`.
  """
  order = sorted(names, key=lambda name: _fraction(name, seed))
  chosen = [name for name in order if _fraction(name, seed) < share]
  return frozenset((chosen or order[:1])[: max(1, len(order) - 1)])


def _fraction(name: str, seed: int) -> float:
  """Returns a number in [0, 1) from a hash of the seed and the name."""
  digest = hashlib.sha256(f'{seed}/{name}'.encode()).digest()
  return int.from_bytes(digest[:7]) / 2**56
