"""The loss of labelled images of all methods: cross-entropy with options for rare classes.

    L_sup = mean over known pixels of w[y] CE(S(x_l), y_l) / mean of w[y]
          + dice * (1 - mean over classes of the Dice coefficient)

Synopsis:

    labeled_loss = LabeledLoss(class_weights=(1.0, 4.0), dice=0.5)
    labeled = labeled_loss.targets(batch.labeled)          # in `targets` of a method
    loss = labeled_loss(logits, micro_batch_of_labeled)    # in its `loss`
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from classmix_jax.core.collectives import ALL_DEVICES, ONE_DEVICE, GlobalBatch
from classmix_jax.core.encoded import Image
from classmix_jax.core.losses import cross_entropy, device_count, masked_mean
from classmix_jax.core.ohem import hard_pixels
from classmix_jax.core.resize import get_size, resize_bilinear
from classmix_jax.core.tiling import per_pixel
from classmix_jax.errors import UserError
from classmix_jax.types import VOID, Array, Example

MIN_SHARE = 1e-4  # of a class in the labels, which bounds its weight


class Labeled(NamedTuple):
  """The labelled batch as the loss needs it; one micro-batch has no axis A.

  Attributes:
    image: `[A, b, H, W, 3]` uint8, possibly with features.
    label: `[A, b, H, W]` uint8, `VOID` on padding, too.
    weight: `[A, b, H, W]` float32, weight of each pixel, 0 on void.
    num_pixels: `[A]` float32, sum of the weights of the whole batch, per device on average.
    share: `[A]` float32, 1 / A.
  """

  image: Image
  label: Array
  weight: Array
  num_pixels: Array
  share: Array


def dice_loss(logits: Array, label: Array, global_batch: GlobalBatch = ONE_DEVICE) -> Array:
  """Returns 1 - mean over classes of 2 sum(p y) / (sum(p) + sum(y)) (arXiv 1606.04797).

  Sums run over the known pixels of the *global* batch. The denominator has p, and p^2 in
  section 3 of the paper. Classes without a known pixel are excluded from the mean.

  Args:
    logits: `[B, H, W, C]` float32.
    label: `[B, H, W]` integer class ids, `VOID` (255) if unknown.
    global_batch: where this device's images belong; inside `pmap`, pass its axis.

  Example:
    >>> logits = jnp.array([[[[9.0, -9.0], [-9.0, 9.0]]]])
    >>> round(float(dice_loss(logits, jnp.array([[[0, 0]]]))), 3)   # 1 - 2 * 1 / (1 + 2)
    0.333
  """
  known = (label != VOID)[..., None]
  prob = jnp.where(known, jax.nn.softmax(logits), 0.0)
  truth = jax.nn.one_hot(label, logits.shape[-1])  # void is 0 everywhere

  def total(x: Array) -> Array:
    return global_batch.mean(jnp.sum(x, axis=(0, 1, 2)))

  overlap, size = total(prob * truth), total(truth)
  coefficient = 2 * overlap / jnp.maximum(total(prob) + size, 1e-6)
  present = size > 0
  return 1 - jnp.sum(jnp.where(present, coefficient, 0.0)) / jnp.maximum(jnp.sum(present), 1)


@dataclasses.dataclass(frozen=True)
class LabeledLoss:
  """Cross-entropy over known pixels, with options for rare classes.

  Attributes:
    class_weights: of class 0, 1, ...; () for equal weights.
    balance: exponent of class weights from the labelled images, see `balanced`; 0 for none.
    ohem_threshold: pixels whose label has a higher probability are ignored; 1 ignores none.
    ohem_min_kept: least number of pixels of the global batch that count.
    dice: weight of the Dice term.
  """

  class_weights: tuple[float, ...] = ()
  balance: float = 0.0
  ohem_threshold: float = 1.0
  ohem_min_kept: int = 0
  dice: float = 0.0

  def check(self, num_classes: int) -> None:
    """Raises UserError if the class weights are negative or not one per class."""
    if self.class_weights and len(self.class_weights) != num_classes:
      raise UserError(
        f'config.labeled_loss.class_weights has {len(self.class_weights)} numbers for '
        f'{num_classes} classes; give one per class, or () for equal weights.'
      )
    if self.class_weights and self.balance:
      raise UserError(
        'config.labeled_loss.balance computes class weights, and config.labeled_loss.class_weights '
        'gives others; set one of them only.'
      )
    if self.class_weights and min(self.class_weights) < 0:
      raise UserError(
        f'config.labeled_loss.class_weights has {min(self.class_weights)}; use 0 or more.'
      )

  def balanced(self, pixels: np.ndarray) -> 'LabeledLoss':
    """Returns the loss with class weights f^-balance, f the share of a class in the labels.

    Args:
      pixels: `[C]` known pixels of each class.

    Example:
      >>> LabeledLoss(balance=0.5).balanced(np.array([900, 100])).class_weights
      (0.8333, 2.5)
    """
    share = np.maximum(pixels / pixels.sum(), MIN_SHARE)
    weights = share**-self.balance
    weights = weights / (weights * pixels).sum() * pixels.sum()  # 1 for a pixel on average
    return dataclasses.replace(self, class_weights=tuple(weights.round(4).tolist()), balance=0.0)

  def targets(self, example: Example) -> Labeled:
    """Marks padding as void and sums the weights of the global batch; runs inside `pmap`."""
    label = jnp.where(example.valid, example.label, VOID)
    known = label != VOID
    weight = known.astype(jnp.float32)
    if self.class_weights:
      weight *= jnp.asarray(self.class_weights, jnp.float32)[jnp.where(known, label, 0)]
    micro_batches = len(label)
    count = jnp.broadcast_to(device_count(weight, ALL_DEVICES), micro_batches)
    share = jnp.broadcast_to(1 / micro_batches, micro_batches)
    return Labeled(example.image, label, weight, count, share)

  def __call__(self, logits: Array, labeled: Labeled) -> Array:
    """Returns L_sup of one micro-batch, to be summed over micro-batches.

    Logits `[b, h, w, C]` that are smaller than the labels are upsampled. Hard pixels and the Dice
    term are computed per micro-batch, so the number of micro-batches matters with them.
    """
    known = labeled.label != VOID
    pixel_loss = per_pixel(cross_entropy, logits, labeled.label)
    if self.ohem_threshold < 1.0:
      label_prob = jnp.exp(-pixel_loss)
      hard = hard_pixels(label_prob, known, self.ohem_threshold, self.ohem_min_kept, ALL_DEVICES)
      count = device_count(jnp.where(hard, labeled.weight, 0.0), ALL_DEVICES) / labeled.share
      loss = masked_mean(labeled.weight * pixel_loss, hard, count=count)
    else:
      loss = masked_mean(labeled.weight * pixel_loss, known, count=labeled.num_pixels)
    if self.dice:
      logits = resize_bilinear(logits, get_size(known))
      loss += self.dice * labeled.share * dice_loss(logits, labeled.label, ALL_DEVICES)
    return loss
