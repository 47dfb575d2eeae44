"""Formats lists and plurals in sentences.

Synopsis:

    f'the {plural("colour", colors)} {listed(colors, 4)}'
"""

from collections.abc import Iterable, Sequence


def plural(noun: str, items: Sequence[object]) -> str:
  """Returns the noun, with an 's' unless there is one item."""
  return noun if len(items) == 1 else f'{noun}s'


def listed(items: Iterable[object], most: int) -> str:
  """Returns 'a, b, c', or 'a, b and 5 more' for more than `most` items.

  Example:
    >>> listed('abcd', 2)
    'a, b and 2 more'
  """
  texts = [str(item) for item in items]
  if len(texts) <= most:
    return ', '.join(texts)
  return f'{", ".join(texts[:most])} and {len(texts) - most} more'
