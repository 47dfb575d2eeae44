"""Adversarial learning with a discriminator of pixels (Hung et al., arXiv 1802.07934).

    L_S = CE(S(x_l), y_l) + lambda_adv BCE(D(S(x_l)), 1)
        + lambda_semi_adv BCE(D(S(x_u)), 1)
        + lambda_semi CE(S(x_u), argmax S(x_u)) where D(S(x_u)) >= trust    from semi_start on
    L_D = BCE(D(sg S(x)), 0) / 2 + BCE(D(onehot y_l), 1) / 2

(section 3, equations 1 to 5). S(x) are probabilities, sg stops the gradient. D is fixed in L_S and
S is fixed in L_D, so the gradient of L_S + L_D is the right one for either network.

Synopsis:

    method = METHODS['adversarial'](model, num_classes=21, semi_start=5_000)
    params, model_state, method_state = method.init(key, image)
"""

from collections.abc import Mapping
import dataclasses
from typing import ClassVar, NamedTuple, cast

import jax
from jax import lax
import jax.numpy as jnp
import optax

from classmix_jax.core.collectives import ALL_DEVICES
from classmix_jax.core.losses import (
  binary_cross_entropy,
  cross_entropy,
  device_count,
  masked_mean,
)
from classmix_jax.core.microbatch import fold_micro_batches
from classmix_jax.methods.adversary import discriminator_optimizer
from classmix_jax.methods.labeled_loss import Labeled
from classmix_jax.methods.options import option
from classmix_jax.methods.pseudo_label import class_metrics, valid_pixels
from classmix_jax.methods.recipes import Recipes
from classmix_jax.methods.supervised import Supervised
from classmix_jax.methods.views import View, view_label
from classmix_jax.models.discriminators import PixelDiscriminator
from classmix_jax.models.segmenter import forward, forward_in_order, to_unit_range
from classmix_jax.types import VOID, Array, ArraySpec, Batch, Example, Metrics, PyTree, TrainState
from classmix_jax.utils.ranges import FRACTION, NON_NEGATIVE, POSITIVE_COUNT


class Judged(NamedTuple):
  """What the networks learn from the unlabelled batch; one micro-batch has no axis A."""

  image: Array  # [A, b, H, W, 3] uint8
  valid: Array  # [A, b, H, W] bool, False on padding if that is excluded
  num_pixels: Array  # [A] float32, `device_count` of the valid pixels of the whole batch
  label: Array  # [A, b, H, W] int32, classes that the student predicts
  trusted: Array  # [A, b, H, W] bool, True if the discriminator takes the prediction for real
  trusted_count: Array  # [A] float32, `device_count` of the trusted pixels
  weight_adv: Array  # [A] float32, lambda_semi_adv or 0
  weight_semi: Array  # [A] float32, lambda_semi or 0


class Targets(NamedTuple):
  """What the networks learn from."""

  labeled: Labeled
  unlabeled: Judged


