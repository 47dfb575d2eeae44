"""UniMatch and FixMatch: a network learns from strong views what it sees in the weak one.

    p = softmax(S(x_u)),  y = argmax p                          no gradient
    L_view = mean over pixels of [max p >= tau] CE(S(view(x_u)), y)
    L_fp = the same of S's logits from x_u's own features with half of the channels dropped
    L = 1/2 (L_sup + (1 - lambda_fp) mean over views of L_view + lambda_fp L_fp)

UniMatch (arXiv 2208.09910) has two views and lambda_fp 1/2, FixMatch one view and 0. A strong
view is distorted in colour, then mixed by CutMix with that of the next image.

Synopsis:

    method = METHODS['unimatch'](model, num_classes=21, threshold=0.95)
    params, model_state, method_state = method.init(key, image)
"""

from collections.abc import Mapping
import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from classmix_jax.core.augment_torchvision import STRONG, distort
from classmix_jax.core.channel_dropout import dropped_channels
from classmix_jax.core.collectives import example_keys
from classmix_jax.core.losses import cross_entropy, device_count, masked_mean
from classmix_jax.core.microbatch import divided
from classmix_jax.core.mixing import mix
from classmix_jax.core.pixel_weights import confident_share
from classmix_jax.core.tiling import per_pixel
from classmix_jax.masks import MASKS
from classmix_jax.methods.labeled_loss import Labeled
from classmix_jax.methods.pseudo_label import PseudoLabel, class_metrics, pseudo_label
from classmix_jax.methods.supervised import Supervised, check_choices
from classmix_jax.models.segmenter import forward, to_unit_range
from classmix_jax.types import AXIS, Array, Batch, Example, Features, Metrics, PyTree

BLUR = 0.5  # how often a view is blurred


class Counted(NamedTuple):
  """Pseudo-labelled images `[A, b, ...]`, and `device_count` of all their valid pixels, `[A]`."""

  pseudo: PseudoLabel
  count: Array


class Targets(NamedTuple):
  """What the student learns from; one micro-batch has no axis A.

  Attributes:
    labeled: see `Labeled`.
    weak: the unlabelled images as they are.
    views: the strong views.
    keys: `[A, b]` random keys of the images, for what happens to their features.
  """

  labeled: Labeled
  weak: Counted
  views: tuple[Counted, ...]
  keys: Array


