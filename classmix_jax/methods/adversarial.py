"""Adversarial learning with a discriminator of pixels (Hung et al., arXiv 1802.07934).

    L_S = CE(S(x_l), y_l) + lambda_adv BCE(D(S(x_l)), 1)
        + lambda_semi_adv BCE(D(S(x_u)), 1)
        + lambda_semi CE(S(x_u), argmax S(x_u)) where D(S(x_u)) >= trust    from semi_start on
    L_D = BCE(D(sg S(x)), 0) / 2 + BCE(D(onehot y_l), 1) / 2

(section 3 there, equations 1 to 5.) S(x) are probabilities here, sg stops the gradient. Both
losses are added: as D is held fixed in L_S and S in L_D, each network gets its own gradient.

Synopsis:

    method = METHODS['adversarial'](model, num_classes=21, semi_start=5_000)
    params, model_state, method_state = method.init(key, image)
"""

from collections.abc import Mapping
import dataclasses
from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

from classmix_jax.core.losses import (
  binary_cross_entropy,
  cross_entropy,
  device_count,
  masked_mean,
)
from classmix_jax.core.microbatch import in_turn
from classmix_jax.methods.labeled_loss import Labeled
from classmix_jax.methods.pseudo_label import class_metrics, valid_pixels
from classmix_jax.methods.supervised import Supervised
from classmix_jax.models.discriminators import PixelDiscriminator
from classmix_jax.models.segmenter import forward, forward_in_order, to_unit_range
from classmix_jax.types import AXIS, VOID, Array, Batch, Example, Metrics, PyTree


class Judged(NamedTuple):
  """What the networks learn from the unlabelled batch; one micro-batch has no axis A.

  Attributes:
    image: `[A, b, H, W, 3]` uint8.
    valid: `[A, b, H, W]` bool, False where padding is kept out.
    count: `[A]` float32, `device_count` of the valid pixels of the whole batch.
    label: `[A, b, H, W]` int32, the student's own classes.
    trusted: `[A, b, H, W]` bool, where the discriminator believes in them.
    trusted_count: `[A]` float32, `device_count` of these.
    weight_adv: `[A]` float32, lambda_semi_adv or 0.
    weight_semi: `[A]` float32, lambda_semi or 0.
  """

  image: Array
  valid: Array
  count: Array
  label: Array
  trusted: Array
  trusted_count: Array
  weight_adv: Array
  weight_semi: Array


class Targets(NamedTuple):
  """What the networks learn from."""

  labeled: Labeled
  unlabeled: Judged


