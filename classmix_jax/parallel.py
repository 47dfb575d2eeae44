"""Reads several files at a time: PIL and NumPy let other threads run while they decode.

Synopsis:

    for image in in_parallel(source.read_image, range(len(source))):
      ...
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
import os
from typing import TypeVar

Item = TypeVar('Item')
Result = TypeVar('Result')

THREADS = max(2, min(16, os.cpu_count() or 2))


def in_parallel(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
  """Yields `function(item)` in the order of the items; several run at a time.

  What `function` raises comes out in its turn.

  Example: `list(in_parallel(abs, [-2, 1])) == [2, 1]`.
  """
  with ThreadPoolExecutor(THREADS) as pool:
    yield from pool.map(function, items)
