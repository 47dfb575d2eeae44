"""Runs a function in threads: PIL and NumPy release the interpreter lock while they decode.

Synopsis:

    for image in in_parallel(source.read_image, range(len(source))):
      ...
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
import os
from typing import TypeVar

Item = TypeVar('Item')
Value = TypeVar('Value')

THREADS = max(2, min(16, os.cpu_count() or 2))


def in_parallel(
  function: Callable[[Item], Value],
  items: Iterable[Item],
  ahead: int = 0,
) -> Iterator[Value]:
  """Yields `function(item)` in the order of the items; several calls run at a time.

  The number of results in memory is bounded, so `items` may be endless. An exception of `function`
  is raised in its turn and ends the iterator. Closing the iterator waits for the running calls and
  cancels the others.

  Args:
    function: called in other threads.
    items: iterated as results are consumed.
    ahead: number of results that may be ready or in progress; at least 2 for each thread.

  Example: `list(in_parallel(abs, [-2, 1])) == [2, 1]`.
  """
  window = max(ahead, 2 * THREADS)
  pending: deque[Future[Value]] = deque()
  pool = ThreadPoolExecutor(THREADS)
  try:
    for item in items:
      pending.append(pool.submit(function, item))
      if len(pending) == window:
        yield pending.popleft().result()
    while pending:
      yield pending.popleft().result()
  finally:
    pool.shutdown(cancel_futures=True)
