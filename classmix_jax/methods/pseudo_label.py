"""Pseudo-labels: predictions of a network for unlabelled images, without a gradient.

Synopsis:

    images, batch_stats = make_pseudo_label(
      model, params, batch_stats, batch.unlabeled, train=True, exclude_padding=True
    )
    metrics = class_metrics(batch.labeled, images.label, images.valid, num_classes=19)
    mixed = jax.tree.map(lambda x: mix(mask, x, GlobalBatch(AXIS)), images)
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from classmix_jax.core.class_frequencies import class_shares
from classmix_jax.core.collectives import ALL_DEVICES
from classmix_jax.core.encoded import Image
from classmix_jax.core.microbatch import concatenate, fold_micro_batches
from classmix_jax.core.resize import get_size, resize_bilinear
from classmix_jax.core.tiling import per_pixel, top_class
from classmix_jax.models.segmenter import Segmenter, forward, to_unit_range
from classmix_jax.types import Array, Example, Metrics, PyTree


class PseudoLabel(NamedTuple):
  """Images with pseudo-labels, all of a device or one micro-batch.

  Attributes:
    image: `[B, H, W, 3]` float32 in 0..1, possibly with features.
    label: `[B, H, W]` int32, predicted classes.
    confidence: `[B, H, W]` float32, probabilities of these classes.
    prob: `[B, H, W, C]` float32, all probabilities; None unless a loss needs them.
    valid: `[B, H, W]` bool, False on padding if that is excluded.
    extra: further arrays `[B, H, W, ...]` of a method, which are mixed like the others.
  """

  image: Image
  label: Array
  confidence: Array
  prob: Array | None
  valid: Array
  extra: PyTree = ()


def valid_pixels(example: Example, exclude_padding: bool) -> Array:
  """Returns which pixels of unlabelled images count: all, or all except padding."""
  return example.valid if exclude_padding else jnp.ones_like(example.valid)


def class_metrics(labeled: Example, label: Array, mask: Array, num_classes: int) -> Metrics:
  """Returns class shares of labels and pseudo-labels, which show a collapse onto one class.

  Args:
    labeled: this device's share of the labelled batch.
    label: pseudo-labels of any shape.
    mask: pixels that count, of the same shape.
    num_classes: C.

  Returns:
    `labeled_shares` and `pseudo_shares`, `[C]` float32 of the *global* batch.
  """
  return {
    'labeled_shares': class_shares(labeled.label, labeled.valid, num_classes, ALL_DEVICES),
    'pseudo_shares': class_shares(label, mask, num_classes, ALL_DEVICES),
  }


def make_pseudo_label(
  model: Segmenter,
  params: PyTree,
  batch_stats: PyTree,
  example: Example,
  *,
  train: bool,
  exclude_padding: bool,
  keep_prob: bool = False,
) -> tuple[PseudoLabel, PyTree]:
  """Predicts labels of images, one micro-batch after another.

  Args:
    model: the network.
    params: its parameters.
    batch_stats: its running statistics.
    example: this device's share of the unlabelled batch, `[A, b, ...]`.
    train: True normalizes by the statistics of these images, False by the running statistics.
    exclude_padding: whether `valid` is that of the example; else it is True everywhere.
    keep_prob: whether to return all probabilities.

  Returns:
    `[A b, ...]` arrays and the network's new running statistics.
  """

  def label(carry: tuple, example: Example) -> tuple:
    parts, batch_stats = carry
    image = to_unit_range(example.image)
    logits, batch_stats = forward(model, params, batch_stats, image, train=train, upsample=False)
    size = get_size(image)
    classes, confidence = per_pixel(top_class, logits, size=size)
    prob = jax.nn.softmax(resize_bilinear(logits, size)) if keep_prob else None
    valid = valid_pixels(example, exclude_padding)
    return (*parts, PseudoLabel(image, classes, confidence, prob, valid)), batch_stats

  parts, batch_stats = fold_micro_batches(label, ((), batch_stats), example)
  return concatenate(parts), batch_stats