@dataclasses.dataclass(frozen=True)
class Adversarial(Supervised):
  """A student trained to fool a discriminator of pixels.

  Attributes:
    lambda_adv: weight of the adversarial term of labelled images.
    lambda_semi_adv: weight of the adversarial term of unlabelled images.
    lambda_semi: weight of self-training.
    semi_start: first step with self-training.
    trust: least D(S(x_u)) of pixels for self-training.
    skip_without_trust: whether to skip the adversarial term of unlabelled images, too, in steps of
      self-training without a trusted pixel, as in the original.
    judge_unlabeled: whether the discriminator learns from unlabelled predictions, too.
    discriminator_width: channels of its first layer; the last has eight times as many.
    discriminator_learning_rate: its initial learning rate.
    exclude_padding: whether padding of unlabelled crops is ignored (not in the original).
  """

  lambda_adv: float = option(0.01, NON_NEGATIVE)
  lambda_semi_adv: float = option(0.001, NON_NEGATIVE)
  lambda_semi: float = option(0.1, NON_NEGATIVE)
  semi_start: int = option(5_000, NON_NEGATIVE, small=750)  # a quarter of the steps
  trust: float = option(0.2, FRACTION)
  skip_without_trust: bool = option(True)
  judge_unlabeled: bool = option(True)
  discriminator_width: int = option(64, POSITIVE_COUNT, small=16)
  discriminator_learning_rate: float = option(1e-4, NON_NEGATIVE)
  exclude_padding: bool = option(True)

  min_unlabeled: ClassVar[int] = 1
  encoded_images: ClassVar[bool] = False
  recipes: ClassVar[Recipes] = {  # crops without scaling, half as many steps as ClassMix
    'pascal_voc': {'steps': 20_000, 'data.scale': (1.0, 1.0), 'data.scale_step': 0.0}
  }

  def init(self, key: Array, image: ArraySpec) -> tuple[PyTree, PyTree, PyTree]:
    params, model_state, method_state = super().init(key, image)
    prob = jnp.zeros((1, *image.shape[1:3], self.num_classes))
    discriminator = self.discriminator.init(jax.random.fold_in(key, 1), prob)['params']
    return {**params, 'discriminator': discriminator}, model_state, method_state

  def optimizers(self, steps: int, power: float) -> Mapping[str, optax.GradientTransformation]:
    rate = self.discriminator_learning_rate
    return {'discriminator': discriminator_optimizer(rate, steps, power)}

  @property
  def discriminator(self) -> PixelDiscriminator:
    return PixelDiscriminator(self.discriminator_width)

  def judge(self, discriminator: PyTree, prob: Array) -> Array:
    """Returns the discriminator's logits `[B, H, W]` for probabilities `[B, H, W, C]`."""
    return cast(Array, self.discriminator.apply({'params': discriminator}, prob))

  def label(self, params: PyTree, batch_stats: PyTree, example: Example) -> tuple[Array, Array]:
    """Returns the student's classes of images `[A, b, ...]`, and where they are trusted."""

    def judge(parts: tuple, example: Example) -> tuple:
      image = to_unit_range(example.image)
      # Batch statistics of these images, as in `loss`, which updates the running ones.
      logits, _ = forward(self.model, params['segmenter'], batch_stats, image, train=True)
      truth = jax.nn.sigmoid(self.judge(params['discriminator'], jax.nn.softmax(logits)))
      return *parts, (jnp.argmax(logits, axis=-1), truth >= self.trust)

    parts = fold_micro_batches(judge, (), example)
    return jax.tree.map(lambda *arrays: jnp.stack(arrays), *parts)

  def targets(self, state: TrainState, batch: Batch, key: Array) -> tuple[Targets, PyTree, Metrics]:
    del key
    example = batch.unlabeled
    label, trusted = self.label(state.params, state.model_state['segmenter'], example)
    valid = valid_pixels(example, self.exclude_padding)
    trusted &= valid
    count, trusted_count = device_count(valid, ALL_DEVICES), device_count(trusted, ALL_DEVICES)
    starts = state.step >= self.semi_start
    idle = starts & (trusted_count < 1e-3) & self.skip_without_trust

    def repeat(x: Array) -> Array:
      return jnp.broadcast_to(x, len(label))

    judged = Judged(
      example.image,
      valid,
      repeat(count),
      label,
      trusted,
      repeat(trusted_count),
      repeat(jnp.where(idle, 0.0, self.lambda_semi_adv)),
      repeat(jnp.where(starts, self.lambda_semi, 0.0)),
    )
    metrics = {
      'trusted_share': jnp.where(trusted_count < 1e-3, 0.0, trusted_count / count),
      **class_metrics(batch.labeled, label, valid, self.num_classes),
    }
    return Targets(self.labeled_loss.targets(batch.labeled), judged), state.model_state, metrics

  def segmenter_terms(
    self, discriminator: PyTree, logits: Array, unlabeled_logits: Array, targets: Targets
  ) -> Metrics:
    """Returns the terms of L_S, each to be summed over micro-batches."""
    labeled, judged = targets
    discriminator = lax.stop_gradient(discriminator)

    def fool(logits: Array) -> Array:
      truth = self.judge(discriminator, jax.nn.softmax(logits))
      return binary_cross_entropy(truth, real=True)

    return {
      'loss/sup': self.labeled_loss(logits, labeled),
      'loss/adv': masked_mean(fool(logits), labeled.label != VOID, count=labeled.num_pixels),
      'loss/semi_adv': masked_mean(fool(unlabeled_logits), judged.valid, count=judged.num_pixels),
      'loss/semi': masked_mean(
        cross_entropy(unlabeled_logits, judged.label), judged.trusted, count=judged.trusted_count
      ),
    }

  def discriminator_loss(
    self, discriminator: PyTree, logits: Array, unlabeled_logits: Array, targets: Targets
  ) -> Array:
    """Returns L_D, to be summed over micro-batches."""
    labeled, judged = targets
    known = labeled.label != VOID
    fake, mask, count = [logits], [known], labeled.num_pixels
    if self.judge_unlabeled:
      fake, mask, count = (
        [logits, unlabeled_logits],
        [known, judged.valid],
        count + judged.num_pixels,
      )
    prob = jax.nn.softmax(lax.stop_gradient(jnp.concatenate(fake)))
    loss_fake = masked_mean(
      binary_cross_entropy(self.judge(discriminator, prob), real=False),
      jnp.concatenate(mask),
      count=count,
    )
    truth = jax.nn.one_hot(labeled.label, self.num_classes)  # void is 0 everywhere
    loss_real = masked_mean(
      binary_cross_entropy(self.judge(discriminator, truth), real=True),
      known,
      count=labeled.num_pixels,
    )
    return (loss_fake + loss_real) / 2

  def loss(
    self, params: PyTree, model_state: PyTree, targets: Targets
  ) -> tuple[Array, tuple[PyTree, Metrics]]:
    """Unlabelled images pass the student before labelled ones, as in the original."""
    labeled, judged = targets
    student, batch_stats = params['segmenter'], model_state['segmenter']
    images = to_unit_range(judged.image), to_unit_range(labeled.image)
    (unlabeled_logits, logits), batch_stats = forward_in_order(
      self.model, student, batch_stats, images
    )
    networks = params['discriminator'], logits, unlabeled_logits, targets
    terms = self.segmenter_terms(*networks)
    loss_discriminator = self.discriminator_loss(*networks)
    loss = (
      terms['loss/sup']
      + self.lambda_adv * terms['loss/adv']
      + judged.weight_adv * terms['loss/semi_adv']
      + judged.weight_semi * terms['loss/semi']
      + loss_discriminator
    )
    return loss, (
      {**model_state, 'segmenter': batch_stats},
      {**terms, 'loss/discriminator': loss_discriminator},
    )

  def views(self, state: TrainState, batch: Batch, key: Array) -> tuple[View, ...]:
    first = jax.tree.map(lambda x: x[:1], batch.unlabeled)
    label, trusted = self.label(state.params, state.model_state['segmenter'], first)
    valid = first.valid[0]
    return (
      *super().views(state, batch, key),
      View('image without label', to_unit_range(first.image[0]), valid),
      View('its prediction, by the student', label[0], valid),
      view_label('its pseudo-label, where it looks real', label[0], valid, trusted[0]),
    )
