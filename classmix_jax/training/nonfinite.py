"""Steps that are not finite: which they are, what was in them, and whether training goes on.

    RUN/nonfinite/STEP/batch-PROCESS.npz    the images and labels that a process had in this step
    RUN/nonfinite/STEP/names.json           the names of all images in it
    RUN/nonfinite/STEP/state/               orbax: the state before it, unless it was skipped

Nothing is read back within a step: each has put its flag among its metrics, and has left the state
as it was (`train.guarded`). A batch is a function of the step, so it is made again.

Synopsis:

    watch = NonFiniteWatch(run, 'stop')
    watch.collect(250, metrics)            # every step; stays on the device
    watch.look(state, batch, names)        # when a row or a checkpoint is due
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from classmix_jax.errors import UserError
from classmix_jax.training.metric_logger import one_by_one
from classmix_jax.types import Batch, Metrics, TrainState
from classmix_jax.utils.atomic_write import replacing, write_atomically
from classmix_jax.utils.text import listed
from classmix_jax.workdir.checkpoint import make_global
from classmix_jax.workdir.layout import nonfinite_path

ENDLESS = 100  # steps skipped one after the other: nothing is learned any more


def causes(metrics: Mapping[str, np.ndarray]) -> str:
  """Returns what of a step is not finite, in words.

  Example:
    >>> causes({'loss/sup': np.float32('nan'), 'loss/unsup': np.float32(1), 'finite': False})
    'loss/sup is nan'
    >>> causes({'loss/sup': np.float32(1), 'finite': False})
    'the gradient is not finite'
  """
  found = [
    f'{key} is {value}'
    for key, value in sorted(metrics.items())
    if np.ndim(value) == 0 and not np.isfinite(value)
  ]
  return ', '.join(found) or 'the gradient is not finite'


@dataclasses.dataclass
class NonFiniteWatch:
  """Remembers the flags of steps until somebody looks.

  Attributes:
    run: the run's folder.
    on_nan: 'stop' or 'skip', see `train.guarded`.
    waiting: (number of finished steps, metrics of those finished together) since the last look.
    skipped: steps skipped one after the other, up to the last look.
  """

  run: Path
  on_nan: str
  waiting: list[tuple[int, Metrics]] = dataclasses.field(default_factory=list)
  skipped: int = 0

  def collect(self, step: int, metrics: Metrics) -> None:
    """Takes the metrics of the step, or of the steps up to it, without waiting for them."""
    self.waiting.append((step, metrics))

  def look(
    self,
    state: TrainState,
    batch: Callable[[int], Batch],
    names: Callable[[int], Mapping[str, Sequence[str]]],
  ) -> None:
    """Waits for the steps since the last look; keeps what was in the first bad one.

    Args:
      state: after the last of them.
      batch: number of a step, from 1, -> its batch, made again.
      names: number of a step -> 'labeled' and 'unlabeled' -> names of images.

    Raises:
      UserError: a step was not finite and is not to be skipped, or too many were.
    """
    fetched, self.waiting = jax.device_get(self.waiting), []
    looked_at = [
      (last - count + 1 + index, metrics)
      for last, several in fetched
      for count in [np.size(several['finite'])]
      for index, metrics in enumerate(one_by_one(several, count))
    ]
    bad = [(step, metrics) for step, metrics in looked_at if not metrics['finite']]
    for _, metrics in looked_at:
      self.skipped = 0 if metrics['finite'] else self.skipped + 1
    if not bad:
      return
    step, metrics = bad[0]
    folder = nonfinite_path(self.run, step)
    self.keep_batch(folder, batch(step), names(step))
    found = f'step {step}: {causes(metrics)}'
    place = f'the batch ({listed(names(step)["labeled"], 2)}, ...)'
    if self.on_nan == 'stop':
      keep_state(folder / 'state', state)
      raise UserError(
        f'{found}; {place} and the state before this step are in {folder}. Lower '
        'config.optim.learning_rate, look at the images, or leave such steps out with '
        '--config.on_nan=skip.'
      )
    if self.skipped >= ENDLESS:
      raise UserError(
        f'{found}, and the last {self.skipped} steps were all skipped for such reasons; {place} '
        f'is in {folder}. Lower config.optim.learning_rate, or look at the images.'
      )
    print(
      f'warning: {found}; {len(bad)} of the last {len(looked_at)} steps were skipped; {place} '
      f'is in {folder}',
      flush=True,
    )

  def keep_batch(self, folder: Path, batch: Batch, names: Mapping[str, Sequence[str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
      f'{part}_{field}': np.asarray(x)
      for part, example in batch._asdict().items()
      for field, x in example._asdict().items()
    }
    with (
      replacing(folder / f'batch-{jax.process_index()}.npz') as temporary,
      open(temporary, 'wb') as file,
    ):
      np.savez_compressed(file, **arrays)
    if jax.process_index() == 0:
      write_atomically(folder / 'names.json', json.dumps(dict(names), indent=2) + '\n')


def keep_state(path: Path, state: TrainState) -> None:
  """Writes a state that `train.guarded` has stopped, with the step that it stands at."""
  state = make_global(state)
  state = state.replace(step=-1 - state.step)
  with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
    checkpointer.save(path, args=ocp.args.StandardSave(state), force=True)
