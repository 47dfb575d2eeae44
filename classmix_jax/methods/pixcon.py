"""PixCon: UniMatch V2 with features of labelled pixels that are contrasted with a bank.

    z = P(features of S) of length 1                   P: two 1x1 convolutions, per pixel
    clean: labelled pixels with argmax S(x_l) = y_l
    L_contrast = mean over anchors of -log (sum over b in bank(y) of exp(z b / T)
                                            / sum over all b in the bank of exp(z b / T))
    L = L of UniMatch V2 + lambda_contrast L_contrast

(arXiv 2607.03068.) Anchors are random clean pixels, equally many of each class. After the step they
enter the bank, which holds the last ones of each class. P takes no part in predictions.

Synopsis:

    method = METHODS['pixcon'](model, num_classes=21)
    params, model_state, method_state = method.init(key, image)
"""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from classmix_jax.core.class_sampling import (
  ClassSample,
  limit_sample,
  locate_drawn,
  sample_classes,
)
from classmix_jax.core.collectives import ALL_DEVICES, GlobalBatch
from classmix_jax.core.contrastive import info_nce
from classmix_jax.core.feature_bank import FeatureBank, empty_bank, enqueue, filled_slots
from classmix_jax.core.losses import device_count, masked_mean
from classmix_jax.core.microbatch import concatenate, fold_micro_batches
from classmix_jax.core.resize import get_size, resize_bilinear, resize_nearest
from classmix_jax.methods import unimatch
from classmix_jax.methods.labeled_loss import Labeled
from classmix_jax.methods.options import option
from classmix_jax.methods.recipes import Recipes
from classmix_jax.methods.unimatch_v2 import UniMatchV2
from classmix_jax.models.projector import PixelProjector
from classmix_jax.models.segmenter import (
  forward_with_features,
  initialize_on_features,
  to_unit_range,
)
from classmix_jax.types import (
  AXIS,
  VOID,
  Array,
  ArraySpec,
  Batch,
  Features,
  Metrics,
  PyTree,
  TrainState,
)
from classmix_jax.utils.ranges import NON_NEGATIVE, POSITIVE_COUNT, Range


class Contrast(NamedTuple):
  """What the contrastive loss needs; one micro-batch has no axis A.

  Attributes:
    pixel: `[A, M]` int32, anchors as indices of the b h w pixels of the features.
    label: `[A, M]` int32, classes of the anchors, `VOID` in unused places.
    num_anchors: `[A]` float32, `device_count` of the anchors of the whole batch.
    bank: `[A, ...]`, the bank before this step.
  """

  pixel: Array
  label: Array
  num_anchors: Array
  bank: FeatureBank


class Targets(NamedTuple):
  """What the student and the projector learn from."""

  consistency: unimatch.Targets
  contrast: Contrast


