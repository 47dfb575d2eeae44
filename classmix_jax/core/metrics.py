"""Intersection over union, counted in integers.

Synopsis:

    counts += confusion_matrix(prediction, label, num_classes=19)   # on the host: int64
    iou(counts)   # per class; NaN if a class neither occurs nor is predicted
"""

import jax
import jax.numpy as jnp
from jaxtyping import Float64, Int32, Integer
import numpy as np

from classmix_jax.core.shapes import Ids, check_dtype, check_rank, check_same_shape, class_ids
from classmix_jax.types import Array


def confusion_matrix(
  prediction: Integer[Array, '...'],
  label: Integer[Array, '...'],
  num_classes: int,
  ignore: Ids = (),
) -> Int32[Array, 'C C']:
  """Counts pixels by (true class, predicted class).

  A prediction outside of 0..C-1 of a pixel with label k counts as class (k + 1) mod C: a row sums
  to the pixels of its label, and the IoU of k falls. If C = 1, such a pixel is not counted.

  Args:
    prediction: integer class ids 0..C-1, any shape.
    label: integer class ids 0..C-1 of the same shape; all others, such as -1 and 255, are void
      and not counted.
    num_classes: C.
    ignore: further ids of labels that are void.

  Returns:
    `[C, C]` int32, rows are true classes. Sum batches in int64 on the host:
    Cityscapes val has 10^9 pixels, and float32 is exact only up to 1.7 * 10^7.

  Raises:
    ValueError: the shapes differ, or a dtype is not that of integers (at trace time).

  Example:
    >>> confusion_matrix(jnp.array([0, 1, 1]), jnp.array([0, 0, 255]), 2).tolist()
    [[1, 1], [0, 0]]
  """
  hint = 'both are class ids; of scores [..., C] take jnp.argmax(scores, axis=-1)'
  check_same_shape(hint, prediction=prediction, label=label)
  label = class_ids(label, num_classes, ignore)  # -1 is void
  prediction = class_ids(prediction, num_classes, name='prediction')
  is_class = prediction >= 0
  column = jnp.where(is_class, prediction, (label + 1) % num_classes)
  counted = (label >= 0) & (is_class | (num_classes > 1))
  cell = jnp.where(counted, label * num_classes + column, num_classes**2)  # dropped below
  counts = jnp.zeros(num_classes**2, jnp.int32).at[cell.ravel()].add(1, mode='drop')
  return counts.reshape(num_classes, num_classes)


def iou(confusion: Integer[np.ndarray, 'C C']) -> Float64[np.ndarray, ' C']:
  """Returns the intersection over union per class, TP / (TP + FP + FN).

  Args:
    confusion: `[C, C]` integer counts, rows are true classes.

  Returns:
    `[C]` float64 in 0..1, NaN if the union is empty.

  Raises:
    ValueError: confusion is not `[C, C]`, is traced, or has no integers.

  Example:
    >>> iou(np.array([[1, 1], [0, 2]])).tolist()
    [0.5, 0.6666666666666666]
  """
  hint = 'the counts of one set; of several take their sum, confusion.sum(axis=0)'
  check_rank('confusion', confusion, 'C C', hint)
  check_dtype('confusion', confusion, jnp.integer, 'numbers of pixels')
  if isinstance(confusion, jax.core.Tracer):
    raise ValueError('confusion is traced, expected is an array of NumPy: call iou outside of jit.')
  confusion = np.asarray(confusion, np.int64)
  if confusion.shape[0] != confusion.shape[1]:
    raise ValueError(f'confusion has the shape {confusion.shape}, expected is [C, C]: {hint}.')
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
