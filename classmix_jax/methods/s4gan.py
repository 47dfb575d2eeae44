"""s4GAN: adversarial learning with an image discriminator (Mittal et al., arXiv 1908.05724).

    fake = (S(x_u), x_u)    real = (onehot y_l, x_l)     probabilities joined with their image
    L_S = CE(S(x_l), y_l) + lambda_fm |mean f(real) - mean f(fake)|
        + lambda_st CE(S(x_u), argmax S(x_u)) of images with D(fake) > gamma
    L_D = BCE(D(sg fake), 0) / 2 + BCE(D(real), 1) / 2

(section 3.1). f are the features before D's last layer, sg stops the gradient. D is fixed in L_S
and S is fixed in L_D, so the gradient of L_S + L_D is the right one for either network.

Synopsis:

    method = METHODS['s4gan'](model, num_classes=21, gamma=0.6)
    params, model_state, method_state = method.init(key, image)
"""

from collections.abc import Mapping
import dataclasses
from typing import Any, ClassVar

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
from classmix_jax.methods.s4gan_targets import Scored, Targets, dropout_keys, stretch_contrast
from classmix_jax.methods.supervised import Supervised
from classmix_jax.methods.views import View, view_label
from classmix_jax.models.discriminators import ImageDiscriminator
from classmix_jax.models.segmenter import forward, forward_in_order, to_unit_range
from classmix_jax.types import Array, ArraySpec, Batch, Example, Metrics, PyTree, TrainState
from classmix_jax.utils.ranges import NON_NEGATIVE, POSITIVE_COUNT

_RECIPE = {'batch_size': 8, 'unlabeled_batch_size': 8}  # starts from ImageNet weights


