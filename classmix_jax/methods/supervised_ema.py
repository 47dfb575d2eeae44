"""The supervised baseline with an average of its weights, without unlabelled images.

The student is that of `supervised`; the teacher is its exponential moving average (arXiv
1703.01780, section 2), of parameters and BN statistics. No unlabelled image takes part, so a
comparison with the teacher of another method shows what unlabelled images add.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any, ClassVar

from classmix_jax.core.ema import ema_decay
from classmix_jax.methods.options import option
from classmix_jax.methods.supervised import Supervised
from classmix_jax.methods.teacher import (
  add_teacher,
  average_statistics,
  move_teacher,
  teacher_network,
)
from classmix_jax.types import Array, ArraySpec, Batch, Metrics, PyTree, TrainState
from classmix_jax.utils.ranges import FRACTION


@dataclasses.dataclass(frozen=True)
class SupervisedEMA(Supervised):
  """`Supervised` with a teacher that only evaluates.

  Attributes:
    max_decay: largest decay of the average.
  """

  max_decay: float = option(0.99, FRACTION)

  averages: ClassVar[Mapping[str, str]] = {'teacher': 'segmenter'}
  network_names: ClassVar[tuple[str, ...]] = ('student', 'teacher')

  def init(self, key: Array, image: ArraySpec) -> tuple[PyTree, PyTree, PyTree]:
    return add_teacher(*super().init(key, image)[:2])

  def targets(self, state: TrainState, batch: Batch, key: Array) -> tuple[Any, PyTree, Metrics]:
    state = state.replace(model_state=average_statistics(state, self.averages, self.max_decay))
    return super().targets(state, batch, key)

  def finish(self, state: TrainState) -> PyTree:
    """Moves the teacher towards the student."""
    return move_teacher(state, ema_decay(state.step, self.max_decay))

  def networks(self, state: TrainState) -> Mapping[str, PyTree]:
    return {**super().networks(state), **teacher_network(state)}
