"""Pseudo-labels: what a network sees in unlabelled images, without a gradient.

Synopsis:

    found, batch_stats = pseudo_label(model, params, batch_stats, batch.unlabeled, train=True)
    metrics = class_metrics(batch.labeled, found.label, found.valid, num_classes=19)
    mixed = jax.tree.map(lambda x: mix(mask, x, axis_name=AXIS), found)
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from classmix_jax.core.class_frequencies import class_shares
from classmix_jax.core.microbatch import in_turn
from classmix_jax.core.resize import resize_bilinear
from classmix_jax.core.tiling import per_pixel, top_class
from classmix_jax.models.segmenter import Segmenter, forward, to_unit_range
from classmix_jax.types import AXIS, Array, Example, Metrics, PyTree


class PseudoLabel(NamedTuple):
  """Labelled images; B is all of a device, or one micro-batch.

  Attributes:
    image: `[B, H, W, 3]` float32 in 0..1.
    label: `[B, H, W]` int32, the network's classes.
    confidence: `[B, H, W]` float32, the probability of that class.
    prob: `[B, H, W, C]` float32, all probabilities; None unless a loss needs them.
    valid: `[B, H, W]` bool, False where padding is kept out.
  """

  image: Array
  label: Array
  confidence: Array
  prob: Array | None
  valid: Array


def valid_pixels(example: Example, exclude_padding: bool) -> Array:
  """Returns where an unlabelled image counts: not on padding, or everywhere."""
  return example.valid if exclude_padding else jnp.ones_like(example.valid)


def class_metrics(labeled: Example, label: Array, mask: Array, num_classes: int) -> Metrics:
  """Returns what tells a collapse onto one class: how classes share labels and pseudo-labels.

  Args:
    labeled: this device's share of the labelled batch.
    label: pseudo-labels of any shape.
    mask: where they count, of the same shape.
    num_classes: C.

  Returns:
    `labeled_shares` and `pseudo_shares`, `[C]` float32 of the *global* batch.
  """
  return {
    'labeled_shares': class_shares(labeled.label, labeled.valid, num_classes, AXIS),
    'pseudo_shares': class_shares(label, mask, num_classes, AXIS),
  }


def pseudo_label(
  model: Segmenter,
  params: PyTree,
  batch_stats: PyTree,
  example: Example,
  *,
  train: bool,
  exclude_padding: bool,
  keep_prob: bool = False,
) -> tuple[PseudoLabel, PyTree]:
  """Labels images, micro-batch after micro-batch.

  Args:
    model: the network.
    params: of it.
    batch_stats: running statistics of it.
    example: this device's share of the unlabelled batch, `[A, b, ...]`.
    train: True normalises by the statistics of these images, False by the running ones.
    exclude_padding: whether `valid` is that of the example, or True everywhere.
    keep_prob: whether all probabilities are kept.

  Returns:
    `[A b, ...]` arrays, and the network's new running statistics.
  """

  def label(params: PyTree, carry: tuple, example: Example) -> tuple:
    found, batch_stats = carry
    image = to_unit_range(example.image)
    logits, batch_stats = forward(model, params, batch_stats, image, train=train, upsample=False)
    size = image.shape[1:3]
    prob = jax.nn.softmax(resize_bilinear(logits, size)) if keep_prob else None
    labeled = PseudoLabel(
      image, *per_pixel(top_class, logits, size=size), prob, valid_pixels(example, exclude_padding)
    )
    return (*found, labeled), batch_stats

  found, batch_stats = in_turn(label, params, ((), batch_stats), example)
  return jax.tree.map(lambda *parts: jnp.concatenate(parts), *found), batch_stats
