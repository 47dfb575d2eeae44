"""UniMatch V2: a mean teacher labels, two strong views with complementary features learn.

    y, p = argmax, max of softmax(T(x_u))             T: the average of S, in evaluation mode
    L = 1/2 (L_sup + 1/2 sum over both views of mean over pixels of [p >= tau] CE(S(view), y))

(arXiv 2410.10777; there on a vision transformer, here on the features of any backbone.) What
one view keeps of the features' channels, doubled, the other one loses. CutMix pastes from the
next image of the global batch, there from the batch in reverse.

Synopsis:

    method = METHODS['unimatch_v2'](model, num_classes=21)
    params, model_state, method_state = method.init(key, image)
"""

from collections.abc import Mapping
import dataclasses

import jax.numpy as jnp

from classmix_jax.core.channel_dropout import complementary
from classmix_jax.core.ema import ema_decay, ema_update
from classmix_jax.methods.pseudo_label import PseudoLabel, pseudo_label
from classmix_jax.methods.teacher import teacher_network, with_teacher
from classmix_jax.methods.unimatch import Targets, UniMatch
from classmix_jax.models.segmenter import forward
from classmix_jax.types import Array, Batch, Example, Metrics, PyTree


@dataclasses.dataclass(frozen=True)
class UniMatchV2(UniMatch):
  """`UniMatch` with a teacher, and perturbed features inside of the strong views.

  Attributes:
    lambda_fp: there is no branch of its own for perturbed features.
    max_decay: largest decay of the teacher's average.
  """

  lambda_fp: float = 0.0
  max_decay: float = 0.996

  def init(self, key: Array, image: Array) -> tuple[PyTree, PyTree, PyTree]:
    """The teacher starts as a copy of the student."""
    params, model_state, _ = super().init(key, image)
    return with_teacher(params, model_state)

  def pseudo_label(
    self, params: PyTree, model_state: PyTree, method_state: PyTree, example: Example
  ) -> PseudoLabel:
    found, _ = pseudo_label(
      self.model,
      method_state['teacher'],
      model_state['teacher'],
      example,
      train=False,
      exclude_padding=self.exclude_padding,
    )
    return found

  def targets(
    self,
    params: PyTree,
    model_state: PyTree,
    method_state: PyTree,
    batch: Batch,
    key: Array,
    step: Array,
  ) -> tuple[Targets, PyTree, Metrics]:
    # The teacher's BN statistics follow the student's of the step before.
    decay = ema_decay(jnp.maximum(step - 1, 0), self.max_decay)
    teacher = ema_update(model_state['segmenter'], model_state['teacher'], decay)
    model_state = {**model_state, 'teacher': teacher}
    return super().targets(params, model_state, method_state, batch, key, step)

  def strong_pass(
    self, student: PyTree, batch_stats: PyTree, targets: Targets
  ) -> tuple[Array, PyTree]:
    image = jnp.concatenate([view.pseudo.image for view in targets.views])
    return forward(
      self.model,
      student,
      batch_stats,
      image,
      train=True,
      upsample=False,
      perturb=lambda features: complementary(targets.keys, features),
    )

  def finish(self, params: PyTree, method_state: PyTree, step: Array) -> PyTree:
    """Moves the teacher towards the student."""
    decay = ema_decay(step, self.max_decay)
    return {'teacher': ema_update(params['segmenter'], method_state['teacher'], decay)}

  def networks(
    self, params: PyTree, model_state: PyTree, method_state: PyTree
  ) -> Mapping[str, PyTree]:
    return {
      **super().networks(params, model_state, method_state),
      **teacher_network(model_state, method_state),
    }
