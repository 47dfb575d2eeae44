"""The exception that ends a training run early."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar('T')


class Stopped(Exception):
  """The training run ends early; its state is saved.

  Attributes:
    step: the last finished step.
  """

  def __init__(self, step: int):
    super().__init__(f'stopped after step {step}')
    self.step = step


def until(stop: Callable[[], bool], batches: Iterable[T], step: int) -> Iterator[T]:
  """Yields the batches of an evaluation after `step`; raises Stopped once `stop` returns True."""
  for batch in batches:
    if stop():
      raise Stopped(step)
    yield batch
