"""UniMatch and FixMatch: predictions for a weak view are the labels of strong views.

    p = softmax(S(x_u)),  y = argmax p                          no gradient
    L_view = mean over pixels of [max p >= tau] CE(S(view(x_u)), y)
    L_fp = the same of S's logits from x_u's own features with half of the channels dropped
    L = 1/2 (L_sup + (1 - lambda_fp) mean over views of L_view + lambda_fp L_fp)

UniMatch (arXiv 2208.09910) has two views and lambda_fp 1/2, FixMatch one view and 0. The colors of
a strong view are distorted before CutMix mixes it with the strong view of the next image.

Synopsis:

    method = METHODS['unimatch'](model, num_classes=21, threshold=0.95)
    params, model_state, method_state = method.init(key, image)
"""

import dataclasses
import functools
from typing import Any, ClassVar, NamedTuple, cast

import jax
import jax.numpy as jnp

from classmix_jax.core.augment_torchvision import STRONG, distort
from classmix_jax.core.channel_dropout import drop_channels
from classmix_jax.core.collectives import ALL_DEVICES, GlobalBatch
from classmix_jax.core.encoded import get_pixels, map_pixels
from classmix_jax.core.losses import cross_entropy, device_count, masked_mean
from classmix_jax.core.microbatch import concatenate, split_micro_batches
from classmix_jax.core.mixing import mix
from classmix_jax.core.pixel_weights import confident_share
from classmix_jax.core.tiling import per_pixel
from classmix_jax.masks import MASKS, draw_masks
from classmix_jax.methods.labeled_loss import Labeled
from classmix_jax.methods.options import option
from classmix_jax.methods.pseudo_label import PseudoLabel, class_metrics, make_pseudo_label
from classmix_jax.methods.recipes import UNIMATCH_CITYSCAPES, UNIMATCH_PASCAL_VOC, Recipes
from classmix_jax.methods.supervised import Supervised
from classmix_jax.methods.views import View
from classmix_jax.models.segmenter import forward, to_unit_range
from classmix_jax.types import AXIS, Array, Batch, Example, Features, Metrics, PyTree, TrainState
from classmix_jax.utils.ranges import (
  FRACTION,
  FRACTION_BELOW_ONE,
  NON_NEGATIVE,
  POSITIVE_COUNT,
)

BLUR_PROBABILITY = 0.5


class Counted(NamedTuple):
  """Images with the pixel count that their loss is divided by; one micro-batch has no axis A."""

  images: PseudoLabel  # [A, b, ...]
  num_pixels: Array  # [A] float32, `device_count` of the valid pixels of the whole batch


class Targets(NamedTuple):
  """What the student learns from; one micro-batch has no axis A."""

  labeled: Labeled
  weak: Counted  # the unlabelled images unchanged
  views: tuple[Counted, ...]  # strong views
  keys: Array  # [A, b] random keys for the perturbation of features
  unchanged: Any = None  # [A, b] bool, images whose features V2 does not perturb


