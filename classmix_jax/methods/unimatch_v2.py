"""UniMatch V2: a mean teacher labels two strong views with complementary features.

    y, p = argmax, max of softmax(T(x_u))             T: average of S, in evaluation mode
    L = 1/2 (L_sup + 1/2 sum over both views of mean over pixels of [p >= tau] CE(S(view), y))

(arXiv 2410.10777.) The features of a view are those of the backbone, e.g. four levels of DINOv2. A
channel is doubled in one view and dropped in the other, in all levels alike; floor(N / 2) of the N
images of the global batch are not changed. CutMix pastes from the global batch in reverse order.
Both are per GPU in the original.

Synopsis:

    method = METHODS['unimatch_v2'](model, num_classes=21)
    params, model_state, method_state = method.init(key, image)
"""

from collections.abc import Mapping
import dataclasses
from typing import ClassVar

import jax

from classmix_jax.core.channel_dropout import drop_complementary_channels
from classmix_jax.core.collectives import GlobalBatch
from classmix_jax.core.ema import ema_decay
from classmix_jax.core.microbatch import concatenate, split_micro_batches
from classmix_jax.methods.options import option
from classmix_jax.methods.pseudo_label import PseudoLabel, make_pseudo_label
from classmix_jax.methods.recipes import UNIMATCH_V2, Recipes
from classmix_jax.methods.teacher import (
  add_teacher,
  average_statistics,
  move_teacher,
  teacher_network,
)
from classmix_jax.methods.unimatch import Targets, UniMatch
from classmix_jax.models.segmenter import forward
from classmix_jax.types import (
  AXIS,
  Array,
  ArraySpec,
  Batch,
  Example,
  Features,
  Metrics,
  PyTree,
  TrainState,
)
from classmix_jax.utils.ranges import FRACTION


@dataclasses.dataclass(frozen=True)
class UniMatchV2(UniMatch):
  """`UniMatch` with a teacher and perturbed features inside of the strong views.

  Attributes:
    lambda_fp: 0, there is no separate loss of perturbed features.
    max_decay: largest decay of the teacher's average.
  """

  lambda_fp: float = option(0.0, FRACTION)
  max_decay: float = option(0.996, FRACTION)

  averages: ClassVar[Mapping[str, str]] = {'teacher': 'segmenter'}
  network_names: ClassVar[tuple[str, ...]] = ('student', 'teacher')
  reverse_partners: ClassVar[bool] = True
  recipes: ClassVar[Recipes] = UNIMATCH_V2

  def init(self, key: Array, image: ArraySpec) -> tuple[PyTree, PyTree, PyTree]:
    """The teacher starts as a copy of the student."""
    params, model_state, _ = super().init(key, image)
    return add_teacher(params, model_state)

  def pseudo_label(self, state: TrainState, example: Example) -> PseudoLabel:
    images, _ = make_pseudo_label(
      self.model,
      state.method_state['teacher'],
      state.model_state['teacher'],
      example,
      train=False,
      exclude_padding=self.exclude_padding,
    )
    return images

  def targets(self, state: TrainState, batch: Batch, key: Array) -> tuple[Targets, PyTree, Metrics]:
    state = state.replace(model_state=average_statistics(state, self.averages, self.max_decay))
    targets, model_state, metrics = super().targets(state, batch, key)

    micro_batches, count = batch.unlabeled.image.shape[:2]
    global_batch = GlobalBatch(AXIS, micro_batches)
    unchanged = global_batch.random_half(jax.random.fold_in(key, 2), micro_batches * count)
    targets = targets._replace(unchanged=split_micro_batches(unchanged, micro_batches))
    return targets, model_state, metrics

  def strong_pass(
    self, student: PyTree, batch_stats: PyTree, targets: Targets
  ) -> tuple[Array, PyTree]:
    image = concatenate([view.images.image for view in targets.views])

    def perturb(features: Features) -> Features:
      return drop_complementary_channels(targets.keys, targets.unchanged, features)

    return forward(
      self.model, student, batch_stats, image, train=True, upsample=False, perturb=perturb
    )

  def finish(self, state: TrainState) -> PyTree:
    """Moves the teacher towards the student."""
    return move_teacher(state, ema_decay(state.step, self.max_decay))

  def networks(self, state: TrainState) -> Mapping[str, PyTree]:
    return {**super().networks(state), **teacher_network(state)}
