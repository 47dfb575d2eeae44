"""The mean teacher on mixed images: ClassMix, CutMix, CowMix, and unmixed.

L = L_sup + lambda_u L_u (arXiv 2007.07936, equation 1 and section 3.2):

    p = softmax(T(x_u))                              teacher, no gradient
    M = mask(argmax p)                               masks/
    x_mix = M x_u + (1 - M) next(x_u),  p_mix alike  core/mixing.py
    L_u = mean over pixels of w CE(S(augment(x_mix)), argmax p_mix)
"""

from collections.abc import Mapping
import dataclasses
import functools
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool

from classmix_jax.core.augment_kornia import strong_augment
from classmix_jax.core.collectives import ALL_DEVICES, GlobalBatch
from classmix_jax.core.ema import ema_decay
from classmix_jax.core.encoded import map_pixels
from classmix_jax.core.losses import cross_entropy, device_count, masked_mean, squared_error
from classmix_jax.core.microbatch import split_micro_batches
from classmix_jax.core.mixing import mix
from classmix_jax.core.pixel_weights import WEIGHTS, confident_share
from classmix_jax.core.tiling import per_pixel
from classmix_jax.masks import MASKS, draw_masks
from classmix_jax.methods.labeled_loss import Labeled
from classmix_jax.methods.options import option
from classmix_jax.methods.pseudo_label import PseudoLabel, class_metrics, make_pseudo_label
from classmix_jax.methods.recipes import CLASSMIX, Recipes
from classmix_jax.methods.supervised import Supervised
from classmix_jax.methods.teacher import add_teacher, move_teacher, teacher_network
from classmix_jax.methods.views import View, view_mixing
from classmix_jax.models.segmenter import forward_in_order, to_unit_range
from classmix_jax.types import AXIS, Array, ArraySpec, Batch, Example, Metrics, PyTree, TrainState
from classmix_jax.utils.ranges import FRACTION, NON_NEGATIVE, POSITIVE_COUNT


class Targets(NamedTuple):
  """What the student learns from; one micro-batch has no axis A."""

  labeled: Labeled
  mixed: PseudoLabel  # [A, b, ...], `prob` is None unless the loss needs it
  weight: Array  # [A, b, H, W] float32, of each mixed pixel
  num_pixels: Array  # [A] float32, `device_count` of the valid mixed pixels of the whole batch


