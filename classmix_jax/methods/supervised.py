"""The baseline and the base class of all methods: the loss of the labelled batch.

L = L_sup, see `labeled_loss.py`.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax

from classmix_jax.core.encoded import Image, get_pixels
from classmix_jax.methods.labeled_loss import Labeled, LabeledLoss
from classmix_jax.methods.options import check_choices
from classmix_jax.methods.views import View
from classmix_jax.models.segmenter import Segmenter, forward, initialize, to_unit_range
from classmix_jax.types import Array, ArraySpec, Batch, Metrics, PyTree, Stage, TrainState

CONFIDENCE_THRESHOLD = 0.95  # of methods without one; that of FixMatch and UniMatch


@dataclasses.dataclass(frozen=True)
class Supervised:
  """Learns from labelled images only and ignores the unlabelled batch.

  Attributes:
    model: the network.
    num_classes: C.
    labeled_loss: loss of the labelled images.

  Raises:
    UserError: a field has a value that is not among its choices.
  """

  model: Segmenter
  num_classes: int
  labeled_loss: LabeledLoss = LabeledLoss()

  averages: ClassVar[Mapping[str, str]] = {}
  min_unlabeled: ClassVar[int] = 0
  network_names: ClassVar[tuple[str, ...]] = ('student',)
  recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
  encoded_images: ClassVar[bool] = True

  def __post_init__(self):
    self.labeled_loss.check(self.num_classes)
    check_choices(self)

  @property
  def confidence_threshold(self) -> float:
    return getattr(self, 'threshold', CONFIDENCE_THRESHOLD)

  def stages(self, steps: int) -> tuple[Stage, ...]:
    return (Stage(0, steps),)

  def init(self, key: Array, image: ArraySpec) -> tuple[PyTree, PyTree, PyTree]:
    params, batch_stats = initialize(self.model, key, image)
    return {'segmenter': params}, {'segmenter': batch_stats}, {}

  def optimizers(self, steps: int, power: float) -> Mapping[str, optax.GradientTransformation]:
    del steps, power
    return {}

  def targets(self, state: TrainState, batch: Batch, key: Array) -> tuple[Any, PyTree, Metrics]:
    del key
    return self.labeled_loss.targets(batch.labeled), state.model_state, {}

  def supervised_loss(
    self, params: PyTree, batch_stats: PyTree, labeled: Labeled
  ) -> tuple[Array, PyTree]:
    """Returns `(L_sup, batch_stats)` of one micro-batch, L_sup to be summed over micro-batches."""
    image = to_unit_range(labeled.image)
    logits, batch_stats = forward(
      self.model, params, batch_stats, image, train=True, upsample=False
    )
    return self.labeled_loss(logits, labeled), batch_stats

  def loss(
    self, params: PyTree, model_state: PyTree, targets: Any
  ) -> tuple[Array, tuple[PyTree, Metrics]]:
    loss, batch_stats = self.supervised_loss(params['segmenter'], model_state['segmenter'], targets)
    return loss, ({**model_state, 'segmenter': batch_stats}, {'loss/sup': loss})

  def finish(self, state: TrainState) -> PyTree:
    return state.method_state

  def networks(self, state: TrainState) -> Mapping[str, PyTree]:
    student = {
      'params': state.params['segmenter'],
      'batch_stats': state.model_state['segmenter'],
    }
    return {'student': student}

  def predict_label(self, state: TrainState, image: Image) -> Array:
    """Returns the student's classes `[b, H, W]` of images in 0..1, in evaluation mode."""
    params, batch_stats = state.params['segmenter'], state.model_state['segmenter']
    logits, _ = forward(self.model, params, batch_stats, image, train=False)
    return jnp.argmax(logits, axis=-1)

  def views(self, state: TrainState, batch: Batch, key: Array) -> tuple[View, ...]:
    """Returns the labelled images of the first micro-batch, labels and predictions."""
    del key
    example = jax.tree.map(lambda x: x[0], batch.labeled)
    image = to_unit_range(example.image)
    return (
      View('labelled image', get_pixels(image), example.valid),
      View('its label', example.label, example.valid),
      View('its prediction', self.predict_label(state, image), example.valid),
    )
