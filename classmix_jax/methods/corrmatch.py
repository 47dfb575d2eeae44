"""CorrMatch: FixMatch with labels and logits that spread along correlations of features.

    C = softmax(q k^T / sqrt(D)), q, k from 1x1 convolutions of the features of S
    y, r = argmax S(x_u) and whether its probability is at least tau, spread over segments of C
    L_s, L_kl = mean over pixels of [r] CE(S(strong(x_u)), y), [r] KL(S(strong(x_u)) | S(x_u))
    L_fp, L_corr = mean over pixels of [r] CE(S(x_u) with dropped features, y), [r] CE(C S(x_u), y)
    L = 1/2 (1/2 (L_sup + L_sup of C S(x_l)) + 1/4 (L_s + L_kl + L_fp + L_corr))

(arXiv 2306.04300; written from the paper.) tau is an average of the highest confidence of a class.

Synopsis:

    method = METHODS['corrmatch'](model, num_classes=21)
    params, model_state, method_state = method.init(key, image)
"""

import dataclasses
import functools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from classmix_jax.core.collectives import ALL_DEVICES, GlobalBatch
from classmix_jax.core.correlation import correlate, propagate_labels, top_confidence
from classmix_jax.core.ema import ema_update
from classmix_jax.core.losses import kl_divergence, masked_mean
from classmix_jax.core.microbatch import concatenate, fold_micro_batches
from classmix_jax.core.resize import get_size, resize_bilinear
from classmix_jax.core.tiling import per_pixel, top_class
from classmix_jax.methods.options import option
from classmix_jax.methods.pseudo_label import PseudoLabel, valid_pixels
from classmix_jax.methods.recipes import UNIMATCH_CITYSCAPES, UNIMATCH_PASCAL_VOC, Recipes
from classmix_jax.methods.unimatch import Counted, Targets, UniMatch
from classmix_jax.models.correlator import Correlator
from classmix_jax.models.segmenter import (
  forward_with_features,
  initialize_on_features,
  to_unit_range,
)
from classmix_jax.types import (
  AXIS,
  Array,
  ArraySpec,
  Batch,
  Example,
  Features,
  Metrics,
  PyTree,
  TrainState,
)
from classmix_jax.utils.ranges import FRACTION, POSITIVE_COUNT, Range