@dataclasses.dataclass(frozen=True)
class Adversarial(Supervised):
  """A student that a discriminator shall not tell from the truth.

  Attributes:
    lambda_adv: weight of the adversarial term of labelled images.
    lambda_semi_adv: the same, of unlabelled images.
    lambda_semi: weight of self-training.
    semi_start: step from which on the student trains itself.
    trust: probability of truth from which on a pixel trains itself.
    skip_without_trust: whether the adversarial term of unlabelled images, too, is left
      out in steps of self-training where no pixel is trusted, as in the original.
    judge_unlabeled: whether the discriminator learns from unlabelled predictions too.
    discriminator_width: channels of its first layer; the last has eight times as many.
    exclude_padding: whether padding of unlabelled crops is kept out (not in the original).
  """

  lambda_adv: float = 0.01
  lambda_semi_adv: float = 0.001
  lambda_semi: float = 0.1
  semi_start: int = 5_000
  trust: float = 0.2
  skip_without_trust: bool = True
  judge_unlabeled: bool = True
  discriminator_width: int = 64
  exclude_padding: bool = True

  def init(self, key: Array, image: Array) -> tuple[PyTree, PyTree, PyTree]:
    params, model_state, method_state = super().init(key, image)
    prob = jnp.zeros((1, *image.shape[1:3], self.num_classes))
    discriminator = self.discriminator.init(jax.random.fold_in(key, 1), prob)['params']
    return {**params, 'discriminator': discriminator}, model_state, method_state

  @property
  def discriminator(self) -> PixelDiscriminator:
    return PixelDiscriminator(self.discriminator_width)

  def judge(self, discriminator: PyTree, prob: Array) -> Array:
    """Returns the logits of truth, `[B, H, W]`, of probabilities `[B, H, W, C]`."""
    return self.discriminator.apply({'params': discriminator}, prob)

  def label(self, params: PyTree, batch_stats: PyTree, example: Example) -> tuple[Array, Array]:
    """Returns the student's classes of unlabelled images, and where they are trusted."""

    def judge(params: PyTree, found: tuple, example: Example) -> tuple:
      image = to_unit_range(example.image)
      # By the statistics of these images, as in `loss`; there the running ones follow.
      logits, _ = forward(self.model, params['segmenter'], batch_stats, image, train=True)
      truth = jax.nn.sigmoid(self.judge(params['discriminator'], jax.nn.softmax(logits)))
      return *found, (jnp.argmax(logits, axis=-1), truth >= self.trust)

    found = in_turn(judge, params, (), example)
    return jax.tree.map(lambda *parts: jnp.stack(parts), *found)

  def targets(
    self,
    params: PyTree,
    model_state: PyTree,
    method_state: PyTree,
    batch: Batch,
    key: Array,
    step: Array,
  ) -> tuple[Targets, PyTree, Metrics]:
    del method_state, key
    example = batch.unlabeled
    label, trusted = self.label(params, model_state['segmenter'], example)
    valid = valid_pixels(example, self.exclude_padding)
    trusted &= valid
    count, trusted_count = device_count(valid, AXIS), device_count(trusted, AXIS)
    training = step >= self.semi_start
    idle = training & (trusted_count < 1e-3) & self.skip_without_trust
    spread = lambda x: jnp.broadcast_to(x, len(label))
    judged = Judged(
      example.image,
      valid,
      spread(count),
      label,
      trusted,
      spread(trusted_count),
      spread(jnp.where(idle, 0.0, self.lambda_semi_adv)),
      spread(jnp.where(training, self.lambda_semi, 0.0)),
    )
    metrics = {
      'trusted_share': jnp.where(trusted_count < 1e-3, 0.0, trusted_count / count),
      **class_metrics(batch.labeled, label, valid, self.num_classes),
    }
    return Targets(self.labeled_loss.targets(batch.labeled), judged), model_state, metrics

  def segmenter_terms(
    self, discriminator: PyTree, logits: Array, unlabeled_logits: Array, targets: Targets
  ) -> Metrics:
    """Returns the terms of L_S, each to be summed over micro-batches."""
    labeled, judged = targets
    discriminator = lax.stop_gradient(discriminator)
    fooled = lambda logits: binary_cross_entropy(
      self.judge(discriminator, jax.nn.softmax(logits)), real=True
    )
    return {
      'loss/sup': self.labeled_loss(logits, labeled),
      'loss/adv': masked_mean(fooled(logits), labeled.label != VOID, count=labeled.count),
      'loss/semi_adv': masked_mean(fooled(unlabeled_logits), judged.valid, count=judged.count),
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
    fake, mask, count = [logits], [known], labeled.count
    if self.judge_unlabeled:
      fake, mask, count = [logits, unlabeled_logits], [known, judged.valid], count + judged.count
    prob = jax.nn.softmax(lax.stop_gradient(jnp.concatenate(fake)))
    loss_fake = masked_mean(
      binary_cross_entropy(self.judge(discriminator, prob), real=False),
      jnp.concatenate(mask),
      count=count,
    )
    truth = jax.nn.one_hot(labeled.label, self.num_classes)  # void is 0 everywhere
    loss_real = masked_mean(
      binary_cross_entropy(self.judge(discriminator, truth), real=True), known, count=labeled.count
    )
    return (loss_fake + loss_real) / 2

  def loss(
    self, params: PyTree, model_state: PyTree, targets: Targets
  ) -> tuple[Array, tuple[PyTree, Metrics]]:
    """Unlabelled images pass the student first, as in the original."""
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
    return loss, ({'segmenter': batch_stats}, {**terms, 'loss/discriminator': loss_discriminator})

  def views(
    self, params: PyTree, model_state: PyTree, method_state: PyTree, batch: Batch, key: Array
  ) -> Mapping[str, Array]:
    first = jax.tree.map(lambda x: x[:1], batch.unlabeled)
    label, trusted = self.label(params, model_state['segmenter'], first)
    return {
      **super().views(params, model_state, method_state, batch, key),
      'unlabeled': to_unit_range(first.image[0]),
      'unlabeled_prediction': label[0],
      'trusted_prediction': jnp.where(trusted[0], label[0], VOID),
    }
