"""The baseline: cross-entropy on the labelled batch, nothing else.

L = L_sup = mean over known pixels of CE(S(x_l), y_l).
"""

from collections.abc import Mapping
import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from classmix_jax.core.losses import cross_entropy, device_count, masked_mean
from classmix_jax.models.segmenter import Segmenter, forward, initialize, to_unit_range
from classmix_jax.types import AXIS, VOID, Array, Batch, Example, Metrics, PyTree


class Labeled(NamedTuple):
  """What the student learns from the labelled batch; one micro-batch has no axis A.

  Attributes:
    image: `[A, b, H, W, 3]` uint8.
    label: `[A, b, H, W]` uint8, `VOID` on padding too.
    count: `[A]` float32, `device_count` of the known pixels of the whole batch.
  """

  image: Array
  label: Array
  count: Array


def labeled_targets(example: Example) -> Labeled:
  """Joins void and padding and counts the rest in the global batch, inside `pmap`."""
  label = jnp.where(example.valid, example.label, VOID)
  count = device_count(label != VOID, AXIS)
  return Labeled(example.image, label, jnp.broadcast_to(count, len(label)))


def supervised_loss(
    model: Segmenter, params: PyTree, batch_stats: PyTree, labeled: Labeled
) -> tuple[Array, PyTree]:
  """Returns `(L_sup, batch_stats)` of one micro-batch; L_sup is to be summed over them."""
  image = to_unit_range(labeled.image)
  logits, batch_stats = forward(model, params, batch_stats, image, train=True)
  pixel_loss = cross_entropy(logits, labeled.label)
  known = labeled.label != VOID
  return masked_mean(pixel_loss, known, count=labeled.count), batch_stats


def labeled_views(
    model: Segmenter, params: PyTree, batch_stats: PyTree, batch: Example
) -> Mapping[str, Array]:
  """Returns the labelled images of the first micro-batch, labels and predictions."""
  example = jax.tree.map(lambda x: x[0], batch)
  image = to_unit_range(example.image)
  logits, _ = forward(model, params, batch_stats, image, train=False)
  return {'image': image, 'label': example.label, 'prediction': jnp.argmax(logits, axis=-1)}


@dataclasses.dataclass(frozen=True)
class Supervised:
  """Learns from labelled images only; the unlabelled batch is not looked at.

  Attributes:
    model: the network.
    num_classes: C.
  """

  model: Segmenter
  num_classes: int

  def init(self, key: Array, image: Array) -> tuple[PyTree, PyTree, PyTree]:
    params, batch_stats = initialize(self.model, key, image)
    return {'segmenter': params}, {'segmenter': batch_stats}, {}

  def targets(
      self, params: PyTree, model_state: PyTree, method_state: PyTree,
      batch: Batch, key: Array, step: Array,
  ) -> tuple[Labeled, PyTree, Metrics]:
    del params, method_state, key, step
    return labeled_targets(batch.labeled), model_state, {}

  def loss(
      self, params: PyTree, model_state: PyTree, targets: Labeled
  ) -> tuple[Array, tuple[PyTree, Metrics]]:
    loss, batch_stats = supervised_loss(
        self.model, params['segmenter'], model_state['segmenter'], targets)
    return loss, ({'segmenter': batch_stats}, {'loss/sup': loss})

  def finish(self, params: PyTree, method_state: PyTree, step: Array) -> PyTree:
    del params, step
    return method_state

  def networks(
      self, params: PyTree, model_state: PyTree, method_state: PyTree
  ) -> Mapping[str, PyTree]:
    del method_state
    return {
        'student': {'params': params['segmenter'], 'batch_stats': model_state['segmenter']}
    }

  def views(
      self, params: PyTree, model_state: PyTree, method_state: PyTree, batch: Batch, key: Array
  ) -> Mapping[str, Array]:
    del method_state, key
    return labeled_views(
        self.model, params['segmenter'], model_state['segmenter'], batch.labeled)
