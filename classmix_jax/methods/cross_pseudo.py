"""Cross pseudo supervision: two networks learn each other's predictions (arXiv 2106.01226).

    L = L_sup(S_1) + L_sup(S_2)
      + lambda (CE(S_1(x), argmax S_2(x)) + CE(S_2(x), argmax S_1(x)))

(section 3) over labelled and unlabelled images x; every pixel counts. The networks start from
different random parameters, except for a pretrained backbone. The first one is the student.

Synopsis:

    method = METHODS['cps'](model, num_classes=21, lambda_cps=1.5)
    params, model_state, method_state = method.init(key, image)
"""

import dataclasses
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from classmix_jax.core.class_frequencies import class_counts, class_shares
from classmix_jax.core.collectives import ALL_DEVICES
from classmix_jax.core.losses import cross_entropy, device_count, masked_mean
from classmix_jax.core.resize import get_size
from classmix_jax.core.tiling import per_pixel, top_class
from classmix_jax.methods.labeled_loss import Labeled
from classmix_jax.methods.options import option
from classmix_jax.methods.recipes import UNIMATCH_CITYSCAPES, UNIMATCH_PASCAL_VOC, Recipes
from classmix_jax.methods.supervised import Supervised
from classmix_jax.methods.views import View
from classmix_jax.models.segmenter import forward, forward_in_order, initialize, to_unit_range
from classmix_jax.types import VOID, Array, ArraySpec, Batch, Metrics, PyTree, TrainState
from classmix_jax.utils.ranges import NON_NEGATIVE

_KEYS = ('segmenter', 'second')


class Targets(NamedTuple):
  """What both networks learn from; one micro-batch has no axis A."""

  labeled: Labeled
  image: Array  # [A, b, H, W, 3] uint8, unlabelled
  valid: Array  # [A, B, H, W] bool of labelled and unlabelled images, False on excluded padding
  num_pixels: Array  # [A] float32, `device_count` of the valid pixels of the whole batch


@dataclasses.dataclass(frozen=True)
class CrossPseudo(Supervised):
  """Two networks, each with the other's predictions as labels.

  Attributes:
    lambda_cps: weight of the loss of these labels (6 on Cityscapes).
    exclude_padding: whether that loss ignores padding of crops (not in the original).
  """

  lambda_cps: float = option(1.5, NON_NEGATIVE)
  exclude_padding: bool = option(True)

  min_unlabeled: ClassVar[int] = 1
  encoded_images: ClassVar[bool] = False
  recipes: ClassVar[
    Recipes
  ] = {  # arXiv 2106.01226, with the network and crops of UniMatch for comparison
    'cityscapes': {**UNIMATCH_CITYSCAPES, 'optim.lag': 0, 'method.lambda_cps': 6.0},
    'pascal_voc': {**UNIMATCH_PASCAL_VOC, 'optim.lag': 0, 'optim.learning_rate': 0.0025},
  }

  def init(self, key: Array, image: ArraySpec) -> tuple[PyTree, PyTree, PyTree]:
    params, model_state, method_state = super().init(key, image)
    second, batch_stats = initialize(self.model, jax.random.fold_in(key, 1), image)
    return {**params, 'second': second}, {**model_state, 'second': batch_stats}, method_state

  def targets(self, state: TrainState, batch: Batch, key: Array) -> tuple[Targets, PyTree, Metrics]:
    del key
    valid = jnp.concatenate([batch.labeled.valid, batch.unlabeled.valid], axis=1)
    if not self.exclude_padding:
      valid = jnp.ones_like(valid)
    count = jnp.broadcast_to(device_count(valid, ALL_DEVICES), len(valid))
    labeled = self.labeled_loss.targets(batch.labeled)
    known = labeled.label != VOID
    shares = class_shares(labeled.label, known, self.num_classes, ALL_DEVICES)
    targets = Targets(labeled, batch.unlabeled.image, valid, count)
    return targets, state.model_state, {'labeled_shares': shares}

  def loss(
    self, params: PyTree, model_state: PyTree, targets: Targets
  ) -> tuple[Array, tuple[PyTree, Metrics]]:
    """Labelled images pass a network before unlabelled ones."""
    images = to_unit_range(targets.labeled.image), to_unit_range(targets.image)
    loss_sup, logits, statistics = [], [], {}
    for key in _KEYS:
      (labeled, unlabeled), statistics[key] = forward_in_order(
        self.model, params[key], model_state[key], images, upsample=False
      )
      loss_sup.append(self.labeled_loss(labeled, targets.labeled))
      logits.append(jnp.concatenate([labeled, unlabeled]))
    size = get_size(targets.valid)
    labels = [per_pixel(top_class, x, size=size)[0] for x in logits]  # without a gradient

    def cross_loss(logits: Array, label: Array) -> Array:
      pixel_loss = per_pixel(cross_entropy, logits, label)
      return masked_mean(pixel_loss, targets.valid, count=targets.num_pixels)

    loss_cps = cross_loss(logits[0], labels[1]) + cross_loss(logits[1], labels[0])
    metrics = {
      'loss/sup': loss_sup[0],
      'loss/sup_second': loss_sup[1],
      'loss/cps': loss_cps,
      'pseudo_shares': class_counts(labels[0], targets.valid, self.num_classes)
      / targets.num_pixels,
    }
    return sum(loss_sup) + self.lambda_cps * loss_cps, ({**model_state, **statistics}, metrics)

  def views(self, state: TrainState, batch: Batch, key: Array) -> tuple[View, ...]:
    image, valid = to_unit_range(batch.unlabeled.image[0]), batch.unlabeled.valid[0]

    def view_label(heading: str, network: str) -> View:
      params, batch_stats = state.params[network], state.model_state[network]
      logits, _ = forward(self.model, params, batch_stats, image, train=False)
      return View(heading, jnp.argmax(logits, axis=-1), valid)

    return (
      *super().views(state, batch, key),
      View('image without label', image, valid),
      view_label('its pseudo-label, by the first network', _KEYS[0]),
      view_label('its pseudo-label, by the second network', _KEYS[1]),
    )
