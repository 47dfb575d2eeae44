"""The exception of a training that ends early."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar('T')


class Stopped(Exception):
  """The training has saved its state after a step, and ends.

  Attributes:
    step: that step.
  """

  def __init__(self, step: int):
    super().__init__(f'stopped after step {step}')
    self.step = step


def until(stop: Callable[[], bool], batches: Iterable[T], step: int) -> Iterator[T]:
  """Yields batches of an evaluation after `step`; raises Stopped when it is time."""
  for batch in batches:
    if stop():
      raise Stopped(step)
    yield batch
