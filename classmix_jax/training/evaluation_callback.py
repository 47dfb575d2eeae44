"""Evaluates the networks of a training run and records the results.

Synopsis:

    callback = EvaluationCallback(run, method, dataset, evaluator, steps=3000)
    row = callback.evaluate(1000, state)        # {'eval/miou': 0.41, ...}
    callback.result['iou']
"""

from collections.abc import Mapping
import dataclasses
from pathlib import Path
from typing import Any

import jax
from jax.experimental import multihost_utils
import numpy as np

from classmix_jax.core.frozen import with_frozen
from classmix_jax.data.source import Dataset
from classmix_jax.evaluation.evaluator import Evaluator
from classmix_jax.evaluation.headline import network_scores, place_score
from classmix_jax.training.metric_logger import MetricLogger
from classmix_jax.training.views import Views, color_views, number_columns, write_columns
from classmix_jax.types import Method, PyTree, TrainState
from classmix_jax.workdir import layout, run_files


def evaluation_scores(summary: Mapping[str, Any], suffix: str) -> dict[str, float]:
  """Returns the fields of a row in metrics.jsonl for a network, see `eval_step.summarize`.

  Without confident pixels there is no reliability.
  """
  scores = {
    'miou': summary['miou'],
    'reliability': summary['reliability']['precision'],
    'confident_share': summary['reliability']['share'],
  }
  return {f'eval/{key}{suffix}': x for key, x in scores.items() if x is not None}


@dataclasses.dataclass
class EvaluationCallback:
  """Evaluates the networks of a state and writes what an evaluation leaves behind.

  Attributes:
    run: directory of the run.
    method: the method, which names the networks of a state.
    dataset: class names and palette.
    evaluator: evaluates them.
    steps: length of the run.
    result: of the last evaluation in this process, None before the first.
  """

  run: Path
  method: Method
  dataset: Dataset
  evaluator: Evaluator
  steps: int
  result: dict[str, Any] | None = None

  def networks(self, state: TrainState) -> Mapping[str, PyTree]:
    """Returns the variables of every network that can predict, by name."""
    return self.method.networks(with_frozen(state, self.method.averages))

  def evaluate(self, step: int, state: TrainState) -> dict[str, Any]:
    """Evaluates a state and returns the fields of its row in metrics.jsonl.

    Raises:
      Stopped: a stop was requested between two batches.
    """
    result = self.result = self.evaluator(step, self.networks(state))
    before = {key: x for key, x in run_files.read_results(self.run).items() if key < step}
    scores = network_scores({**before, step: result}, result['network'])
    result |= place_score(scores, self.steps)
    scores = evaluation_scores(result, '')
    for name, summary in result['networks'].items():
      scores |= evaluation_scores(summary, f'_{name}')
    origin = {f'eval/{name}': result[name] for name in ('protocol', 'split')}
    return {**scores, **origin}

  def is_pending(self, step: int) -> bool:
    """Returns whether process 0 has no result of this step on disk; the same in all processes."""
    pending = not layout.evaluation_path(self.run, step).exists()
    return bool(multihost_utils.broadcast_one_to_all(np.array(pending)))

  def write_result(self) -> None:
    """Writes the last result to RUN/eval/."""
    assert self.result is not None
    run_files.write_evaluation(self.run, self.result)

  def write_images(self, step: int, state: TrainState, views: Views, logger: MetricLogger) -> None:
    """Writes what the method learns from to TensorBoard and RUN/training.png."""
    columns = color_views(views(state), self.dataset.palette)
    images = number_columns(columns)
    logger.write_images(step, {f'train/{name}': x for name, x in images.items()})
    if jax.process_index() == 0:
      write_columns(layout.training_image_path(self.run), columns, self.dataset)
