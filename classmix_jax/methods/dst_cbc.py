"""Self-training on class-balanced pseudo-labels, in rounds (DST-CBC, arXiv 2004.08514).

    L = (sum over labelled pixels of CE + sum over pseudo-labelled pixels of p^gamma CE) / N

N counts the pixels of both sums, p is the network's probability of the pseudo-label, without a
gradient. The first stage is supervised. Before round i of R the network labels the unlabelled
images: of each class, the fraction i / R of its pixels with the highest confidence, see
`training/self_training.py`. Labels are written to RUN/pseudo_labels/. Optimizer and schedule
restart with every round.

Synopsis:

    method = METHODS['dst_cbc'](model, num_classes=21, rounds=5, gamma=9.0)
    method.stages(steps=12_000)
"""

import dataclasses
from typing import ClassVar, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

from classmix_jax.core.collectives import ALL_DEVICES
from classmix_jax.core.losses import cross_entropy, device_count, masked_mean
from classmix_jax.core.tiling import per_pixel
from classmix_jax.errors import UserError
from classmix_jax.methods.labeled_loss import Labeled
from classmix_jax.methods.options import option
from classmix_jax.methods.pseudo_label import class_metrics
from classmix_jax.methods.recipes import Recipes
from classmix_jax.methods.supervised import Supervised
from classmix_jax.methods.views import View
from classmix_jax.models.segmenter import forward, to_unit_range
from classmix_jax.types import VOID, Array, Batch, Metrics, PyTree, Stage, TrainState
from classmix_jax.utils.ranges import FRACTION_BELOW_ONE, NON_NEGATIVE, POSITIVE_COUNT

_RECIPE = {  # on PASCAL VOC, height and width become 321 to 505 pixels there
  'batch_size': 4,
  'unlabeled_batch_size': 4,
  'data.flip': True,
  'data.scale_apart': True,
  'model.backbone': 'resnet101_tv',
  'model.preprocessing': 'caffe',
  'optim.learning_rate': 0.002,
  'optim.head_multiplier': 1.0,
  'optim.freeze_bn_affine': False,
  'optim.duplicate_steps': False,
}


class Targets(NamedTuple):
  """What the student learns from; one micro-batch has no axis A."""

  labeled: Labeled
  image: Array | None  # [A, b, H, W, 3] uint8, unlabelled; None in the supervised stage
  label: Array | None  # [A, b, H, W] uint8 pseudo-labels or `VOID`; None in the supervised stage
  num_pixels: (
    Array  # [A] float32, `device_count` of labelled and pseudo-labelled pixels of the batch
  )


@dataclasses.dataclass(frozen=True)
class DstCbc(Supervised):
  """A student trained on its most confident predictions, more of them in every round.

  Attributes:
    rounds: R, number of rounds of self-training.
    supervised_share: fraction of the steps before the first round; 0 for the length of a round.
    gamma: exponent of the weight p^gamma, 0 for plain self-training.
  """

  rounds: int = option(5, POSITIVE_COUNT)
  supervised_share: float = option(0.0, FRACTION_BELOW_ONE, small=1 / 3)
  gamma: float = option(9.0, NON_NEGATIVE, small=2.0)  # small networks are rarely confident

  min_unlabeled: ClassVar[int] = 1
  encoded_images: ClassVar[bool] = False
  recipes: ClassVar[Recipes] = {
    'cityscapes': {**_RECIPE, 'data.crop': (257, 513), 'data.scale': (0.5, 1.0)},
    'pascal_voc': {**_RECIPE, 'data.scale': (0.5, 1.5), 'data.scale_step': 0.0},
  }

  def stages(self, steps: int) -> tuple[Stage, ...]:
    """Divides the steps into a supervised stage and rounds of equal length.

    The remainder belongs to the supervised stage, so all rounds run the same compiled step.

    Raises:
      UserError: a stage has no step.
    """
    first = round(self.supervised_share * steps) or steps // (self.rounds + 1)
    length = (steps - first) // self.rounds
    if first < 1 or length < 1:
      raise UserError(
        f'config.steps is {steps}: too few for config.method.rounds={self.rounds} after '
        f'{first} supervised steps.'
      )
    first = steps - self.rounds * length
    rounds = (
      Stage(first + i * length, first + (i + 1) * length, fraction=(i + 1) / self.rounds)
      for i in range(self.rounds)
    )
    return Stage(0, first, unlabeled=False), *rounds

  def targets(self, state: TrainState, batch: Batch, key: Array) -> tuple[Targets, PyTree, Metrics]:
    del key
    labeled, unlabeled = self.labeled_loss.targets(batch.labeled), batch.unlabeled
    label = jnp.where(unlabeled.valid, unlabeled.label, VOID)
    # XLA of jaxlib 0.11 crashes if arrays without images are passed on, so these are None.
    if not unlabeled.image.shape[1]:
      metrics = {'pseudo_labeled_share': jnp.zeros(())}
      return Targets(labeled, None, None, labeled.num_pixels), state.model_state, metrics
    pseudo_count = device_count(label != VOID, ALL_DEVICES)
    valid_count = device_count(unlabeled.valid, ALL_DEVICES)
    metrics = {
      'pseudo_labeled_share': pseudo_count / jnp.maximum(valid_count, 1.0),
      **class_metrics(batch.labeled, label, label != VOID, self.num_classes),
    }
    targets = Targets(labeled, unlabeled.image, label, labeled.num_pixels + pseudo_count)
    return targets, state.model_state, metrics

  def loss(
    self, params: PyTree, model_state: PyTree, targets: Targets
  ) -> tuple[Array, tuple[PyTree, Metrics]]:
    """Labelled and pseudo-labelled images pass the student as one batch, as in the original."""
    labeled = targets.labeled
    if targets.image is None or targets.label is None:
      loss, (model_state, metrics) = super().loss(params, model_state, labeled)
      return loss, (model_state, {**metrics, 'loss/pseudo': jnp.zeros(())})
    image = to_unit_range(jnp.concatenate([labeled.image, targets.image]))
    logits, batch_stats = forward(
      self.model, params['segmenter'], model_state['segmenter'], image, train=True, upsample=False
    )
    logits, pseudo_logits = logits[: len(labeled.image)], logits[len(labeled.image) :]
    loss_sup = self.labeled_loss(logits, labeled)
    pixel_loss = per_pixel(cross_entropy, pseudo_logits, targets.label)
    weight = jnp.exp(-self.gamma * lax.stop_gradient(pixel_loss))  # p^gamma
    loss_pseudo = masked_mean(weight * pixel_loss, targets.label != VOID, count=targets.num_pixels)
    loss = loss_sup * labeled.num_pixels / targets.num_pixels + loss_pseudo
    return loss, (
      {**model_state, 'segmenter': batch_stats},
      {'loss/sup': loss_sup, 'loss/pseudo': loss_pseudo},
    )

  def views(self, state: TrainState, batch: Batch, key: Array) -> tuple[View, ...]:
    views = super().views(state, batch, key)
    first = jax.tree.map(lambda x: x[0], batch.unlabeled)
    if not len(first.image):
      return views
    return (
      *views,
      View('image without label', to_unit_range(first.image), first.valid),
      View('its pseudo-label of this round', first.label, first.valid),
    )