@dataclasses.dataclass(frozen=True)
class UniMatch(Supervised):
  """Weak-to-strong consistency, of images and of features, without a teacher.

  Attributes:
    num_views: number of strong views.
    mask: a name of `MASKS`; pixels outside of the mask come from another image.
    threshold: tau, 0.95 (0 on Cityscapes for UniMatch: every pixel counts).
    lambda_fp: weight of the loss of perturbed features, 0 for none.
    feature_dropout: fraction of the channels that are dropped.
    strength: of the color jitter, 1 in the publication.
    grey: probability of conversion to grayscale.
    blur: whether strong views are sometimes blurred.
    batch_labels: whether pseudo-labels come from the images' BN statistics or from the running
      ones. The original has both: the first inside, the second outside of the boxes of CutMix.
    exclude_padding: whether padding of unlabelled crops is ignored, as in the original.
  """

  num_views: int = option(2, POSITIVE_COUNT)
  mask: str = option('small_box', choices=MASKS)
  threshold: float = option(0.95, FRACTION, small=0.9)
  lambda_fp: float = option(0.5, FRACTION)
  feature_dropout: float = option(0.5, FRACTION_BELOW_ONE)
  strength: float = option(1.0, NON_NEGATIVE)
  grey: float = option(0.2, FRACTION)
  blur: bool = option(True, small=False)  # blur wipes out poles, which are one pixel wide
  batch_labels: bool = option(True)
  exclude_padding: bool = option(True)

  min_unlabeled: ClassVar[int] = 2
  reverse_partners: ClassVar[bool] = False  # see `GlobalBatch`
  recipes: ClassVar[Recipes] = {
    'cityscapes': {**UNIMATCH_CITYSCAPES, 'method.threshold': 0.0},
    'pascal_voc': UNIMATCH_PASCAL_VOC,
  }

  def pseudo_label(self, state: TrainState, example: Example) -> PseudoLabel:
    """Labels the images, `[A b, ...]`, by the student; its running statistics do not change."""
    images, _ = make_pseudo_label(
      self.model,
      state.params['segmenter'],
      state.model_state['segmenter'],
      example,
      train=self.batch_labels,
      exclude_padding=self.exclude_padding,
    )
    return images

  def strong_view(self, key: Array, weak: PseudoLabel, micro_batches: int) -> PseudoLabel:
    """Distorts the images, then mixes images and labels alike, `[A b, ...]`."""
    mask_key, distort_key = jax.random.split(key)
    global_batch = GlobalBatch(AXIS, micro_batches, self.reverse_partners)

    def augment(pixels: Array) -> Array:
      return distort(
        distort_key,
        pixels,
        jitter=[self.strength * limit for limit in STRONG],
        grey=self.grey,
        blur=BLUR_PROBABILITY * self.blur,
        global_batch=global_batch,
      )

    image = map_pixels(augment, weak.image)
    mask = draw_masks(self.mask, mask_key, weak.label, self.num_classes, global_batch)
    return jax.tree.map(lambda x: mix(mask, x, global_batch), weak._replace(image=image))

  def strong_views(
    self, key: Array, weak: PseudoLabel, micro_batches: int
  ) -> tuple[PseudoLabel, ...]:
    keys = jax.random.split(key, self.num_views)
    return tuple(self.strong_view(key, weak, micro_batches) for key in keys)

  def targets(self, state: TrainState, batch: Batch, key: Array) -> tuple[Targets, PyTree, Metrics]:
    weak = self.pseudo_label(state, batch.unlabeled)
    targets, metrics = self.match(weak, batch, key)
    return targets, state.model_state, metrics

  def match(self, weak: PseudoLabel, batch: Batch, key: Array) -> tuple[Targets, Metrics]:
    """Returns the targets that follow from labels of the weak images, `[A b, ...]`."""
    micro_batches = len(batch.unlabeled.image)
    view_key, feature_key = jax.random.split(key)

    def count_pixels(images: PseudoLabel) -> Counted:
      count = device_count(images.valid, ALL_DEVICES)
      images = split_micro_batches(images, micro_batches)
      return Counted(images, jnp.broadcast_to(count, micro_batches))

    views = self.strong_views(view_key, weak, micro_batches)
    keys = GlobalBatch(AXIS, micro_batches).keys(feature_key, len(weak.image))
    targets = Targets(
      self.labeled_loss.targets(batch.labeled),
      count_pixels(weak),
      tuple(map(count_pixels, views)),
      split_micro_batches(keys, micro_batches),
    )
    share = confident_share(weak.confidence, weak.valid, self.threshold, ALL_DEVICES)
    classes = class_metrics(batch.labeled, weak.label, weak.valid, self.num_classes)
    return targets, {'confident_share': share, **classes}

  def matching_loss(self, logits: Array, counted: Counted) -> Array:
    """Returns the cross-entropy of confident pixels, averaged over all valid pixels."""
    images = counted.images
    confident = images.confidence >= self.threshold
    pixel_loss = confident * per_pixel(cross_entropy, logits, images.label)
    return masked_mean(pixel_loss, images.valid, count=counted.num_pixels)

  def append_perturbed(self, targets: Targets, features: Features) -> Features:
    """Appends features with dropped channels of the weak images, which follow labelled ones."""
    weak = jax.tree.map(lambda x: x[len(targets.labeled.image) :], features)
    perturbed = drop_channels(targets.keys, weak, self.feature_dropout)
    return concatenate([features, perturbed])

  def joint_pass(
    self, student: PyTree, batch_stats: PyTree, targets: Targets
  ) -> tuple[Array, Array, PyTree]:
    """Returns logits of labelled images, logits of perturbed weak ones, and new statistics.

    Both pass the student as one batch. The original also perturbs labelled images and ignores the
    result, which changes the BN statistics of the head slightly.
    """
    labeled = to_unit_range(targets.labeled.image)
    image = concatenate([labeled, targets.weak.images.image])
    options = {'perturb': functools.partial(self.append_perturbed, targets), 'upsample': False}
    logits, batch_stats = forward(self.model, student, batch_stats, image, train=True, **options)
    return logits[: len(labeled)], logits[len(image) :], batch_stats

  def strong_pass(
    self, student: PyTree, batch_stats: PyTree, targets: Targets
  ) -> tuple[Array, PyTree]:
    """Returns logits of all strong views, which pass as one batch, and new statistics."""
    image = concatenate([view.images.image for view in targets.views])
    return forward(self.model, student, batch_stats, image, train=True, upsample=False)

  def strong_loss(
    self, student: PyTree, batch_stats: PyTree, targets: Targets
  ) -> tuple[Array, PyTree]:
    """Returns the mean over views of L_view, and new statistics."""
    strong, batch_stats = self.strong_pass(student, batch_stats, targets)
    losses = [
      self.matching_loss(logits, view)
      for logits, view in zip(jnp.split(strong, len(targets.views)), targets.views, strict=True)
    ]
    return cast(Array, sum(losses)) / len(losses), batch_stats

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
    loss_unsup, batch_stats = self.strong_loss(student, batch_stats, targets)
    metrics |= {'loss/sup': loss_sup, 'loss/unsup': loss_unsup}
    loss = loss_sup + (1 - self.lambda_fp) * loss_unsup
    loss += self.lambda_fp * metrics.get('loss/fp', 0.0)
    return loss / 2, ({**model_state, 'segmenter': batch_stats}, metrics)

  def views(self, state: TrainState, batch: Batch, key: Array) -> tuple[View, ...]:
    first = jax.tree.map(lambda x: x[:1], batch.unlabeled)
    weak = self.pseudo_label(state, first)
    view = self.strong_view(key, weak, 1)
    return (
      *super().views(state, batch, key),
      View('image without label', get_pixels(weak.image), first.valid[0]),
      View('its pseudo-label', weak.label, first.valid[0]),
      View('strongly augmented and mixed image', get_pixels(view.image), view.valid),
      View('its pseudo-label, mixed alike', view.label, view.valid),
    )
