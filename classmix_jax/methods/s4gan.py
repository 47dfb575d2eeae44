"""s4GAN: adversarial learning with a discriminator of images (Mittal et al., arXiv 1908.05724).

    fake = (S(x_u), x_u)    real = (onehot y_l, x_l)     probabilities joined with their image
    L_S = CE(S(x_l), y_l) + lambda_fm |mean f(real) - mean f(fake)|
        + lambda_st CE(S(x_u), argmax S(x_u)) of images with D(fake) > gamma
    L_D = BCE(D(sg fake), 0) / 2 + BCE(D(real), 1) / 2

(section 3.1 there.) f are the features before D's last layer, sg stops the gradient. Both
losses are added: as D is held fixed in L_S and S in L_D, each network gets its own gradient.

Synopsis:

    method = METHODS['s4gan'](model, num_classes=21, gamma=0.6)
    params, model_state, method_state = method.init(key, image)
"""

from collections.abc import Mapping
import dataclasses
from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

from classmix_jax.core.collectives import example_keys, mean_over_devices
from classmix_jax.core.losses import (
  binary_cross_entropy,
  cross_entropy,
  device_count,
  masked_mean,
)
from classmix_jax.core.microbatch import divided, in_turn
from classmix_jax.methods.labeled_loss import Labeled
from classmix_jax.methods.pseudo_label import class_metrics, valid_pixels
from classmix_jax.methods.supervised import Supervised
from classmix_jax.models.discriminators import ImageDiscriminator
from classmix_jax.models.segmenter import forward, forward_in_order, to_unit_range
from classmix_jax.types import AXIS, VOID, Array, Batch, Example, Metrics, PyTree


class Scored(NamedTuple):
  """What the networks learn from the unlabelled batch; one micro-batch has no axis A.

  Attributes:
    image: `[A, b, H, W, 3]` float32, stretched to 0..1 over the whole batch.
    raw: `[A, b, H, W, 3]` uint8, for the student.
    true_image: `[A, b', H, W, 3]` float32, the labelled images, stretched as well.
    keys: `[A, b, 2]`, of the dropout of D: where it teaches, and where it learns.
    true_keys: `[A, b', 2]`, the same for the labelled images.
    gap: `[A, F]` float32, mean f(real) - mean f(fake) of the whole batch.
    fake_features: `[A, F]` float32, mean f(fake) of the whole batch.
    label: `[A, b, H, W]` int32, the student's own classes.
    chosen: `[A, b, H, W]` bool, the images of which D is convinced.
    count: `[A]` float32, `device_count` of these.
  """

  image: Array
  raw: Array
  true_image: Array
  keys: Array
  true_keys: Array
  gap: Array
  fake_features: Array
  label: Array
  chosen: Array
  count: Array


class Targets(NamedTuple):
  """What the networks learn from."""

  labeled: Labeled
  unlabeled: Scored


def dropout_keys(key: Array, example: Example) -> Array:
  """Returns two keys per image, `[A, b, 2]`, from its index in the *global* batch."""
  parts, images = example.image.shape[:2]
  keys = example_keys(key, parts * images, AXIS, parts)
  return divided(jax.vmap(lambda key: jax.random.split(key, 2))(keys), parts)


def stretched(image: Array) -> Array:
  """Shifts and scales `[A, b, H, W, 3]` uint8 so that the *global* batch spans 0..1."""
  image = to_unit_range(image)
  low = lax.pmin(jnp.min(image), AXIS)
  high = lax.pmax(jnp.max(image), AXIS)
  return (image - low) / jnp.maximum(high - low, 1e-6)


