"""The baseline: the loss of the labelled batch, nothing else.

L = L_sup, see `labeled_loss.py`. Every other method is this one and something more.
"""

from collections.abc import Collection, Mapping
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from classmix_jax.errors import UserError
from classmix_jax.methods.labeled_loss import Labeled, LabeledLoss
from classmix_jax.models.segmenter import Segmenter, forward, initialize, to_unit_range
from classmix_jax.types import Array, Batch, Metrics, PyTree, Stage


def check_choices(method: Any, **choices: Collection[str]) -> None:
  """Raises UserError for a field of a method whose value is not among its choices."""
  for field, known in choices.items():
    value = getattr(method, field)
    if value not in known:
      raise UserError(f'config.method.{field} is {value!r}; choose one of {", ".join(known)}.')


@dataclasses.dataclass(frozen=True)
class Supervised:
  """Learns from labelled images only; the unlabelled batch is not looked at.

  Attributes:
    model: the network.
    num_classes: C.
    labeled_loss: of the labelled images.
  """

  model: Segmenter
  num_classes: int
  labeled_loss: LabeledLoss = LabeledLoss()

  def __post_init__(self):
    self.labeled_loss.check(self.num_classes)

  def stages(self, steps: int) -> tuple[Stage, ...]:
    return (Stage(0, steps),)

  def init(self, key: Array, image: Array) -> tuple[PyTree, PyTree, PyTree]:
    params, batch_stats = initialize(self.model, key, image)
    return {'segmenter': params}, {'segmenter': batch_stats}, {}

  def targets(
    self,
    params: PyTree,
    model_state: PyTree,
    method_state: PyTree,
    batch: Batch,
    key: Array,
    step: Array,
  ) -> tuple[Labeled, PyTree, Metrics]:
    del params, method_state, key, step
    return self.labeled_loss.targets(batch.labeled), model_state, {}

  def supervised_loss(
    self, params: PyTree, batch_stats: PyTree, labeled: Labeled
  ) -> tuple[Array, PyTree]:
    """Returns `(L_sup, batch_stats)` of one micro-batch; L_sup is to be summed over them."""
    image = to_unit_range(labeled.image)
    logits, batch_stats = forward(
      self.model, params, batch_stats, image, train=True, upsample=False
    )
    return self.labeled_loss(logits, labeled), batch_stats

  def loss(
    self, params: PyTree, model_state: PyTree, targets: Labeled
  ) -> tuple[Array, tuple[PyTree, Metrics]]:
    loss, batch_stats = self.supervised_loss(params['segmenter'], model_state['segmenter'], targets)
    return loss, ({'segmenter': batch_stats}, {'loss/sup': loss})

  def finish(self, params: PyTree, method_state: PyTree, step: Array) -> PyTree:
    del params, step
    return method_state

  def networks(
    self, params: PyTree, model_state: PyTree, method_state: PyTree
  ) -> Mapping[str, PyTree]:
    del method_state
    return {'student': {'params': params['segmenter'], 'batch_stats': model_state['segmenter']}}

  def views(
    self, params: PyTree, model_state: PyTree, method_state: PyTree, batch: Batch, key: Array
  ) -> Mapping[str, Array]:
    """The labelled images of the first micro-batch, labels and predictions."""
    del method_state, key
    example = jax.tree.map(lambda x: x[0], batch.labeled)
    image = to_unit_range(example.image)
    logits, _ = forward(
      self.model, params['segmenter'], model_state['segmenter'], image, train=False
    )
    return {'image': image, 'label': example.label, 'prediction': jnp.argmax(logits, axis=-1)}