@dataclasses.dataclass(frozen=True)
class MeanTeacher(Supervised):
  """Consistency with a mean teacher on mixed images."""

  mask: str = option('class', choices=MASKS)
  consistency: str = option('ce', choices=('ce', 'mse'))  # mse of probabilities
  pixel_weight: str = option('threshold_uniform', choices=WEIGHTS)  # w, not used by 'mse'
  threshold: float = option(0.968, FRACTION, small=0.9)  # least probability of confident pixels
  ramp_steps: int = option(10_000, POSITIVE_COUNT, small=750)  # of the pixel weight 'sigmoid'
  lambda_u: float = option(1.0, NON_NEGATIVE)
  max_decay: float = option(0.99, FRACTION)  # of the teacher's average
  warm_up: bool = option(True)  # whether the decay grows from 0 to `max_decay`
  jitter: float = option(0.25, NON_NEGATIVE)  # strength of color jitter of mixed images
  blur: bool = option(True)  # whether mixed images are sometimes blurred
  exclude_padding: bool = option(True)  # whether L_u ignores padding (not in the original)

  averages: ClassVar[Mapping[str, str]] = {'teacher': 'segmenter'}
  min_unlabeled: ClassVar[int] = 2
  network_names: ClassVar[tuple[str, ...]] = ('student', 'teacher')
  recipes: ClassVar[Recipes] = CLASSMIX

  def init(self, key: Array, image: ArraySpec) -> tuple[PyTree, PyTree, PyTree]:
    return add_teacher(*super().init(key, image)[:2])

  def combine(
    self, mask: Bool[Array, 'N H W'], images: PseudoLabel, key: Array, global_batch: GlobalBatch
  ) -> tuple[PseudoLabel, Bool[Array, 'N H W']]:
    """Mixes images and labels of N = A b images; also returns which pixels count."""
    return jax.tree.map(lambda x: mix(mask, x, global_batch), images), jnp.ones_like(mask)

  def mix_unlabeled(
    self, state: TrainState, example: Example, key: Array
  ) -> tuple[PseudoLabel, PseudoLabel, Array, PyTree]:
    """Pseudo-labels images `[A, b, ...]` by the teacher, mixes and augments them.

    The teacher normalizes by the statistics of these images, as in the original. Returns them, the
    mixed images, which pixels of these count, and the teacher's new running statistics.
    """
    mask_key, augment_key = jax.random.split(key)
    global_batch = GlobalBatch(AXIS, len(example.image))
    teacher, batch_stats = state.method_state['teacher'], state.model_state['teacher']
    modes = {'exclude_padding': self.exclude_padding, 'keep_prob': self.consistency != 'ce'}
    images, batch_stats = make_pseudo_label(
      self.model, teacher, batch_stats, example, train=True, **modes
    )
    mask = draw_masks(self.mask, mask_key, images.label, self.num_classes, global_batch)
    mixed, counts = self.combine(mask, images, key, global_batch)
    options: PyTree = {'jitter': self.jitter, 'blur': self.blur, 'global_batch': global_batch}
    image = map_pixels(lambda x: strong_augment(augment_key, x, **options), mixed.image)
    return images, mixed._replace(image=image), counts, batch_stats

  def targets(self, state: TrainState, batch: Batch, key: Array) -> tuple[Targets, PyTree, Metrics]:
    _, mixed, counts, batch_stats = self.mix_unlabeled(state, batch.unlabeled, key)
    confidence, valid, threshold = mixed.confidence, mixed.valid, self.threshold
    weigh = WEIGHTS['threshold_uniform' if self.consistency == 'mse' else self.pixel_weight]
    weight = counts * weigh(confidence, valid, state.step / self.ramp_steps, threshold, ALL_DEVICES)
    micro_batches = len(batch.unlabeled.image)
    count = jnp.broadcast_to(device_count(valid, ALL_DEVICES), micro_batches)
    fraction = confident_share(confidence, valid, threshold, ALL_DEVICES)
    metrics = class_metrics(batch.labeled, mixed.label, valid, self.num_classes)
    mixed, weight = split_micro_batches((mixed, weight), micro_batches)
    targets = Targets(self.labeled_loss.targets(batch.labeled), mixed, weight, count)
    metrics = {'confident_share': fraction, **metrics}
    return targets, {**state.model_state, 'teacher': batch_stats}, metrics

  def pixel_loss(self, logits: Array, mixed: PseudoLabel) -> Array:
    """Returns the consistency per pixel, `[b, H, W]`; logits may be smaller than the images."""
    if mixed.prob is None:
      return per_pixel(cross_entropy, logits, mixed.label)
    return per_pixel(squared_error, logits, mixed.prob)

  def loss(
    self, params: PyTree, model_state: PyTree, targets: Targets
  ) -> tuple[Array, tuple[PyTree, Metrics]]:
    """Labelled images pass the student before mixed ones, as in the original."""
    images = to_unit_range(targets.labeled.image), targets.mixed.image
    (labeled, mixed), batch_stats = forward_in_order(
      self.model, params['segmenter'], model_state['segmenter'], images, upsample=False
    )
    loss_sup = self.labeled_loss(labeled, targets.labeled)
    pixel_loss = targets.weight * self.pixel_loss(mixed, targets.mixed)
    loss_unsup = masked_mean(pixel_loss, targets.mixed.valid, count=targets.num_pixels)
    metrics = {'loss/sup': loss_sup, 'loss/unsup': loss_unsup}
    state = {**model_state, 'segmenter': batch_stats}
    return loss_sup + self.lambda_u * loss_unsup, (state, metrics)

  def finish(self, state: TrainState) -> PyTree:
    decay = ema_decay(state.step, self.max_decay) if self.warm_up else self.max_decay
    return move_teacher(state, decay)

  def networks(self, state: TrainState) -> Mapping[str, PyTree]:
    return {**super().networks(state), **teacher_network(state)}

  def views(self, state: TrainState, batch: Batch, key: Array) -> tuple[View, ...]:
    mixing = self.mix_unlabeled(state, batch.unlabeled, key)[:3]
    predict = functools.partial(self.predict_label, state)
    heading = 'augmented image' if self.mask == 'none' else 'mixed image'
    views = view_mixing(heading, batch.unlabeled, *mixing, predict)
    return (*super().views(state, batch, key), *views)
