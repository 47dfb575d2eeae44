"""s4GAN with its second branch: a mean teacher that says which classes an image shows.

    L = L of s4GAN + BCE(C(x_l), classes in y_l) + w (1 - cos(C(strong(x_u)), T(x_u)))

(Mittal et al., arXiv 1908.05724, section 3.2.) C is a classifier of whole images, T its average,
w grows from 0 to 1 between `mlmt_start` and `mlmt_start + mlmt_ramp`. Where they are evaluated,
logits of classes that T does not see in the image are set to 0. Both branches share nothing.

Synopsis:

    method = METHODS['s4gan_mlmt'](model, num_classes=21)
    params, model_state, method_state = method.init(key, image)
"""

from collections.abc import Mapping
import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from classmix_jax.core.augment_torchvision import MODERATE, distort
from classmix_jax.core.ema import ema_decay, ema_update
from classmix_jax.core.microbatch import divided, in_turn, joined
from classmix_jax.methods.labeled_loss import Labeled
from classmix_jax.methods.s4gan import S4GAN, Scored
from classmix_jax.models.image_classifier import ImageClassifier
from classmix_jax.models.segmenter import forward, initialize, to_unit_range
from classmix_jax.types import AXIS, Array, Batch, Metrics, PyTree


class Taught(NamedTuple):
  """What the classifier learns of the unlabelled batch; one micro-batch has no axis A.

  Attributes:
    image: `[A, b, H, W, 3]` float32, distorted.
    presence: `[A, b, C]` float32, the teacher's logits.
    weight: `[A]` float32, w.
  """

  image: Array
  presence: Array
  weight: Array


class Targets(NamedTuple):
  """What the networks learn from: those of s4GAN, and of the classifier."""

  labeled: Labeled
  unlabeled: Scored
  taught: Taught


def shown_classes(label: Array, num_classes: int) -> Array:
  """Returns `[B, C]` float32: 1 for the classes that occur in `[B, H, W]`."""
  return jnp.max(jax.nn.one_hot(label, num_classes), axis=(1, 2))


def cosine_distance(a: Array, b: Array) -> Array:
  """Returns 1 - cos of the angle between the rows of `[B, C]`, averaged over them."""
  return jnp.mean(optax.losses.cosine_distance(a, b, epsilon=1e-8))


@dataclasses.dataclass(frozen=True)
class S4GANMLMT(S4GAN):
  """`S4GAN` beside a multi-label mean teacher.

  Attributes:
    mlmt_start: step until which w is 0, a tenth of the training in the original.
    mlmt_ramp: steps in which it grows to 1, half of the training in the original.
    mlmt_decay: largest decay of the teacher's average.
  """

  mlmt_start: int = 4_000
  mlmt_ramp: int = 20_000
  mlmt_decay: float = 0.999

  @property
  def classifier(self) -> ImageClassifier:
    return ImageClassifier(self.model.backbone, self.num_classes)

  def init(self, key: Array, image: Array) -> tuple[PyTree, PyTree, PyTree]:
    """The teacher starts as a copy of the classifier."""
    params, model_state, _ = super().init(key, image)
    own, batch_stats = initialize(self.classifier, jax.random.fold_in(key, 2), image)
    return (
      {**params, 'classifier': own},
      {**model_state, 'classifier': batch_stats, 'classifier_teacher': batch_stats},
      {'classifier_teacher': own},
    )

  def classify(self, params: PyTree, batch_stats: PyTree, image: Array) -> tuple[Array, PyTree]:
    """Returns logits of presence `[b, C]`, and the statistics that follow these images."""
    return forward(self.classifier, params, batch_stats, image, train=True)

  def taught_presence(
    self, teacher: PyTree, batch_stats: PyTree, image: Array
  ) -> tuple[Array, PyTree]:
    """The teacher's logits of unlabelled images `[A, b, ...]`, and its new statistics."""

    def classify(teacher: PyTree, found: tuple, image: Array) -> tuple:
      presence, batch_stats = self.classify(teacher, found[1], to_unit_range(image))
      return (*found[0], presence), batch_stats

    presence, batch_stats = in_turn(classify, teacher, ((), batch_stats), image)
    return jnp.stack(presence), batch_stats

  def targets(
    self,
    params: PyTree,
    model_state: PyTree,
    method_state: PyTree,
    batch: Batch,
    key: Array,
    step: Array,
  ) -> tuple[Targets, PyTree, Metrics]:
    (labeled, scored), model_state, metrics = super().targets(
      params, model_state, method_state, batch, key, step
    )
    image = batch.unlabeled.image
    parts = len(image)
    presence, batch_stats = self.taught_presence(
      method_state['classifier_teacher'], model_state['classifier_teacher'], image
    )
    distorted = distort(
      jax.random.fold_in(key, 2),
      joined(to_unit_range(image)),
      jitter=MODERATE,
      jitter_probability=1.0,
      blur=1.0,
      axis_name=AXIS,
      micro_batches=parts,
    )
    weight = jnp.clip((step - self.mlmt_start) / self.mlmt_ramp, 0.0, 1.0)
    taught = Taught(divided(distorted, parts), presence, jnp.broadcast_to(weight, parts))
    model_state = {**model_state, 'classifier_teacher': batch_stats}
    return Targets(labeled, scored, taught), model_state, metrics

  def classification_loss(
    self, params: PyTree, batch_stats: PyTree, targets: Targets
  ) -> tuple[Array, Array, PyTree]:
    """Returns both terms of one micro-batch, and the statistics after its two passes."""
    labeled, taught = targets.labeled, targets.taught
    presence, batch_stats = self.classify(params, batch_stats, to_unit_range(labeled.image))
    shown = shown_classes(labeled.label, self.num_classes)
    loss_presence = jnp.mean(optax.losses.sigmoid_binary_cross_entropy(presence, shown))
    presence, batch_stats = self.classify(params, batch_stats, taught.image)
    loss_consistency = cosine_distance(presence, taught.presence)
    return labeled.share * loss_presence, labeled.share * loss_consistency, batch_stats

  def loss(
    self, params: PyTree, model_state: PyTree, targets: Targets
  ) -> tuple[Array, tuple[PyTree, Metrics]]:
    loss, (updated, metrics) = super().loss(params, model_state, targets)
    loss_presence, loss_consistency, batch_stats = self.classification_loss(
      params['classifier'], model_state['classifier'], targets
    )
    loss += loss_presence + targets.taught.weight * loss_consistency
    metrics |= {'loss/presence': loss_presence, 'loss/presence_consistency': loss_consistency}
    return loss, ({**model_state, **updated, 'classifier': batch_stats}, metrics)

  def finish(self, params: PyTree, method_state: PyTree, step: Array) -> PyTree:
    """Moves the teacher towards the classifier."""
    decay = ema_decay(step, self.mlmt_decay)
    teacher = ema_update(params['classifier'], method_state['classifier_teacher'], decay)
    return {'classifier_teacher': teacher}

  def networks(
    self, params: PyTree, model_state: PyTree, method_state: PyTree
  ) -> Mapping[str, PyTree]:
    """'fused' is the student without the classes that the teacher does not see."""
    networks = super().networks(params, model_state, method_state)
    teacher = {
      'params': method_state['classifier_teacher'],
      'batch_stats': model_state['classifier_teacher'],
    }
    return {**networks, 'fused': {**networks['student'], 'classifier': teacher}}
