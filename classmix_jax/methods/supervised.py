"""The baseline: cross-entropy on the labelled batch, nothing else.

L = L_sup = mean over known pixels of CE(S(x_l), y_l).
"""

from collections.abc import Mapping
import dataclasses

import jax.numpy as jnp

from classmix_jax.core.losses import cross_entropy, masked_mean
from classmix_jax.models.segmenter import Segmenter, forward, initialize, to_unit_range
from classmix_jax.types import AXIS, VOID, Array, Batch, Example, Metrics, PyTree


def supervised_loss(
    model: Segmenter, params: PyTree, batch_stats: PyTree, example: Example
) -> tuple[Array, PyTree]:
  """Returns `(L_sup, batch_stats)` of this device's labelled images, inside `pmap`."""
  image = to_unit_range(example.image)
  logits, batch_stats = forward(model, params, batch_stats, image, train=True)
  known = (example.label != VOID) & example.valid
  return masked_mean(cross_entropy(logits, example.label), known, AXIS), batch_stats


def labeled_views(
    model: Segmenter, params: PyTree, batch_stats: PyTree, example: Example
) -> Mapping[str, Array]:
  """Returns the labelled images, their labels and the student's predictions."""
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

  def loss(
      self, params: PyTree, model_state: PyTree, method_state: PyTree,
      batch: Batch, key: Array, step: Array,
  ) -> tuple[Array, tuple[PyTree, Metrics]]:
    del method_state, key, step
    loss, batch_stats = supervised_loss(
        self.model, params['segmenter'], model_state['segmenter'], batch.labeled)
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
