"""The training loop."""

from collections.abc import Callable, Iterable
import functools

from classmix_jax.core.packing import pack, unpack
from classmix_jax.training.step import TrainStep
from classmix_jax.types import Batch, Metrics, TrainState

ReadState = Callable[[], TrainState]


def train(
  state: TrainState,
  train_step: TrainStep,
  batches: Iterable[Batch],
  *,
  steps: int,
  after_step: Callable[[int, ReadState, Metrics], None],
) -> TrainState:
  """Runs `train_step` until `steps` steps are finished and returns the last state.

  Args:
    state: initial state; `state.step` steps are finished already.
    train_step: see `make_train_step`.
    batches: batches on the devices, from step `state.step` on.
    steps: total number of steps.
    after_step: callback, called with (number of finished steps, function that returns the state,
      metrics) after each step. State and metrics are on the devices, and reading them blocks until
      the step is finished, so read them only to write them.
  """
  start, packed = int(state.step), pack(state)
  for step, batch in zip(range(start + 1, steps + 1), batches, strict=False):
    packed, metrics = train_step(packed, batch)
    after_step(step, functools.partial(unpack, packed), metrics)
  return unpack(packed)
