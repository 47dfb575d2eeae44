"""s4GAN with its second branch: a mean teacher that classifies which classes an image shows.

    L = L of s4GAN + BCE(C(x_l), classes in y_l) + w (1 - cos(C(strong(x_u)), T(x_u)))

(Mittal et al., arXiv 1908.05724, section 3.2.) C is a classifier of whole images, T its average,
w grows from 0 to 1 between `mlmt_start` and `mlmt_start + mlmt_ramp`. In evaluation, logits of
classes that T does not predict for the image are set to 0. The branches share no parameters.

Synopsis:

    method = METHODS['s4gan_mlmt'](model, num_classes=21)
    params, model_state, method_state = method.init(key, image)
"""

from collections.abc import Mapping
import dataclasses
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax

from classmix_jax.core.augment_torchvision import MODERATE, distort
from classmix_jax.core.collectives import GlobalBatch
from classmix_jax.core.ema import ema_decay, ema_update
from classmix_jax.core.microbatch import (
  fold_micro_batches,
  merge_micro_batches,
  split_micro_batches,
)
from classmix_jax.methods.labeled_loss import Labeled
from classmix_jax.methods.options import option
from classmix_jax.methods.recipes import Recipes
from classmix_jax.methods.s4gan import S4GAN
from classmix_jax.methods.s4gan_targets import Scored
from classmix_jax.models.image_classifier import ImageClassifier
from classmix_jax.models.segmenter import forward, initialize, to_unit_range
from classmix_jax.types import AXIS, Array, ArraySpec, Batch, Metrics, PyTree, TrainState
from classmix_jax.utils.ranges import FRACTION, NON_NEGATIVE, POSITIVE_COUNT

# The optimizer of the classifier in the original code.
WEIGHT_DECAY, LAST_RATE = 1e-5, 1 / 300  # the rate in units of the first one


class Presence(NamedTuple):
  """What the classifier learns from the unlabelled batch; one micro-batch has no axis A."""

  image: Array  # [A, b, H, W, 3] float32, distorted
  presence: Array  # [A, b, C] float32, the teacher's logits
  weight: Array  # [A] float32, w


class Targets(NamedTuple):
  """What the networks of s4GAN and the classifier learn from."""

  labeled: Labeled
  unlabeled: Scored
  classifier: Presence


def shown_classes(label: Array, num_classes: int) -> Array:
  """Returns `[B, C]` float32: 1 for the classes that occur in `[B, H, W]`."""
  return jnp.max(jax.nn.one_hot(label, num_classes), axis=(1, 2))


def cosine_distance(a: Array, b: Array) -> Array:
  """Returns 1 - cos of the angle between rows of `[B, C]` arrays, averaged over the rows."""
  return jnp.mean(optax.losses.cosine_distance(a, b, epsilon=1e-8))


