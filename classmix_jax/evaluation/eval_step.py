"""Counts every pixel of every validation image exactly once.

Synopsis:

    count = make_count(model, num_classes=11, devices=jax.local_devices(), protocol=Protocol())
    counts = evaluate(count, variables, batches)
    report = summarize(counts, class_names, threshold=0.95)
"""

from collections.abc import Callable, Iterable, Sequence
import functools
from typing import Any, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from classmix_jax.core.encoded import Image
from classmix_jax.core.metrics import confusion_matrix, iou, mean_iou
from classmix_jax.core.reliability import (
  calibration_curve,
  calibration_error,
  confidence_counts,
  confident_precision,
)
from classmix_jax.evaluation.protocols import PROTOCOLS, Protocol, scores
from classmix_jax.models.image_classifier import predict_logits
from classmix_jax.models.segmenter import Segmenter, to_unit_range
from classmix_jax.types import AXIS, VOID, Array, Example, PyTree

PAPER = Protocol()


def sees_whole_images(protocol: Protocol) -> bool:
  """Returns whether the network sees each image once, as it is."""
  changes = PROTOCOLS[protocol.name].native_image or protocol.flip or protocol.pad is not None
  return not changes and protocol.scales == (1.0,)


class Counts(NamedTuple):
  """Pixels of a validation set, int32 of a batch on the devices, int64 of all batches."""

  confusion: Any  # [C, C], rows are true classes
  confidence: Any  # [2, bins], wrong and correct pixels, see `confidence_counts`


def predict(
  model: Segmenter,
  variables: PyTree,
  image: Image,
  valid: Array | None = None,
  protocol: Protocol = PAPER,
) -> Array:
  """Maps uint8 images `[B, h, w, 3]` to class scores `[B, H, W, C]`.

  Args:
    model: the network.
    variables: of the network.
    image: `[B, h, w, 3]` uint8, possibly with features.
    valid: `[B, H, W]` bool, True on the pixels of a label; None scores images at their own size.
    protocol: see `protocols.scores`; by default scores are the probabilities of whole images.
  """
  logits = functools.partial(predict_logits, model, variables)
  valid = jnp.ones(image.shape[:3], bool) if valid is None else valid
  return scores(protocol, logits, to_unit_range(image), valid)


def relative_confidence(score: Array) -> Array:
  """Returns the highest of the scores `[..., C]` relative to their sum, in 1/C..1."""
  return jnp.max(score, axis=-1) / jnp.sum(score, axis=-1)


def make_labels(
  model: Segmenter, devices: Sequence[jax.Device], protocol: Protocol = PAPER
) -> Callable[[PyTree, Example], Array]:
  """Returns the pmapped `labels(variables, example) -> [D, b, H, W] uint8`, the predictions."""

  def labels(variables: PyTree, example: Example) -> Array:
    score = predict(model, variables, example.image, example.valid, protocol)
    return jnp.argmax(score, axis=-1).astype(jnp.uint8)

  return jax.pmap(
    labels,
    axis_name=AXIS,
    in_axes=(None, 0),
    devices=list(devices) if jax.process_count() == 1 else None,
  )


def make_count(
  model: Segmenter, num_classes: int, devices: Sequence[jax.Device], protocol: Protocol = PAPER
) -> Callable[[PyTree, Example], Counts]:
  """Returns the pmapped `count(variables, example)`, the `Counts` over all devices."""

  def count(variables: PyTree, example: Example) -> Counts:
    score = predict(model, variables, example.image, example.valid, protocol)
    label = jnp.where(example.valid, example.label, VOID)
    prediction, confidence = jnp.argmax(score, axis=-1), relative_confidence(score)
    counts = Counts(
      confusion_matrix(prediction, label, num_classes),
      confidence_counts(confidence, prediction, label),
    )
    return lax.psum(counts, AXIS)

  return jax.pmap(
    count,
    axis_name=AXIS,
    in_axes=(None, 0),
    out_axes=None,
    devices=list(devices) if jax.process_count() == 1 else None,
  )


def evaluate(
  count: Callable[[PyTree, Example], Counts], variables: PyTree, batches: Iterable[Example]
) -> Counts:
  """Returns the `Counts` of a network over all batches, of which there is at least one."""
  int64 = (
    jax.tree.map(lambda x: np.asarray(x, np.int64), count(variables, example))
    for example in batches
  )
  return functools.reduce(lambda total, new: jax.tree.map(np.add, total, new), int64)


def summarize(counts: Counts, class_names: Sequence[str], threshold: float) -> dict[str, Any]:
  """Computes IoU and reliability from counts.

  Args:
    counts: of all batches.
    class_names: name of class 0, 1, ...
    threshold: least confidence of a confident pixel.

  Returns:
    `miou` over the classes that are present or predicted, `miou_all_classes` with 0 for the others
    (papers divide by C), `iou` by class name (None if absent), `classes_present`, the number of
    counted `pixels`, and `reliability`, see `summarize_reliability`.
  """
  confusion = counts.confusion
  per_class = iou(confusion)
  return {
    'miou': mean_iou(confusion),
    'miou_all_classes': float(np.nan_to_num(per_class).mean()),
    'iou': {
      name: None if np.isnan(value) else float(value)
      for name, value in zip(class_names, per_class, strict=True)
    },
    'classes_present': int((confusion.sum(axis=1) > 0).sum()),
    'pixels': int(confusion.sum()),
    'reliability': summarize_reliability(counts.confidence, threshold),
  }


def summarize_reliability(counts: np.ndarray, threshold: float) -> dict[str, Any]:
  """Computes how reliable confident predictions are.

  Args:
    counts: `[2, bins]`, see `core/reliability.py`.
    threshold: least confidence of a confident pixel.

  Returns:
    `threshold`, `precision`, the fraction of confident pixels that are correct (None if none is
    confident), their `share` of all pixels, the expected `calibration_error`, and `curve`: mean
    confidence, fraction of correct pixels and share of all pixels in bins of confidence.
  """
  precision, share = confident_precision(counts, threshold)
  return {
    'threshold': float(threshold),
    'precision': precision,
    'share': share,
    'calibration_error': calibration_error(counts),
    'curve': calibration_curve(counts).tolist(),
  }
