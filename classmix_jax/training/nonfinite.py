"""Policy for steps with a non-finite loss or gradient.

    RUN/nonfinite/STEP/batch-PROCESS.npz    the images and labels of a process in this step
    RUN/nonfinite/STEP/names.json           the names of all images in the batch
    RUN/nonfinite/STEP/state/               orbax: the state before the step, if the run stops

The train step leaves the state unchanged and sets the metric `finite` to 0, so nothing waits for
the device within a step. A batch is a function of the step, so it can be made again.

Synopsis:

    watch = NonFiniteWatch(run, 'stop')
    watch.collect(250, metrics)            # every step; stays on the device
    watch.check(state, batch, names)       # before a row or a checkpoint is written
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from classmix_jax.errors import UserError
from classmix_jax.types import Batch, Metrics, TrainState
from classmix_jax.utils.atomic_write import replacing, write_atomically
from classmix_jax.utils.text import listed
from classmix_jax.workdir.checkpoint import make_global
from classmix_jax.workdir.layout import nonfinite_path

MAX_SKIPPED = 100  # consecutive skipped steps, after which the run ends: it learns nothing

Names = Mapping[str, Sequence[str]]  # 'labeled' and 'unlabeled' -> names of images


def describe_cause(metrics: Metrics) -> str:
  """Names the metrics of a step that are not finite.

  Example:
    >>> describe_cause({'loss/sup': np.float32('nan'), 'loss/unsup': np.float32(1), 'finite': 0})
    'loss/sup is nan'
    >>> describe_cause({'loss/sup': np.float32(1), 'finite': 0})
    'the gradient is not finite'
  """
  causes = [
    f'{key} is {value}'
    for key, value in sorted(metrics.items())
    if np.ndim(value) == 0 and not np.isfinite(value)
  ]
  return ', '.join(causes) or 'the gradient is not finite'


@dataclasses.dataclass
class NonFiniteWatch:
  """Collects the `finite` flags of steps and applies the policy when it checks them.

  Attributes:
    run: directory of the run.
    on_nan: 'stop' or 'skip', see `config.on_nan`.
    waiting: (number of finished steps, metrics of the last) for the steps since the last check.
    skipped: consecutive skipped steps up to the last check.
  """

  run: Path
  on_nan: str
  waiting: list[tuple[int, Metrics]] = dataclasses.field(default_factory=list)
  skipped: int = 0

  def collect(self, step: int, metrics: Metrics) -> None:
    """Adds the metrics of a step, without waiting for it."""
    self.waiting.append((step, metrics))

  def check(
    self, state: TrainState, batch: Callable[[int], Batch], names: Callable[[int], Names]
  ) -> None:
    """Waits for the steps since the last check and writes the batch of the first non-finite one.

    Args:
      state: after the last step.
      batch: step, from 1 -> its batch, made again.
      names: step, from 1 -> the names of the images in its batch.

    Raises:
      UserError: a step is non-finite and the policy is 'stop', or too many were skipped.
    """
    steps = jax.device_get(self.waiting)
    self.waiting = []
    for _, metrics in steps:
      self.skipped = 0 if metrics['finite'] else self.skipped + 1
    nonfinite = [(step, metrics) for step, metrics in steps if not metrics['finite']]
    if not nonfinite:
      return
    step, metrics = nonfinite[0]
    directory = nonfinite_path(self.run, step)
    write_batch(directory, batch(step), names(step))
    cause = f'step {step}: {describe_cause(metrics)}'
    place = f'the batch ({listed(names(step)["labeled"], 2)}, ...)'
    if self.on_nan == 'stop':
      write_state(directory / 'state', state)
      raise UserError(
        f'{cause}; {place} and the state before this step are in {directory}. Lower '
        'config.optim.learning_rate, look at the images, or leave such steps out with '
        '--config.on_nan=skip.'
      )
    if self.skipped >= MAX_SKIPPED:
      raise UserError(
        f'{cause}, and the last {self.skipped} steps were all skipped for such reasons; {place} '
        f'is in {directory}. Lower config.optim.learning_rate, or look at the images.'
      )
    print(
      f'warning: {cause}; {len(nonfinite)} of the last {len(steps)} steps were skipped; {place} '
      f'is in {directory}',
      flush=True,
    )


def write_batch(directory: Path, batch: Batch, names: Names) -> None:
  """Writes the examples of this process, and in process 0 the names of all images."""
  directory.mkdir(parents=True, exist_ok=True)
  arrays = {
    f'{part}_{field}': np.asarray(x)
    for part, example in batch._asdict().items()
    for field, x in example._asdict().items()
  }
  with (
    replacing(directory / f'batch-{jax.process_index()}.npz') as temporary,
    open(temporary, 'wb') as file,
  ):
    np.savez_compressed(file, allow_pickle=False, **arrays)
  if jax.process_index() == 0:
    write_atomically(directory / 'names.json', json.dumps(dict(names), indent=2) + '\n')


def write_state(path: Path, state: TrainState) -> None:
  """Writes a state that a non-finite step has stopped; its `step` becomes positive again."""
  state = make_global(state)
  state = state.replace(step=-1 - state.step)
  with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
    checkpointer.save(path, args=ocp.args.StandardSave(state), force=True)