@dataclasses.dataclass(frozen=True)
class UniMatch(Supervised):
  """Weak-to-strong consistency, of images and of features, without a teacher.

  Attributes:
    num_views: number of strong views.
    mask: a name of `MASKS`: what of a strong view comes from the next image.
    threshold: tau, 0.95 (on Cityscapes UniMatch has 0: every pixel counts).
    lambda_fp: share of the loss of perturbed features, 0 for none.
    feature_dropout: share of the channels that are dropped there.
    strength: of the colour jitter, 1 as published.
    grey: probability of losing all colour.
    blur: whether strong views are sometimes blurred.
    batch_labels: whether the images' own BN statistics are used to label them, or the
      running ones. The original has both: the first inside, the second outside of the boxes
      of CutMix.
    exclude_padding: whether padding of unlabelled crops is kept out, as in the original.
  """

  num_views: int = 2
  mask: str = 'small_box'
  threshold: float = 0.95
  lambda_fp: float = 0.5
  feature_dropout: float = 0.5
  strength: float = 1.0
  grey: float = 0.2
  blur: bool = True
  batch_labels: bool = True
  exclude_padding: bool = True

  def __post_init__(self):
    super().__post_init__()
    check_choices(self, mask=MASKS)

  def pseudo_label(
    self, params: PyTree, model_state: PyTree, method_state: PyTree, example: Example
  ) -> PseudoLabel:
    """Lets the student label the images, `[A b, ...]`; its running statistics stay."""
    del method_state
    found, _ = pseudo_label(
      self.model,
      params['segmenter'],
      model_state['segmenter'],
      example,
      train=self.batch_labels,
      exclude_padding=self.exclude_padding,
    )
    return found

  def strong_view(self, key: Array, weak: PseudoLabel, micro_batches: int) -> PseudoLabel:
    """Distorts the images, then mixes images and labels alike, `[A b, ...]`."""
    mask_key, distort_key = jax.random.split(key)
    place = dict(axis_name=AXIS, micro_batches=micro_batches)
    image = distort(
      distort_key,
      weak.image,
      jitter=[self.strength * limit for limit in STRONG],
      grey=self.grey,
      blur=BLUR * self.blur,
      **place,
    )
    keys = example_keys(mask_key, len(image), **place)
    mask = jax.vmap(MASKS[self.mask], in_axes=(0, 0, None))(keys, weak.label, self.num_classes)
    return jax.tree.map(lambda x: mix(mask, x, **place), weak._replace(image=image))

  def strong_views(
    self, key: Array, weak: PseudoLabel, micro_batches: int
  ) -> tuple[PseudoLabel, ...]:
    return tuple(
      self.strong_view(key, weak, micro_batches) for key in jax.random.split(key, self.num_views)
    )

  def targets(
    self,
    params: PyTree,
    model_state: PyTree,
    method_state: PyTree,
    batch: Batch,
    key: Array,
    step: Array,
  ) -> tuple[Targets, PyTree, Metrics]:
    del step
    parts = len(batch.unlabeled.image)
    view_key, feature_key = jax.random.split(key)
    weak = self.pseudo_label(params, model_state, method_state, batch.unlabeled)

    def counted(pseudo: PseudoLabel) -> Counted:
      count = device_count(pseudo.valid, AXIS)
      return Counted(divided(pseudo, parts), jnp.broadcast_to(count, parts))

    views = self.strong_views(view_key, weak, parts)
    keys = divided(example_keys(feature_key, len(weak.image), AXIS, parts), parts)
    targets = Targets(
      self.labeled_loss.targets(batch.labeled),
      counted(weak),
      tuple(counted(view) for view in views),
      keys,
    )
    share = confident_share(weak.confidence, weak.valid, self.threshold, AXIS)
    classes = class_metrics(batch.labeled, weak.label, weak.valid, self.num_classes)
    return targets, model_state, {'confident_share': share, **classes}

  def matching_loss(self, logits: Array, counted: Counted) -> Array:
    """Cross-entropy where the label is confident, over all valid pixels of the whole batch."""
    pseudo = counted.pseudo
    confident = pseudo.confidence >= self.threshold
    return masked_mean(
      confident * per_pixel(cross_entropy, logits, pseudo.label), pseudo.valid, count=counted.count
    )

  def joint_pass(
    self, student: PyTree, batch_stats: PyTree, targets: Targets
  ) -> tuple[Array, Array, PyTree]:
    """Labelled and weak images as one batch; logits of the first, perturbed ones of the second.

    The original drops channels of the labelled images as well and ignores what becomes of
    them, which changes the statistics of the head a little.
    """
    labeled = to_unit_range(targets.labeled.image)

    def perturb(features: Features) -> Features:
      weak = jax.tree.map(lambda x: x[len(labeled) :], features)
      dropped = dropped_channels(targets.keys, weak, self.feature_dropout)
      return jax.tree.map(lambda *parts: jnp.concatenate(parts), features, dropped)

    image = jnp.concatenate([labeled, targets.weak.pseudo.image])
    logits, batch_stats = forward(
      self.model, student, batch_stats, image, train=True, perturb=perturb, upsample=False
    )
    return logits[: len(labeled)], logits[len(image) :], batch_stats

  def strong_pass(
    self, student: PyTree, batch_stats: PyTree, targets: Targets
  ) -> tuple[Array, PyTree]:
    """All strong views as one batch."""
    image = jnp.concatenate([view.pseudo.image for view in targets.views])
    return forward(self.model, student, batch_stats, image, train=True, upsample=False)

  def loss(
    self, params: PyTree, model_state: PyTree, targets: Targets
  ) -> tuple[Array, tuple[PyTree, Metrics]]:
    student, batch_stats, metrics = params['segmenter'], model_state['segmenter'], {}
    if self.lambda_fp:
      logits, perturbed, batch_stats = self.joint_pass(student, batch_stats, targets)
      loss_sup = self.labeled_loss(logits, targets.labeled)
      metrics['loss/fp'] = self.matching_loss(perturbed, targets.weak)
    else:
      loss_sup, batch_stats = self.supervised_loss(student, batch_stats, targets.labeled)
    strong, batch_stats = self.strong_pass(student, batch_stats, targets)
    losses = [
      self.matching_loss(logits, view)
      for logits, view in zip(jnp.split(strong, len(targets.views)), targets.views, strict=True)
    ]
    metrics |= {'loss/sup': loss_sup, 'loss/unsup': sum(losses) / len(losses)}
    loss = loss_sup + (1 - self.lambda_fp) * metrics['loss/unsup']
    loss += self.lambda_fp * metrics.get('loss/fp', 0.0)
    return loss / 2, ({**model_state, 'segmenter': batch_stats}, metrics)

  def views(
    self, params: PyTree, model_state: PyTree, method_state: PyTree, batch: Batch, key: Array
  ) -> Mapping[str, Array]:
    first = jax.tree.map(lambda x: x[:1], batch.unlabeled)
    weak = self.pseudo_label(params, model_state, method_state, first)
    view = self.strong_view(key, weak, 1)
    return {
      **super().views(params, model_state, method_state, batch, key),
      'unlabeled': weak.image,
      'pseudo_label': weak.label,
      'strong_view': view.image,
      'strong_view_label': view.label,
    }
