"""Cross pseudo supervision: two networks teach each other (arXiv 2106.01226).

    L = L_sup(S_1) + L_sup(S_2)
      + lambda (CE(S_1(x), argmax S_2(x)) + CE(S_2(x), argmax S_1(x)))

(section 3 there) over labelled and unlabelled images x; every pixel counts. Both start at
random apart from each other, with the same pretrained backbone where there is one. The first is
the student.

Synopsis:

    method = METHODS['cps'](model, num_classes=21, lambda_cps=1.5)
    params, model_state, method_state = method.init(key, image)
"""

from collections.abc import Mapping
import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from classmix_jax.core.class_frequencies import class_counts, class_shares
from classmix_jax.core.losses import cross_entropy, device_count, masked_mean
from classmix_jax.core.tiling import per_pixel, top_class
from classmix_jax.methods.labeled_loss import Labeled
from classmix_jax.methods.supervised import Supervised
from classmix_jax.models.segmenter import forward, forward_in_order, initialize, to_unit_range
from classmix_jax.types import AXIS, VOID, Array, Batch, Metrics, PyTree

NETWORKS = ('segmenter', 'second')


class Targets(NamedTuple):
  """What both networks learn from; one micro-batch has no axis A.

  Attributes:
    labeled: see `Labeled`.
    image: `[A, b, H, W, 3]` uint8, unlabelled.
    valid: `[A, B, H, W]` bool of labelled and unlabelled images, False where padding is kept out.
    count: `[A]` float32, `device_count` of the valid pixels of the whole batch.
  """

  labeled: Labeled
  image: Array
  valid: Array
  count: Array


@dataclasses.dataclass(frozen=True)
class CrossPseudo(Supervised):
  """Two networks, each learning what the other sees.

  Attributes:
    lambda_cps: weight of what they learn from each other (6 on Cityscapes).
    exclude_padding: whether padding of crops is kept out of it (not in the original).
  """

  lambda_cps: float = 1.5
  exclude_padding: bool = True

  def init(self, key: Array, image: Array) -> tuple[PyTree, PyTree, PyTree]:
    params, model_state, method_state = super().init(key, image)
    second, batch_stats = initialize(self.model, jax.random.fold_in(key, 1), image)
    return {**params, 'second': second}, {**model_state, 'second': batch_stats}, method_state

  def targets(
    self,
    params: PyTree,
    model_state: PyTree,
    method_state: PyTree,
    batch: Batch,
    key: Array,
    step: Array,
  ) -> tuple[Targets, PyTree, Metrics]:
    del params, method_state, key, step
    valid = jnp.concatenate([batch.labeled.valid, batch.unlabeled.valid], axis=1)
    if not self.exclude_padding:
      valid = jnp.ones_like(valid)
    count = jnp.broadcast_to(device_count(valid, AXIS), len(valid))
    labeled = self.labeled_loss.targets(batch.labeled)
    shares = class_shares(labeled.label, labeled.label != VOID, self.num_classes, AXIS)
    return (
      Targets(labeled, batch.unlabeled.image, valid, count),
      model_state,
      {'labeled_shares': shares},
    )

  def loss(
    self, params: PyTree, model_state: PyTree, targets: Targets
  ) -> tuple[Array, tuple[PyTree, Metrics]]:
    """Labelled images pass a network before unlabelled ones."""
    images = to_unit_range(targets.labeled.image), to_unit_range(targets.image)
    loss_sup, every, statistics = [], [], {}
    for name in NETWORKS:
      (labeled, unlabeled), statistics[name] = forward_in_order(
        self.model, params[name], model_state[name], images, upsample=False
      )
      loss_sup.append(self.labeled_loss(labeled, targets.labeled))
      every.append(jnp.concatenate([labeled, unlabeled]))
    # No gradient passes.
    labels = [per_pixel(top_class, logits, size=targets.valid.shape[1:])[0] for logits in every]
    learned = lambda logits, label: masked_mean(
      per_pixel(cross_entropy, logits, label), targets.valid, count=targets.count
    )
    loss_cps = learned(every[0], labels[1]) + learned(every[1], labels[0])
    metrics = {
      'loss/sup': loss_sup[0],
      'loss/sup_second': loss_sup[1],
      'loss/cps': loss_cps,
      'pseudo_shares': class_counts(labels[0], targets.valid, self.num_classes) / targets.count,
    }
    return sum(loss_sup) + self.lambda_cps * loss_cps, (statistics, metrics)

  def views(
    self, params: PyTree, model_state: PyTree, method_state: PyTree, batch: Batch, key: Array
  ) -> Mapping[str, Array]:
    image = to_unit_range(batch.unlabeled.image[0])
    seen = {}
    for view, name in (('label_of_first', NETWORKS[0]), ('label_of_second', NETWORKS[1])):
      logits, _ = forward(self.model, params[name], model_state[name], image, train=False)
      seen[view] = jnp.argmax(logits, axis=-1)
    return {
      **super().views(params, model_state, method_state, batch, key),
      'unlabeled': image,
      **seen,
    }