@dataclasses.dataclass(frozen=True)
class S4GANMLMT(S4GAN):
  """`S4GAN` beside a multi-label mean teacher.

  Attributes:
    mlmt_start: step until which w is 0, a tenth of all steps in the original.
    mlmt_ramp: number of steps in which w grows to 1, half of all steps in the original.
    mlmt_decay: largest decay of the teacher's average.
    classifier_learning_rate: initial learning rate of the classifier.
  """

  mlmt_start: int = option(4_000, NON_NEGATIVE, small=300)
  mlmt_ramp: int = option(20_000, POSITIVE_COUNT, small=1_500)
  mlmt_decay: float = option(0.999, FRACTION)
  classifier_learning_rate: float = option(0.03, NON_NEGATIVE)

  averages: ClassVar[Mapping[str, str]] = {'classifier_teacher': 'classifier'}
  network_names: ClassVar[tuple[str, ...]] = ('student', 'fused')
  recipes: ClassVar[Recipes] = {  # the paper has no second branch on Cityscapes
    name: {**recipe, 'eval_network': 'fused'} for name, recipe in S4GAN.recipes.items()
  }

  @property
  def classifier(self) -> ImageClassifier:
    return ImageClassifier(self.model.backbone, self.num_classes)

  def init(self, key: Array, image: ArraySpec) -> tuple[PyTree, PyTree, PyTree]:
    """The teacher starts as a copy of the classifier."""
    params, model_state, _ = super().init(key, image)
    classifier, batch_stats = initialize(self.classifier, jax.random.fold_in(key, 2), image)
    return (
      {**params, 'classifier': classifier},
      {**model_state, 'classifier': batch_stats, 'classifier_teacher': batch_stats},
      {'classifier_teacher': classifier},
    )

  def optimizers(self, steps: int, power: float) -> Mapping[str, optax.GradientTransformation]:
    """The classifier learns by SGD with Nesterov momentum on a cosine schedule."""
    rate = self.classifier_learning_rate
    schedule = optax.cosine_decay_schedule(rate, steps, alpha=LAST_RATE)
    sgd = optax.chain(
      optax.add_decayed_weights(WEIGHT_DECAY), optax.sgd(schedule, momentum=0.9, nesterov=True)
    )
    return {**super().optimizers(steps, power), 'classifier': sgd}

  def classify(self, params: PyTree, batch_stats: PyTree, image: Array) -> tuple[Array, PyTree]:
    """Returns logits of presence `[b, C]`, and the statistics that follow these images."""
    return forward(self.classifier, params, batch_stats, image, train=True)

  def teacher_presence(
    self, teacher: PyTree, batch_stats: PyTree, image: Array
  ) -> tuple[Array, PyTree]:
    """Returns the teacher's logits of images `[A, b, ...]`, and its new statistics."""

    def classify(carry: tuple, image: Array) -> tuple:
      parts, batch_stats = carry
      presence, batch_stats = self.classify(teacher, batch_stats, to_unit_range(image))
      return (*parts, presence), batch_stats

    parts, batch_stats = fold_micro_batches(classify, ((), batch_stats), image)
    return jnp.stack(parts), batch_stats

  def targets(self, state: TrainState, batch: Batch, key: Array) -> tuple[Targets, PyTree, Metrics]:
    (labeled, scored), model_state, metrics = super().targets(state, batch, key)
    image = batch.unlabeled.image
    micro_batches = len(image)
    presence, batch_stats = self.teacher_presence(
      state.method_state['classifier_teacher'], model_state['classifier_teacher'], image
    )
    distorted = distort(
      jax.random.fold_in(key, 2),
      merge_micro_batches(to_unit_range(image)),
      jitter=MODERATE,
      jitter_probability=1.0,
      blur=1.0,
      global_batch=GlobalBatch(AXIS, micro_batches),
    )
    weight = jnp.clip((state.step - self.mlmt_start) / self.mlmt_ramp, 0.0, 1.0)
    weight = jnp.broadcast_to(weight, micro_batches)
    classifier = Presence(split_micro_batches(distorted, micro_batches), presence, weight)
    model_state = {**model_state, 'classifier_teacher': batch_stats}
    return Targets(labeled, scored, classifier), model_state, metrics

  def classification_loss(
    self, params: PyTree, batch_stats: PyTree, targets: Targets
  ) -> tuple[Array, Array, PyTree]:
    """Returns both terms of one micro-batch, and the statistics after two passes."""
    labeled, unlabeled = targets.labeled, targets.classifier
    presence, batch_stats = self.classify(params, batch_stats, to_unit_range(labeled.image))
    shown = shown_classes(labeled.label, self.num_classes)
    loss_presence = jnp.mean(optax.losses.sigmoid_binary_cross_entropy(presence, shown))
    presence, batch_stats = self.classify(params, batch_stats, unlabeled.image)
    loss_consistency = cosine_distance(presence, unlabeled.presence)
    return labeled.share * loss_presence, labeled.share * loss_consistency, batch_stats

  def loss(
    self, params: PyTree, model_state: PyTree, targets: Targets
  ) -> tuple[Array, tuple[PyTree, Metrics]]:
    loss, (model_state, metrics) = super().loss(params, model_state, targets)
    loss_presence, loss_consistency, batch_stats = self.classification_loss(
      params['classifier'], model_state['classifier'], targets
    )
    loss += loss_presence + targets.classifier.weight * loss_consistency
    metrics = {
      **metrics,
      'loss/presence': loss_presence,
      'loss/presence_consistency': loss_consistency,
    }
    return loss, ({**model_state, 'classifier': batch_stats}, metrics)

  def finish(self, state: TrainState) -> PyTree:
    """Moves the teacher towards the classifier."""
    decay = ema_decay(state.step, self.mlmt_decay)
    teacher = state.method_state['classifier_teacher']
    return {'classifier_teacher': ema_update(state.params['classifier'], teacher, decay)}

  def networks(self, state: TrainState) -> Mapping[str, PyTree]:
    """'fused' is the student without the classes that the teacher does not predict."""
    networks = super().networks(state)
    teacher = {
      'params': state.method_state['classifier_teacher'],
      'batch_stats': state.model_state['classifier_teacher'],
    }
    return {**networks, 'fused': {**networks['student'], 'classifier': teacher}}
