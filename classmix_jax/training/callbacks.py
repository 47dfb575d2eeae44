"""Logs, evaluates and saves after a step, according to the schedule.

Synopsis:

    callbacks = Callbacks(schedule, stage_ends, logger, monitor, watch, evaluation, gain, ...)
    train(state, train_step, batches, steps=1000, after_step=partial(callbacks, inputs))
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp

from classmix_jax.config.setup import Schedule
from classmix_jax.core.ema import relative_distance
from classmix_jax.training.collapse import CollapseMonitor
from classmix_jax.training.evaluation_callback import EvaluationCallback
from classmix_jax.training.loop import ReadState
from classmix_jax.training.metric_logger import MetricLogger
from classmix_jax.training.nonfinite import NonFiniteWatch
from classmix_jax.training.preemption import Stop
from classmix_jax.training.unlabeled_gain import UnlabeledGain
from classmix_jax.training.views import Views
from classmix_jax.types import Batch, Metrics, TrainState
from classmix_jax.utils.interrupt import Stopped
from classmix_jax.workdir import checkpoint


class StageInputs(NamedTuple):
  """What the callbacks read from the data of a stage; steps count from 1.

  Attributes:
    batch: step -> its batch, made again.
    names: step -> 'labeled' and 'unlabeled' -> names of the images in its batch.
    views: state -> what the method learns from, on a fixed batch.
  """

  batch: Callable[[int], Batch]
  names: Callable[[int], Mapping[str, Sequence[str]]]
  views: Views


def average_distances(averages: Mapping[str, str], state: TrainState) -> dict[str, float]:
  """Returns the relative distance of every average from the network that it averages.

  Args:
    averages: declared by the method: key of the method state -> key of the parameters.
    state: after a step.
  """
  return {
    f'distance/{name}': float(relative_distance(state.method_state[name], state.params[network]))
    for name, network in averages.items()
  }


@dataclasses.dataclass(frozen=True)
class Callbacks:
  """Everything that follows a step.

  Attributes:
    schedule: when to log, evaluate and save.
    stage_ends: steps after which the state is saved, too.
    logger: writes rows.
    monitor: warns of collapsed pseudo-labels.
    watch: detects non-finite steps.
    evaluation: evaluates the networks.
    gain: describes whether the unlabelled images pay.
    manager: of the run's checkpoints.
    stop: whether the run ends before its last step.
    on_step: called with the number of finished steps.
  """

  schedule: Schedule
  stage_ends: tuple[int, ...]
  logger: MetricLogger
  monitor: CollapseMonitor
  watch: NonFiniteWatch
  evaluation: EvaluationCallback
  gain: UnlabeledGain
  manager: ocp.CheckpointManager
  stop: Stop
  on_step: Callable[[int], None] = lambda step: None

  def __call__(
    self, inputs: StageInputs, step: int, read_state: ReadState, metrics: Metrics
  ) -> None:
    """Handles the end of a step.

    Args:
      inputs: of the stage.
      step: number of finished steps.
      read_state: returns the state after the step.
      metrics: of the step, still on the devices.

    Raises:
      UserError: a step is non-finite and stops the run, or a checkpoint could not be written.
      Stopped: the state is saved and the run ends early.
    """
    self.on_step(step)
    self.stop.unsaved = True
    self.logger.collect(metrics)
    self.watch.collect(step, metrics)
    checkpoint.check(self.manager)
    stops, saves = self.stop(), self.saves(step)
    if not (saves or stops or self.schedule.logs(step)):
      return
    state = read_state()
    self.watch.check(state, inputs.batch, inputs.names)
    row = self.read_row(step, state) if self.schedule.logs(step) else {}
    if self.schedule.evaluates(step) and not stops:
      try:
        row.update(self.evaluation.evaluate(step, state))
      except Stopped:  # the resumed run evaluates, see `evaluate_pending`
        stops = True
    # A checkpoint always has its row, so the row comes first.
    if row:
      self.logger.write(step, row)
    if saves or stops:
      self.save(step, state, row)
    if stops:
      raise Stopped(step)
    if self.schedule.evaluates(step):
      self.evaluation.write_result()
      self.evaluation.write_images(step, state, inputs.views, self.logger)
      self.report_gain(step)
      self.logger.restart_clock()

  def saves(self, step: int) -> bool:
    """Returns whether a checkpoint is written after this step."""
    return self.schedule.saves(step) or step in self.stage_ends

  def read_row(self, step: int, state: TrainState) -> dict[str, Any]:
    """Returns the means since the last row, and prints a warning if pseudo-labels collapsed."""
    row, warning = self.monitor.read(self.logger.averages())
    row.update(average_distances(self.evaluation.method.averages, state))
    if warning and jax.process_index() == 0:
      print(f'warning: step {step}: {warning}', flush=True)
    return row

  def save(self, step: int, state: TrainState, row: Mapping[str, Any]) -> None:
    """Starts to write a checkpoint in the background, with the score of `row`."""
    checkpoint.save(self.manager, step, state, row.get('eval/miou'))
    self.stop.unsaved = False

  def evaluate_pending(self, step: int, state: TrainState) -> None:
    """Evaluates a restored state if its evaluation was interrupted, and saves it with the score."""
    if self.schedule.evaluates(step) and self.evaluation.is_pending(step):
      row = self.evaluation.evaluate(step, state)
      self.logger.amend(step, row)
      self.save(step, state, row)
      self.evaluation.write_result()
      self.report_gain(step)

  def report_gain(self, step: int) -> None:
    """Prints whether the unlabelled images pay; after the last step the final table does."""
    assert self.evaluation.result is not None
    if step < self.schedule.steps and jax.process_index() == 0:
      for line in self.gain.describe(self.evaluation.result):
        print(line, flush=True)
