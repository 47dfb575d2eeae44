"""Intersection over union, counted in integers.

Synopsis:

    counts += confusion_matrix(prediction, label, num_classes=19)   # on the host: int64
    iou(counts)   # per class; NaN if a class neither occurs nor is predicted
"""

import jax.numpy as jnp
from jaxtyping import Float64, Int32, Integer
import numpy as np

from classmix_jax.types import VOID, Array


def confusion_matrix(
  prediction: Integer[Array, '...'], label: Integer[Array, '...'], num_classes: int
) -> Int32[Array, 'C C']:
  """Counts pixels by (true class, predicted class).

  Args:
    prediction: integer class ids 0..C-1, any shape.
    label: integer class ids of the same shape; `VOID` (255) is not counted.
    num_classes: C.

  Returns:
    `[C, C]` int32, rows are true classes. Sum batches in int64 on the host:
    Cityscapes val has 10^9 pixels, and float32 is exact only up to 1.7 * 10^7.

  Raises:
    ValueError: the shapes differ.

  Example:
    >>> confusion_matrix(jnp.array([0, 1, 1]), jnp.array([0, 0, 255]), 2).tolist()
    [[1, 1], [0, 0]]
  """
  if prediction.shape != label.shape:
    raise ValueError(f'prediction {prediction.shape} and label {label.shape} differ')
  known = label != VOID
  cell = label.astype(jnp.int32) * num_classes + prediction.astype(jnp.int32)
  cell = jnp.where(known, cell, num_classes**2)  # out of range, dropped below
  counts = jnp.zeros(num_classes**2, jnp.int32).at[cell.ravel()].add(1, mode='drop')
  return counts.reshape(num_classes, num_classes)


def iou(confusion: Integer[np.ndarray, 'C C']) -> Float64[np.ndarray, ' C']:
  """Returns the intersection over union per class, TP / (TP + FP + FN).

  Args:
    confusion: `[C, C]` integer counts, rows are true classes.

  Returns:
    `[C]` float64 in 0..1, NaN if the union is empty.

  Example:
    >>> iou(np.array([[1, 1], [0, 2]])).tolist()
    [0.5, 0.6666666666666666]
  """
  confusion = np.asarray(confusion, np.int64)
  intersection = np.diagonal(confusion)
  union = confusion.sum(axis=0) + confusion.sum(axis=1) - intersection
  return np.where(union > 0, intersection / np.maximum(union, 1), np.nan)


def mean_iou(confusion: Integer[np.ndarray, 'C C']) -> float:
  """Returns the mean IoU over classes with a non-empty union, NaN if there is none.

  Example:
    >>> mean_iou(np.array([[1, 0, 0], [1, 2, 0], [0, 0, 0]]))  # of 1/2 and 2/3
    0.5833333333333333
  """
  per_class = iou(confusion)
  present = ~np.isnan(per_class)
  return float(per_class[present].mean()) if present.any() else float('nan')
