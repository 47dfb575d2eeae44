"""The training loop."""

from collections.abc import Callable, Iterable

from classmix_jax.data.feed import dispatches
from classmix_jax.training.step import TrainStep
from classmix_jax.types import Batch, Metrics, TrainState


def train(
  state: TrainState,
  train_step: TrainStep,
  batches: Iterable[Batch],
  *,
  steps: int,
  steps_per_dispatch: int = 1,
  after_step: Callable[[int, TrainState, Metrics], None],
) -> TrainState:
  """Runs `train_step` until `steps` steps are finished and returns the last state.

  Args:
    state: initial state; `state.step` steps are finished already.
    train_step: see `make_train_step`.
    batches: batches on the devices, one per dispatch, from step `state.step` on.
    steps: total number of steps.
    steps_per_dispatch: number of steps per call of `train_step`.
    after_step: callback, called with (number of finished steps, state, metrics) after each
      dispatch. The metrics are on the devices, and reading them blocks until the step is
      finished, so read them only to write them.
  """
  spans = dispatches(int(state.step), steps, steps_per_dispatch)
  for span, batch in zip(spans, batches, strict=False):
    state, metrics = train_step(state, batch)
    after_step(span.stop, state, metrics)
  return state
