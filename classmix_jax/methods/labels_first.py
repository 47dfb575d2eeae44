"""The first steps of a training run on labels alone, for any method with a student.

While the teacher is poor its mistakes are learned, and a step without unlabelled images takes a
fraction of the time. The student, and averages of it, then start the second stage trained.

Synopsis:

    stages = make_stages(method, steps=3_000, share=0.5)
    stages[0].labels_only, stage_method(method, stages[0].labels_only)
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

from classmix_jax.methods.supervised import Supervised
from classmix_jax.methods.teacher import average_statistics
from classmix_jax.types import Array, Batch, Metrics, PyTree, Stage, TrainState

MAX_DECAY = 0.99  # of the averages of BN statistics


def make_stages(method: Any, steps: int, share: float) -> tuple[Stage, ...]:
  """Returns the stages of a method, after a stage of labels alone.

  Args:
    method: one without unlabelled images has its own stages only.
    steps: of all stages together.
    share: fraction of the steps that use labels alone, 0 for none. The learning rate falls over
      them and the next stage together.
  """
  first = round(share * steps) if method.min_unlabeled else 0
  if not first:
    return method.stages(steps)
  later = [
    stage._replace(start=first + stage.start, stop=first + stage.stop)
    for stage in method.stages(steps - first)
  ]
  schedule = (0, later[0].stop)
  return (
    Stage(0, first, unlabeled=False, labels_only=True, schedule=schedule),
    later[0]._replace(schedule=schedule),
    *later[1:],
  )


def stage_method(method: Any, labels_only: bool) -> Any:
  """Returns the method that computes the steps of a stage, see `Stage.labels_only`."""
  if not labels_only:
    return method
  return LabelsFirst(method.model, method.num_classes, method.labeled_loss, method)


@dataclasses.dataclass(frozen=True)
class LabelsFirst(Supervised):
  """The labelled loss of the student in place of a method's own, on the same state.

  Averages follow the student: their parameters as the method moves them, their BN statistics by
  the same average as their parameters at the start of a training (arXiv 2007.07936, section 3.2).

  Attributes:
    method: the method of the later stages.
  """

  method: Any = None

  @property
  def averages(self) -> Mapping[str, str]:  # type: ignore[override]
    return self.method.averages

  def targets(self, state: TrainState, batch: Batch, key: Array) -> tuple[Any, PyTree, Metrics]:
    state = state.replace(model_state=average_statistics(state, self.averages, MAX_DECAY))
    return super().targets(state, batch, key)

  def finish(self, state: TrainState) -> PyTree:
    return self.method.finish(state)