@dataclasses.dataclass(frozen=True)
class CorrMatch(UniMatch):
  """`UniMatch` with one view, and with correlations of features.

  Attributes:
    num_views: number of strong views.
    threshold: tau before the first step.
    threshold_decay: of the average that tau is.
    num_segments: pixels of an image whose correlations are segments.
    correlation_width: D, channels of query and key.
  """

  num_views: int = option(1, POSITIVE_COUNT)
  threshold: float = option(0.85, Range(1e-3, 1))
  threshold_decay: float = option(0.999, FRACTION)
  num_segments: int = option(128, POSITIVE_COUNT, small=32)
  correlation_width: int = option(256, POSITIVE_COUNT)

  # The paper's rates of ASPP, 12, 24 and 36, are those of stride 8.
  recipes: ClassVar[Recipes] = {
    'cityscapes': {**UNIMATCH_CITYSCAPES, 'model.output_stride': 8},
    'pascal_voc': {**UNIMATCH_PASCAL_VOC, 'model.output_stride': 8},
  }

  def init(self, key: Array, image: ArraySpec) -> tuple[PyTree, PyTree, PyTree]:
    """Below `head`, the correlator has the learning rate of the segmentation head."""
    params, model_state, method_state = super().init(key, image)
    student = self.model, params['segmenter'], model_state['segmenter']
    key = jax.random.fold_in(key, 2)
    correlator = initialize_on_features(self.correlator, key, *student, image)
    return (
      {**params, 'correlator': {'head': correlator}},
      {**model_state, 'top_confidence': jnp.zeros((), jnp.float32)},
      {**method_state, 'tau': jnp.full((), self.threshold, jnp.float32)},
    )

  @property
  def correlator(self) -> Correlator:
    return Correlator(self.correlation_width)

  def query_and_key(self, correlator: PyTree, features: Features) -> tuple[Array, Array]:
    """Returns query and key, `[b, h, w, D]` float32."""
    pair: Any = self.correlator.apply({'params': correlator['head']}, features)
    return pair

  def propagate(self, correlator: PyTree, logits: Array, features: Features) -> Array:
    """Returns C S(x) at the size of the features, `[b, h, w, C]`."""
    query, key = self.query_and_key(correlator, features)
    batch, height, width, _ = query.shape
    query, key, value = (
      x.reshape(batch, height * width, -1)
      for x in (query, key, resize_bilinear(logits, (height, width)))
    )
    return (correlate(query, key) @ value).reshape(batch, height, width, -1)

  def segment_maps(self, query: Array, key: Array, random_keys: Array) -> Array:
    """Returns correlations `[b, S, h, w]` of random pixels with the pixels of their image."""
    batch, height, width, _ = query.shape
    count = min(self.num_segments, height * width)

    def choose(random_key: Array, query: Array) -> Array:
      return query[jax.random.permutation(random_key, len(query))[:count]]

    query, key = (x.reshape(batch, height * width, -1) for x in (query, key))
    maps = correlate(jax.vmap(choose)(random_keys, query), key)
    return maps.reshape(batch, count, height, width)

  def label_weak(
    self, state: TrainState, example: Example, random_keys: Array
  ) -> tuple[PseudoLabel, Array]:
    """Labels images `[A, b, ...]` by the student and spreads the labels.

    Returns:
      Images `[A b, ...]`, whose confidence is 1 where a label counts and else 0, and the mean over
      predicted classes of their highest confidence.
    """
    params, tau = state.params, state.method_state['tau']

    def label(parts: tuple, micro_batch: tuple) -> tuple:
      example, random_keys = micro_batch
      image, valid = to_unit_range(example.image), valid_pixels(example, self.exclude_padding)
      logits, features, _ = forward_with_features(
        self.model,
        params['segmenter'],
        state.model_state['segmenter'],
        image,
        train=self.batch_labels,
      )
      size = get_size(image)
      classes, confidence = per_pixel(top_class, logits, size=size)
      maps = self.segment_maps(*self.query_and_key(params['correlator'], features), random_keys)
      spread, reliable = propagate_labels(
        classes, confidence >= tau, valid, maps, tau, self.num_classes
      )
      prob = jax.nn.softmax(resize_bilinear(logits, size))
      weak = PseudoLabel(image, spread, reliable.astype(jnp.float32), prob, valid)
      return *parts, (weak, classes, confidence)

    parts = fold_micro_batches(label, (), (example, random_keys))
    weak, classes, confidence = concatenate(parts)
    top = top_confidence(classes, confidence, weak.valid, self.num_classes, ALL_DEVICES)
    return weak, top

  def targets(self, state: TrainState, batch: Batch, key: Array) -> tuple[Targets, PyTree, Metrics]:
    micro_batches, per_device = batch.unlabeled.image.shape[:2]
    random_keys = GlobalBatch(AXIS, micro_batches).keys(
      jax.random.fold_in(key, 2), micro_batches * per_device
    )
    random_keys = random_keys.reshape(micro_batches, per_device)
    weak, top = self.label_weak(state, batch.unlabeled, random_keys)
    targets, metrics = self.match(weak, batch, key)
    model_state = {**state.model_state, 'top_confidence': top}
    return targets, model_state, {**metrics, 'threshold': state.method_state['tau']}

  def soft_loss(self, logits: Array, counted: Counted) -> Array:
    """Returns the divergence from the weak image's probabilities, as `matching_loss`."""
    images = counted.images
    assert images.prob is not None
    pixel_loss = images.confidence * per_pixel(kl_divergence, logits, images.prob)
    return masked_mean(pixel_loss, images.valid, count=counted.num_pixels)

  def labeled_and_weak_losses(
    self, params: PyTree, batch_stats: PyTree, targets: Targets
  ) -> tuple[Metrics, PyTree]:
    """Returns the losses of labelled and weak images, which pass as one batch, and statistics."""
    labeled, weak = to_unit_range(targets.labeled.image), targets.weak.images.image
    image = concatenate([labeled, weak])
    logits, features, batch_stats = forward_with_features(
      self.model,
      params['segmenter'],
      batch_stats,
      image,
      train=True,
      perturb=functools.partial(self.append_perturbed, targets),
    )
    features = jax.tree.map(lambda x: x[: len(image)], features)
    propagated = self.propagate(params['correlator'], logits[: len(image)], features)
    losses = {
      'loss/sup': self.labeled_loss(logits[: len(labeled)], targets.labeled),
      'loss/sup_corr': self.labeled_loss(propagated[: len(labeled)], targets.labeled),
      'loss/fp': self.matching_loss(logits[len(image) :], targets.weak),
      'loss/corr': self.matching_loss(propagated[len(labeled) :], targets.weak),
    }
    return losses, batch_stats

  def loss(
    self, params: PyTree, model_state: PyTree, targets: Targets
  ) -> tuple[Array, tuple[PyTree, Metrics]]:
    losses, batch_stats = self.labeled_and_weak_losses(params, model_state['segmenter'], targets)
    strong, batch_stats = self.strong_pass(params['segmenter'], batch_stats, targets)
    views = list(zip(jnp.split(strong, len(targets.views)), targets.views, strict=True))
    hard = jnp.mean(jnp.stack([self.matching_loss(*view) for view in views]))
    soft = jnp.mean(jnp.stack([self.soft_loss(*view) for view in views]))
    labeled = (losses['loss/sup'] + losses['loss/sup_corr']) / 2
    unlabeled = (hard + soft + losses['loss/fp'] + losses['loss/corr']) / 4
    metrics = {**losses, 'loss/unsup': hard, 'loss/kl': soft}
    return (labeled + unlabeled) / 2, ({**model_state, 'segmenter': batch_stats}, metrics)

  def finish(self, state: TrainState) -> PyTree:
    """Moves tau towards the highest confidences of this step."""
    top, tau = state.model_state['top_confidence'], state.method_state['tau']
    return {'tau': ema_update(top, tau, self.threshold_decay)}
