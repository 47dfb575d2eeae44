"""What happens after a step: it is logged, evaluated and saved when it is time.

Synopsis:

    after_step = AfterStep(config, run, dataset, method, logbook, manager, evaluator, ...)
    train(state, train_step, batches, steps=1000, after_step=after_step)
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from pathlib import Path
from typing import Any

import jax
from jax.experimental import multihost_utils
import ml_collections
import numpy as np
import orbax.checkpoint as ocp

from classmix_jax.core.ema import relative_distance
from classmix_jax.data.source import Dataset
from classmix_jax.evaluation.evaluator import Evaluator
from classmix_jax.methods.teacher import AVERAGED
from classmix_jax.training.collapse import Health
from classmix_jax.training.metric_logger import Logbook
from classmix_jax.training.nonfinite import NonFiniteWatch
from classmix_jax.training.preemption import Stop
from classmix_jax.types import AXIS, Array, Batch, Method, Metrics, TrainState
from classmix_jax.utils.atomic_write import write_png
from classmix_jax.utils.interrupt import Stopped
from classmix_jax.utils.visualize import colorize, grid, thumbnail, to_bytes
from classmix_jax.workdir import checkpoint, layout, run_files


def make_views(method: Method, devices: list, batch: Batch) -> Callable:
  """Returns `views(state)`: what the method learns from on one fixed batch `[D, A, b, ...]`."""
  pmapped = jax.pmap(
    method.views,
    axis_name=AXIS,
    in_axes=(None, None, None, 0, None),
    devices=list(devices) if jax.process_count() == 1 else None,
  )
  return lambda state: pmapped(
    state.params, state.model_state, state.method_state, batch, jax.random.key(0)
  )


def view_images(views: Mapping[str, Array], dataset: Dataset) -> dict[str, np.ndarray]:
  """Turns a method's views into pictures: labels get the palette's colours."""
  flat = {key: np.asarray(x).reshape((-1,) + x.shape[2:]) for key, x in views.items()}
  return {
    key: to_bytes(x) if x.ndim == 4 else colorize(x, dataset.palette) for key, x in flat.items()
  }


@dataclasses.dataclass
class AfterStep:
  """Logs, evaluates and saves when it is time; called after every step.

  Attributes:
    reached: told every finished step.
    stop: says when the training shall save and end.
    health: reads what is logged.
    watch: looks for steps that are not finite.
    batch, names: of a stage: the batch of the step of a number from 1, and who is in it.
    stage_ends: after these steps the state is saved, too.
    views: of a stage, see `make_views`.
    result: the last evaluation of this call of the program, None before.
  """

  config: ml_collections.ConfigDict
  run: Path
  dataset: Dataset
  method: Method
  logbook: Logbook
  manager: ocp.CheckpointManager
  evaluator: Evaluator
  reached: Callable[[int], None]
  stop: Stop
  health: Health
  watch: NonFiniteWatch
  stage_ends: tuple[int, ...] = ()
  batch: Callable[[int], Batch] | None = None
  names: Callable[[int], Mapping[str, Sequence[str]]] | None = None
  views: Callable[[TrainState], Mapping[str, Array]] | None = None
  result: dict[str, Any] | None = None

  def networks(self, state: TrainState) -> Mapping[str, Any]:
    return self.method.networks(state.params, state.model_state, state.method_state)

  def evaluates(self, step: int) -> bool:
    every = self.config.eval_every
    return step == self.config.steps or bool(every) and step % every == 0

  def saves(self, step: int) -> bool:
    return (
      self.evaluates(step) or step in self.stage_ends or step % self.config.checkpoint_every == 0
    )

  def __call__(self, step: int, state: TrainState, metrics: Metrics) -> None:
    self.reached(step)
    self.stop.unsaved = True
    self.logbook.collect(step, metrics)
    self.watch.collect(step, metrics)
    checkpoint.check(self.manager)
    stops, row = self.stop(), {}
    logs = self.evaluates(step) or step % self.config.log_every == 0
    if logs or self.saves(step) or stops:
      self.watch.look(state, self.batch, self.names)
    if logs:
      row = self.read_row(step, state)
    if self.evaluates(step) and not stops:
      try:
        row.update(self.evaluate(step, state))
      except Stopped:  # `finish_step` of the next start evaluates
        stops = True
    # The row first: what is in a checkpoint has its row, never the other way round.
    if row:
      self.logbook.write(step, row)
    if self.saves(step) or stops:
      self.save(step, state, row)
    if stops:
      raise Stopped(step)
    if self.evaluates(step):
      self.show(step, state)
      self.logbook.restart_clock()

  def read_row(self, step: int, state: TrainState) -> dict[str, Any]:
    """Returns the means since the last row, how far teachers are, and warns in words."""
    row, warning = self.health.read(self.logbook.averages())
    for name, average in state.method_state.items():
      row[f'distance/{name}'] = float(relative_distance(average, state.params[AVERAGED[name]]))
    if warning and jax.process_index() == 0:
      print(f'warning: step {step}: {warning}', flush=True)
    return row

  def evaluate(self, step: int, state: TrainState) -> dict[str, Any]:
    """Evaluates; returns what of it belongs into the logbook."""
    self.result = self.evaluator(step, self.networks(state))
    return {
      'eval/miou': self.result['miou'],
      **{f'eval/miou_{name}': summary['miou'] for name, summary in self.result['networks'].items()},
      **{f'eval/{name}': self.result[name] for name in ('protocol', 'split')},
    }

  def save(self, step: int, state: TrainState, row: Mapping[str, Any]) -> None:
    checkpoint.save(self.manager, step, state, row.get('eval/miou'))
    self.stop.unsaved = False

  def finish_step(self, step: int, state: TrainState) -> None:
    """Evaluates a restored state whose evaluation was interrupted, and saves its score with it."""
    pending = self.evaluates(step) and not layout.evaluation_path(self.run, step).exists()
    if multihost_utils.broadcast_one_to_all(np.array(pending)):
      row = self.evaluate(step, state)
      self.logbook.amend(step, row)
      self.save(step, state, row)
      run_files.write_evaluation(self.run, self.result)

  def show(self, step: int, state: TrainState) -> None:
    run_files.write_evaluation(self.run, self.result)
    images = view_images(self.views(state), self.dataset)
    self.logbook.write_images(step, {f'train/{key}': x for key, x in images.items()})
    if jax.process_index() == 0:
      rows = [[thumbnail(x) for x in row] for row in zip(*images.values(), strict=False)]
      picture = grid(rows[:4], list(images), self.dataset.class_names, self.dataset.palette)
      write_png(layout.training_image_path(self.run), picture)
