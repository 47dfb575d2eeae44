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
  together: int = 1,
  after_step: Callable[[int, TrainState, Metrics], None],
) -> TrainState:
  """Runs `train_step` until `steps` steps are done.

  Args:
    state: where to start; its `step` says how many steps are done already.
    train_step: see `make_train_step`.
    batches: on the devices, of the `dispatches` from step `state.step` on.
    steps: total number of steps.
    together: how many are given to the devices at once.
    after_step: called with (number of finished steps, state, metrics) after each dispatch; logs,
      evaluates and saves. The metrics are still on the devices: reading them
      waits for the step, so read only when it is time to write.
  """
  done = dispatches(int(state.step), steps, together)
  for finished, batch in zip(done, batches, strict=False):
    state, metrics = train_step(state, batch)
    after_step(finished.stop, state, metrics)
  return state