@dataclasses.dataclass(frozen=True)
class S4GAN(Supervised):
  """A student trained to match the discriminator's features of real segmentations.

  Attributes:
    lambda_fm: weight of the feature matching.
    lambda_st: weight of self-training.
    gamma: least D(fake) of images for self-training (0.7 on Cityscapes).
    discriminator_width: channels of its first layer; the last has eight times as many.
    discriminator_learning_rate: its initial learning rate.
    exclude_padding: whether self-training ignores padding of unlabelled crops (not in the
      original).
  """

  lambda_fm: float = option(0.1, NON_NEGATIVE)
  lambda_st: float = option(1.0, NON_NEGATIVE)
  gamma: float = option(0.6, NON_NEGATIVE)
  discriminator_width: int = option(64, POSITIVE_COUNT, small=16)
  discriminator_learning_rate: float = option(1e-4, NON_NEGATIVE)
  exclude_padding: bool = option(True)

  min_unlabeled: ClassVar[int] = 1
  encoded_images: ClassVar[bool] = False
  recipes: ClassVar[Recipes] = {
    'cityscapes': {
      **_RECIPE,
      'data.crop': (256, 512),
      'data.flip': True,
      'method.gamma': 0.7,
      'method.discriminator_learning_rate': 1e-5,
    },
    'pascal_voc': {**_RECIPE, 'data.scale': (1.0, 1.0), 'data.scale_step': 0.0},
  }

  def init(self, key: Array, image: ArraySpec) -> tuple[PyTree, PyTree, PyTree]:
    params, model_state, method_state = super().init(key, image)
    pair = jnp.zeros((1, *image.shape[1:3], self.num_classes + 3))
    keys = jax.random.split(key, 2)
    discriminator = self.discriminator.init(keys[0], pair, keys[1:])['params']
    return {**params, 'discriminator': discriminator}, model_state, method_state

  def optimizers(self, steps: int, power: float) -> Mapping[str, optax.GradientTransformation]:
    rate = self.discriminator_learning_rate
    return {'discriminator': discriminator_optimizer(rate, steps, power)}

  @property
  def discriminator(self) -> ImageDiscriminator:
    return ImageDiscriminator(self.discriminator_width)

  def judge(
    self, discriminator: PyTree, prob: Array, image: Array, keys: Array
  ) -> tuple[Array, Array]:
    """Returns D's logits `[b]` and the features before its last layer, `[b, F]`."""
    pair = jnp.concatenate([prob, image], axis=-1)
    judged: Any = self.discriminator.apply({'params': discriminator}, pair, keys)
    return judged

  def true_prob(self, labeled: Labeled) -> Array:
    return jax.nn.one_hot(labeled.label, self.num_classes)  # void is 0 everywhere

  def score(
    self, params: PyTree, batch_stats: PyTree, example: Example, image: Array, keys: Array
  ) -> tuple[Array, Array, Array]:
    """Returns classes `[A, b, H, W]`, D's logits `[A, b]` and features `[A, b, F]`."""

    def judge(parts: tuple, micro_batch: tuple) -> tuple:
      example, image, keys = micro_batch
      # Batch statistics of these images, as in `loss`, which updates the running ones.
      logits, _ = forward(
        self.model, params['segmenter'], batch_stats, to_unit_range(example.image), train=True
      )
      judged = self.judge(params['discriminator'], jax.nn.softmax(logits), image, keys[:, 0])
      return *parts, (jnp.argmax(logits, axis=-1), *judged)

    parts = fold_micro_batches(judge, (), (example, image, keys))
    return jax.tree.map(lambda *arrays: jnp.stack(arrays), *parts)

  def real_features(
    self, discriminator: PyTree, labeled: Labeled, image: Array, keys: Array
  ) -> Array:
    """Returns mean f(real) of the *global* batch, `[F]`."""

    def judge(means: tuple, micro_batch: tuple) -> tuple:
      labeled, image, keys = micro_batch
      _, features = self.judge(discriminator, self.true_prob(labeled), image, keys[:, 0])
      return *means, jnp.mean(features, axis=0)

    means = fold_micro_batches(judge, (), (labeled, image, keys))
    return ALL_DEVICES.mean(jnp.mean(jnp.stack(means), axis=0))

  def targets(self, state: TrainState, batch: Batch, key: Array) -> tuple[Any, PyTree, Metrics]:
    params, example = state.params, batch.unlabeled
    labeled = self.labeled_loss.targets(batch.labeled)
    keys = dropout_keys(key, example)
    true_keys = dropout_keys(jax.random.fold_in(key, 1), batch.labeled)
    image, true_image = stretch_contrast(example.image), stretch_contrast(labeled.image)
    statistics = state.model_state['segmenter']
    label, logit, features = self.score(params, statistics, example, image, keys)
    fake = ALL_DEVICES.mean(jnp.mean(features, axis=(0, 1)))
    real = self.real_features(params['discriminator'], labeled, true_image, true_keys)
    valid = valid_pixels(example, self.exclude_padding)
    chosen_images = jax.nn.sigmoid(logit) > self.gamma
    chosen = valid & chosen_images[:, :, None, None]

    def repeat(x: Array) -> Array:
      return jnp.broadcast_to(x, (len(label), *x.shape))

    scored = Scored(
      image,
      example.image,
      true_image,
      keys,
      true_keys,
      repeat(real - fake),
      repeat(fake),
      label,
      chosen,
      repeat(device_count(chosen, ALL_DEVICES)),
    )
    metrics = {
      'self_trained_share': jnp.mean(chosen_images, dtype=jnp.float32),
      **class_metrics(batch.labeled, label, valid, self.num_classes),
    }
    return Targets(labeled, scored), state.model_state, metrics

  def matching_loss(self, features: Array, scored: Scored, share: Array) -> Array:
    """Returns |mean f(real) - mean f(fake)|, averaged over f, to be summed over micro-batches.

    The absolute value is the gap times the sign of the gap of the whole batch. So it is a sum over
    images, which does not depend on the number of micro-batches or devices.

    Args:
      features: `[b, F]`, f(fake) of one micro-batch.
      scored: the same micro-batch.
      share: 1 / A.
    """
    # Its value is 0; its gradient is that of the mean.
    difference = scored.fake_features - jnp.mean(features, axis=0)
    return share * jnp.mean(jnp.sign(scored.gap) * (scored.gap + difference))

  def loss(
    self, params: PyTree, model_state: PyTree, targets: Any
  ) -> tuple[Array, tuple[PyTree, Metrics]]:
    labeled, scored = targets.labeled, targets.unlabeled
    student, discriminator = params['segmenter'], params['discriminator']
    images = to_unit_range(labeled.image), to_unit_range(scored.raw)
    (labeled_logits, logits), batch_stats = forward_in_order(
      self.model, student, model_state['segmenter'], images
    )
    loss_sup = self.labeled_loss(labeled_logits, labeled)
    prob = jax.nn.softmax(logits)
    _, features = self.judge(
      lax.stop_gradient(discriminator), prob, scored.image, scored.keys[:, 0]
    )
    loss_fm = self.matching_loss(features, scored, labeled.share)
    loss_st = masked_mean(
      cross_entropy(logits, scored.label), scored.chosen, count=scored.num_pixels
    )
    loss_discriminator = labeled.share * self.discriminator_loss(
      discriminator, lax.stop_gradient(prob), labeled, scored
    )
    loss = loss_sup + self.lambda_fm * loss_fm + self.lambda_st * loss_st + loss_discriminator
    metrics = {
      'loss/sup': loss_sup,
      'loss/fm': loss_fm,
      'loss/st': loss_st,
      'loss/discriminator': loss_discriminator,
    }
    return loss, ({**model_state, 'segmenter': batch_stats}, metrics)

  def discriminator_loss(
    self, discriminator: PyTree, prob: Array, labeled: Labeled, scored: Scored
  ) -> Array:
    """Returns L_D of one micro-batch."""
    fake, _ = self.judge(discriminator, prob, scored.image, scored.keys[:, 1])
    real, _ = self.judge(
      discriminator, self.true_prob(labeled), scored.true_image, scored.true_keys[:, 1]
    )
    return (
      jnp.mean(binary_cross_entropy(fake, real=False))
      + jnp.mean(binary_cross_entropy(real, real=True))
    ) / 2

  def views(self, state: TrainState, batch: Batch, key: Array) -> tuple[View, ...]:
    (_, scored, *_), _, _ = self.targets(state, batch, key)
    valid, label = batch.unlabeled.valid[0], scored.label[0]
    return (
      *super().views(state, batch, key),
      View('image without label', to_unit_range(scored.raw[0]), valid),
      View('its prediction, by the student', label, valid),
      view_label('its pseudo-label, if it looks real', label, valid, scored.chosen[0]),
    )