@dataclasses.dataclass(frozen=True)
class S4GAN(Supervised):
  """A student whose predictions have the discriminator's features of the truth.

  Attributes:
    lambda_fm: weight of the feature matching.
    lambda_st: weight of self-training.
    gamma: probability of truth above which an image trains itself (0.7 on Cityscapes).
    discriminator_width: channels of its first layer; the last has eight times as many.
    exclude_padding: whether padding of unlabelled crops is kept out of self-training (not in
      the original).
  """

  lambda_fm: float = 0.1
  lambda_st: float = 1.0
  gamma: float = 0.6
  discriminator_width: int = 64
  exclude_padding: bool = True

  def init(self, key: Array, image: Array) -> tuple[PyTree, PyTree, PyTree]:
    params, model_state, method_state = super().init(key, image)
    pair = jnp.zeros((1, *image.shape[1:3], self.num_classes + 3))
    keys = jax.random.split(key, 2)
    discriminator = self.discriminator.init(keys[0], pair, keys[1:])['params']
    return {**params, 'discriminator': discriminator}, model_state, method_state

  @property
  def discriminator(self) -> ImageDiscriminator:
    return ImageDiscriminator(self.discriminator_width)

  def judge(
    self, discriminator: PyTree, prob: Array, image: Array, keys: Array
  ) -> tuple[Array, Array]:
    """Returns D's logits of truth `[b]` and the features before them `[b, F]`."""
    pair = jnp.concatenate([prob, image], axis=-1)
    return self.discriminator.apply({'params': discriminator}, pair, keys)

  def truth(self, labeled: Labeled) -> Array:
    return jax.nn.one_hot(labeled.label, self.num_classes)  # void is 0 everywhere

  def score(
    self, params: PyTree, batch_stats: PyTree, example: Example, image: Array, keys: Array
  ) -> tuple[Array, Array, Array]:
    """Returns classes `[A, b, H, W]`, D's logits `[A, b]` and features `[A, b, F]`."""

    def judge(params: PyTree, found: tuple, micro: tuple) -> tuple:
      example, image, keys = micro
      # By the statistics of these images, as in `loss`; there the running ones follow.
      logits, _ = forward(
        self.model, params['segmenter'], batch_stats, to_unit_range(example.image), train=True
      )
      judged = self.judge(params['discriminator'], jax.nn.softmax(logits), image, keys[:, 0])
      return *found, (jnp.argmax(logits, axis=-1), *judged)

    found = in_turn(judge, params, (), (example, image, keys))
    return jax.tree.map(lambda *parts: jnp.stack(parts), *found)

  def real_features(
    self, discriminator: PyTree, labeled: Labeled, image: Array, keys: Array
  ) -> Array:
    """Returns mean f(real) of the *global* batch, `[F]`."""

    def judge(discriminator: PyTree, found: tuple, micro: tuple) -> tuple:
      labeled, image, keys = micro
      _, features = self.judge(discriminator, self.truth(labeled), image, keys[:, 0])
      return *found, jnp.mean(features, axis=0)

    found = in_turn(judge, discriminator, (), (labeled, image, keys))
    return mean_over_devices(jnp.mean(jnp.stack(found), axis=0), AXIS)

  def targets(
    self,
    params: PyTree,
    model_state: PyTree,
    method_state: PyTree,
    batch: Batch,
    key: Array,
    step: Array,
  ) -> tuple[Targets, PyTree, Metrics]:
    del method_state, step
    example, labeled = batch.unlabeled, self.labeled_loss.targets(batch.labeled)
    keys = dropout_keys(key, example)
    true_keys = dropout_keys(jax.random.fold_in(key, 1), batch.labeled)
    image, true_image = stretched(example.image), stretched(labeled.image)
    label, logit, features = self.score(params, model_state['segmenter'], example, image, keys)
    fake = mean_over_devices(jnp.mean(features, axis=(0, 1)), AXIS)
    real = self.real_features(params['discriminator'], labeled, true_image, true_keys)
    valid = valid_pixels(example, self.exclude_padding)
    convinced = jax.nn.sigmoid(logit) > self.gamma
    chosen = valid & convinced[:, :, None, None]
    spread = lambda x: jnp.broadcast_to(x, (len(label), *x.shape))
    scored = Scored(
      image,
      example.image,
      true_image,
      keys,
      true_keys,
      spread(real - fake),
      spread(fake),
      label,
      chosen,
      spread(device_count(chosen, AXIS)),
    )
    return (
      Targets(labeled, scored),
      model_state,
      {
        'self_trained_share': jnp.mean(convinced, dtype=jnp.float32),
        **class_metrics(batch.labeled, label, valid, self.num_classes),
      },
    )

  def matching_loss(self, features: Array, scored: Scored, share: Array) -> Array:
    """Returns |mean f(real) - mean f(fake)|, averaged over f, to be summed over micro-batches.

    With the sign of the whole batch's gap, the absolute value is a sum over images: its
    value and gradient do not depend on the number of micro-batches or devices.

    Args:
      features: `[b, F]`, f(fake) of one micro-batch.
      scored: of the same.
      share: 1 / A.
    """
    moved = scored.fake_features - jnp.mean(features, axis=0)  # 0, with a gradient
    return share * jnp.mean(jnp.sign(scored.gap) * (scored.gap + moved))

  def loss(
    self, params: PyTree, model_state: PyTree, targets: Targets
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
    loss_st = masked_mean(cross_entropy(logits, scored.label), scored.chosen, count=scored.count)
    loss_discriminator = labeled.share * self.discriminator_loss(
      discriminator, lax.stop_gradient(prob), labeled, scored
    )
    loss = loss_sup + self.lambda_fm * loss_fm + self.lambda_st * loss_st + loss_discriminator
    return loss, (
      {'segmenter': batch_stats},
      {
        'loss/sup': loss_sup,
        'loss/fm': loss_fm,
        'loss/st': loss_st,
        'loss/discriminator': loss_discriminator,
      },
    )

  def discriminator_loss(
    self, discriminator: PyTree, prob: Array, labeled: Labeled, scored: Scored
  ) -> Array:
    """Returns L_D of one micro-batch."""
    fake, _ = self.judge(discriminator, prob, scored.image, scored.keys[:, 1])
    real, _ = self.judge(
      discriminator, self.truth(labeled), scored.true_image, scored.true_keys[:, 1]
    )
    return (
      jnp.mean(binary_cross_entropy(fake, real=False))
      + jnp.mean(binary_cross_entropy(real, real=True))
    ) / 2

  def views(
    self, params: PyTree, model_state: PyTree, method_state: PyTree, batch: Batch, key: Array
  ) -> Mapping[str, Array]:
    targets, _, _ = self.targets(
      params, model_state, method_state, batch, key, jnp.zeros((), jnp.int32)
    )
    scored = targets.unlabeled
    return {
      **super().views(params, model_state, method_state, batch, key),
      'unlabeled': to_unit_range(scored.raw[0]),
      'unlabeled_prediction': scored.label[0],
      'self_trained_label': jnp.where(scored.chosen[0], scored.label[0], VOID),
    }