@dataclasses.dataclass(frozen=True)
class PixCon(UniMatchV2):
  """`UniMatchV2` with a contrastive loss of labelled pixels.

  Attributes:
    lambda_contrast: weight of the contrastive loss.
    temperature: T.
    anchors_per_class: largest number of anchors of a class, in the global batch.
    max_anchors: largest number of all anchors, in the global batch.
    bank_size: features that the bank holds of each class.
    projection_width: channels of the projected features.
  """

  lambda_contrast: float = option(0.1, NON_NEGATIVE)
  temperature: float = option(0.1, Range(1e-3))
  anchors_per_class: int = option(64, POSITIVE_COUNT)
  max_anchors: int = option(1024, POSITIVE_COUNT)
  bank_size: int = option(256, POSITIVE_COUNT)
  projection_width: int = option(256, POSITIVE_COUNT)

  recipes: ClassVar[Recipes] = {
    **UniMatchV2.recipes,
    'cityscapes': {**UniMatchV2.recipes['cityscapes'], 'data.crop': (686, 686)},
  }

  def init(self, key: Array, image: ArraySpec) -> tuple[PyTree, PyTree, PyTree]:
    """Below `head`, the projector has the learning rate of the segmentation head."""
    params, model_state, method_state = super().init(key, image)
    student = self.model, params['segmenter'], model_state['segmenter']
    key = jax.random.fold_in(key, 2)
    projector = initialize_on_features(self.projector, key, *student, image)
    size = self.num_classes, self.anchors_per_class, self.projection_width
    clean_pixels = jnp.zeros(size, jnp.float32), jnp.zeros(self.num_classes, jnp.int32)
    bank = empty_bank(self.num_classes, self.bank_size, self.projection_width)
    return (
      {**params, 'projector': {'head': projector}},
      {**model_state, 'clean_pixels': clean_pixels},
      {**method_state, 'bank': bank},
    )

  @property
  def projector(self) -> PixelProjector:
    return PixelProjector(self.projection_width)

  def project(self, projector: PyTree, features: Features) -> Array:
    """Returns vectors of length 1, `[b, h, w, D]` float32."""
    projected: Any = self.projector.apply({'params': projector['head']}, features)
    return projected

  def embed(self, state: TrainState, labeled: Labeled) -> tuple[Array, Array, Array]:
    """Returns vectors `[A b, h, w, D]`, labels and predictions `[A b, h, w]` of labelled images."""

    def embed(parts: tuple, labeled: Labeled) -> tuple:
      # Batch statistics of these images, as in `loss`, which updates the running ones.
      logits, features, _ = forward_with_features(
        self.model,
        state.params['segmenter'],
        state.model_state['segmenter'],
        to_unit_range(labeled.image),
        train=True,
      )
      projected = self.project(state.params['projector'], features)
      size = get_size(projected)
      prediction = jnp.argmax(resize_bilinear(logits, size), axis=-1)
      return *parts, (projected, resize_nearest(labeled.label, projected), prediction)

    parts = fold_micro_batches(embed, (), labeled)
    return concatenate(parts)

  def sample_pixels(
    self, key: Array, projected: Array, clean: Array, micro_batches: int
  ) -> ClassSample:
    """Samples clean pixels, `anchors_per_class` of each class; `clean` has `VOID` elsewhere."""
    count, height, width = clean.shape
    global_batch = GlobalBatch(AXIS, micro_batches)

    def draw(key: Array) -> Array:
      # 31 bits, for a signed integer of 0 or more.
      return (jax.random.bits(key, (height * width,), jnp.uint32) >> 1).astype(jnp.int32)

    priority = jax.vmap(draw)(global_batch.keys(key, count))
    first = global_batch.indices(count)[:, None] * height * width
    return sample_classes(
      clean.ravel(),
      projected.reshape(-1, self.projection_width),
      priority.ravel(),
      (first + jnp.arange(height * width)[None]).ravel(),
      self.anchors_per_class,
      self.num_classes,
      global_batch,
    )

  def choose_anchors(
    self, key: Array, bank: FeatureBank, sample: ClassSample, clean: Array
  ) -> Contrast:
    """Chooses the anchors of each micro-batch among the sampled pixels.

    Args:
      key: random key, equal on all devices.
      bank: anchors have a class of which it holds a feature.
      sample: the pixels.
      clean: `[A, b h w]` classes.
    """
    drawn = limit_sample(key, sample, self.max_anchors) & (bank.num_stored > 0)[:, None]
    mask = locate_drawn(sample, drawn, clean.size).reshape(clean.shape)
    length = min(self.max_anchors, drawn.size, clean.shape[1])
    pixel = jax.vmap(lambda mask: jnp.flatnonzero(mask, size=length, fill_value=-1))(mask)
    label = jnp.where(pixel < 0, VOID, jnp.take_along_axis(clean, pixel, axis=1))

    def repeat(x: Array) -> Array:
      return jnp.broadcast_to(x, (len(clean), *x.shape))

    count = repeat(device_count(mask, ALL_DEVICES))
    return Contrast(pixel, label, count, jax.tree.map(repeat, bank))

  def targets(self, state: TrainState, batch: Batch, key: Array) -> tuple[Any, PyTree, Metrics]:
    consistency, model_state, metrics = super().targets(state, batch, key)
    micro_batches = len(batch.labeled.image)
    projected, label, prediction = self.embed(state, consistency.labeled)
    clean = jnp.where(label == prediction, label, VOID).astype(jnp.int32)
    sample = self.sample_pixels(jax.random.fold_in(key, 2), projected, clean, micro_batches)
    contrast = self.choose_anchors(
      jax.random.fold_in(key, 3),
      state.method_state['bank'],
      sample,
      clean.reshape(micro_batches, -1),
    )
    share = masked_mean((clean != VOID).astype(jnp.float32), label != VOID, ALL_DEVICES)
    model_state = {**model_state, 'clean_pixels': (sample.features, sample.num_taken)}
    return Targets(consistency, contrast), model_state, {**metrics, 'clean_share': share}

  def contrastive_loss(self, projector: PyTree, features: Features, contrast: Contrast) -> Array:
    """Returns L_contrast of one micro-batch, to be summed over micro-batches."""
    projected = self.project(projector, features).reshape(-1, self.projection_width)
    anchor, bank = projected[contrast.pixel], contrast.bank
    filled = filled_slots(bank)
    anchor_loss = info_nce(anchor, contrast.label, bank.features, filled, self.temperature)
    return jnp.sum(anchor_loss) / contrast.num_anchors

  def loss(
    self, params: PyTree, model_state: PyTree, targets: Any
  ) -> tuple[Array, tuple[PyTree, Metrics]]:
    """Labelled images pass the student once, for L_sup and for L_contrast."""
    student, labeled = params['segmenter'], targets.consistency.labeled
    image = to_unit_range(labeled.image)
    logits, features, batch_stats = forward_with_features(
      self.model, student, model_state['segmenter'], image, train=True
    )
    loss_sup = self.labeled_loss(logits, labeled)
    loss_contrast = self.contrastive_loss(params['projector'], features, targets.contrast)
    loss_unsup, batch_stats = self.strong_loss(student, batch_stats, targets.consistency)
    metrics = {'loss/sup': loss_sup, 'loss/unsup': loss_unsup, 'loss/contrast': loss_contrast}
    loss = (loss_sup + loss_unsup) / 2 + self.lambda_contrast * loss_contrast
    return loss, ({**model_state, 'segmenter': batch_stats}, metrics)

  def finish(self, state: TrainState) -> PyTree:
    """Moves the teacher towards the student and stores the clean pixels of this step."""
    bank = enqueue(state.method_state['bank'], *state.model_state['clean_pixels'])
    return {**super().finish(state), 'bank': bank}
