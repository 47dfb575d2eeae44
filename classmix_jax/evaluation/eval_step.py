"""Counts every pixel of every validation image exactly once.

Synopsis:

    count = make_count(model, num_classes=11, devices=jax.local_devices(), protocol=Protocol())
    confusion = evaluate(count, variables, batches, num_classes=11)
    report = summarize(confusion, class_names)
"""

from collections.abc import Callable, Iterable, Sequence
import functools
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from classmix_jax.core.encoded import Image
from classmix_jax.core.metrics import confusion_matrix, iou, mean_iou
from classmix_jax.evaluation.protocols import PROTOCOLS, Protocol, scores
from classmix_jax.models.image_classifier import predict_logits
from classmix_jax.models.segmenter import Segmenter, to_unit_range
from classmix_jax.types import AXIS, VOID, Array, Example, PyTree

PAPER = Protocol()


def sees_whole_images(protocol: Protocol) -> bool:
  """Returns whether the network sees each image once, as it is."""
  changes = PROTOCOLS[protocol.name].native_image or protocol.flip or protocol.pad is not None
  return not changes and protocol.scales == (1.0,)


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
) -> Callable[[PyTree, Example], Array]:
  """Returns the pmapped `count(variables, example) -> [C, C] int32` over all devices."""

  def count(variables: PyTree, example: Example) -> Array:
    score = predict(model, variables, example.image, example.valid, protocol)
    label = jnp.where(example.valid, example.label, VOID)
    return lax.psum(confusion_matrix(jnp.argmax(score, axis=-1), label, num_classes), AXIS)

  return jax.pmap(
    count,
    axis_name=AXIS,
    in_axes=(None, 0),
    out_axes=None,
    devices=list(devices) if jax.process_count() == 1 else None,
  )


def evaluate(
  count: Callable[[PyTree, Example], Array],
  variables: PyTree,
  batches: Iterable[Example],
  num_classes: int,
) -> np.ndarray:
  """Returns the confusion matrix `[C, C]` int64 of a network over all batches."""
  total = np.zeros((num_classes, num_classes), np.int64)
  for example in batches:
    total += np.asarray(count(variables, example), np.int64)
  return total


def summarize(confusion: np.ndarray, class_names: Sequence[str]) -> dict[str, Any]:
  """Computes IoU from a confusion matrix.

  Args:
    confusion: `[C, C]` counts, rows are true classes.
    class_names: name of class 0, 1, ...

  Returns:
    `miou` over the classes that are present or predicted, `miou_all_classes` with 0 for the others
    (papers divide by C), `iou` by class name (None if absent), `classes_present`, and the number of
    counted `pixels`.
  """
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
  }
