"""The supervised baseline with an average of its weights, without unlabelled images.

The student is that of `supervised`; the teacher is its exponential moving average (arXiv
1703.01780, section 2), of parameters and BN statistics. No unlabelled image takes part, so a
comparison with the teacher of another method shows what unlabelled images add.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp

from classmix_jax.core.ema import ema_decay, ema_update
from classmix_jax.methods.options import option
from classmix_jax.methods.supervised import Supervised
from classmix_jax.methods.teacher import add_teacher, teacher_network
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
    targets, statistics, metrics = super().targets(state, batch, key)
    # The teacher's statistics follow those of the student after the previous step.
    decay = ema_decay(jnp.maximum(state.step - 1, 0), self.max_decay)
    teacher = ema_update(statistics['segmenter'], statistics['teacher'], decay)
    return targets, {**statistics, 'teacher': teacher}, metrics

  def finish(self, state: TrainState) -> PyTree:
    """Moves the teacher towards the student."""
    decay = ema_decay(state.step, self.max_decay)
    return {'teacher': ema_update(state.params['segmenter'], state.method_state['teacher'], decay)}

  def networks(self, state: TrainState) -> Mapping[str, PyTree]:
    return {**super().networks(state), **teacher_network(state)}
