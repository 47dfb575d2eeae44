"""Self-training on class-balanced pseudo-labels, in rounds (DST-CBC, arXiv 2004.08514).

    L = (sum over labelled pixels of CE + sum over pseudo-labelled pixels of p^gamma CE) / N

N counts the pixels of both, p is the network's own probability of the pseudo-label, without a
gradient. A supervised stage comes first. Before round i of R the network labels the unlabelled
images, the surest i / R of the pixels of each class: see `training/self_training.py`. They lie on
the disk, in RUN/pseudo_labels/. Optimizer and schedule start again with every round.

Synopsis:

    method = METHODS['dst_cbc'](model, num_classes=21, rounds=5, gamma=9.0)
    method.stages(steps=12_000)
"""

from collections.abc import Mapping
import dataclasses
from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

from classmix_jax.core.losses import cross_entropy, device_count, masked_mean
from classmix_jax.core.tiling import per_pixel
from classmix_jax.errors import UserError
from classmix_jax.methods.labeled_loss import Labeled
from classmix_jax.methods.pseudo_label import class_metrics
from classmix_jax.methods.supervised import Supervised
from classmix_jax.models.segmenter import forward, to_unit_range
from classmix_jax.types import AXIS, VOID, Array, Batch, Metrics, PyTree, Stage


class Targets(NamedTuple):
  """What the student learns from; one micro-batch has no axis A.

  Attributes:
    labeled: see `Labeled`.
    image: `[A, b, H, W, 3]` uint8, unlabelled; None in the supervised stage.
    label: `[A, b, H, W]` uint8, pseudo-labels, `VOID` where there is none; None as `image`.
    count: `[A]` float32, `device_count` of labelled and pseudo-labelled pixels of the whole batch.
  """

  labeled: Labeled
  image: Array | None
  label: Array | None
  count: Array


@dataclasses.dataclass(frozen=True)
class DstCbc(Supervised):
  """Learns its own surest labels, more of them in every round.

  Attributes:
    rounds: R, of self-training.
    supervised_share: share of the steps before the first round; 0 is as long as a round.
    gamma: exponent of the weight p^gamma, 0 for plain self-training.
  """

  rounds: int = 5
  supervised_share: float = 0.0
  gamma: float = 9.0

  def stages(self, steps: int) -> tuple[Stage, ...]:
    """Divides the steps: the supervised stage, then rounds of one length.

    What is left over goes to the first stage, so that one program serves all rounds.

    Raises:
      UserError: fewer than one step for each.
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
      Stage(first + i * length, first + (i + 1) * length, share=(i + 1) / self.rounds)
      for i in range(self.rounds)
    )
    return Stage(0, first, unlabeled=False), *rounds

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
    labeled, unlabeled = self.labeled_loss.targets(batch.labeled), batch.unlabeled
    label = jnp.where(unlabeled.valid, unlabeled.label, VOID)
    if not unlabeled.image.shape[1]:  # XLA of jaxlib 0.11 crashes where no images are passed on
      none = {'pseudo_labeled_share': jnp.zeros(())}
      return Targets(labeled, None, None, labeled.count), model_state, none
    pseudo, valid = device_count(label != VOID, AXIS), device_count(unlabeled.valid, AXIS)
    targets = Targets(labeled, unlabeled.image, label, labeled.count + pseudo)
    return (
      targets,
      model_state,
      {
        'pseudo_labeled_share': pseudo / jnp.maximum(valid, 1.0),
        **class_metrics(batch.labeled, label, label != VOID, self.num_classes),
      },
    )

  def loss(
    self, params: PyTree, model_state: PyTree, targets: Targets
  ) -> tuple[Array, tuple[PyTree, Metrics]]:
    """Labelled and pseudo-labelled images pass the student as one batch, as in the original."""
    labeled = targets.labeled
    if targets.image is None:
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
    loss_pseudo = masked_mean(weight * pixel_loss, targets.label != VOID, count=targets.count)
    loss = loss_sup * labeled.count / targets.count + loss_pseudo
    return loss, ({'segmenter': batch_stats}, {'loss/sup': loss_sup, 'loss/pseudo': loss_pseudo})

  def views(
    self, params: PyTree, model_state: PyTree, method_state: PyTree, batch: Batch, key: Array
  ) -> Mapping[str, Array]:
    seen = super().views(params, model_state, method_state, batch, key)
    first = jax.tree.map(lambda x: x[0], batch.unlabeled)
    if len(first.image):
      seen = {**seen, 'unlabeled': to_unit_range(first.image), 'pseudo_label': first.label}
    return seen
