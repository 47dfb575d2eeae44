"""Reliability of confident predictions: P(correct | confidence >= tau), counted in integers.

Synopsis:

    counts += confidence_counts(confidence, prediction, label)   # on the host: int64
    confident_precision(counts, 0.95)   # (0.98, 0.75): 98 % of the most confident 75 % are correct
    calibration_error(counts)

CW-BASS v2 (arXiv 2608.12773) chooses its threshold by this probability. A threshold tau is useful
if the pixels above it are correct and many.
"""

import jax.numpy as jnp
from jaxtyping import Float, Int32, Integer, Shaped
import numpy as np

from classmix_jax.types import VOID, Array

NUM_BINS = 1_000  # thresholds of three decimals, such as 0.968, are the edge of a bin
NUM_CURVE_BINS = 20


def confidence_counts(
  confidence: Float[Array, '...'], prediction: Integer[Array, '...'], label: Integer[Array, '...']
) -> Int32[Array, '2 bins']:
  """Counts wrong and correct pixels by confidence.

  Args:
    confidence: float in 0..1, any shape.
    prediction: integer class ids of the same shape.
    label: integer class ids of the same shape; `VOID` (255) is not counted.

  Returns:
    `[2, NUM_BINS]` int32, the wrong pixels before the correct ones. Bin k holds the confidences
    from k / NUM_BINS to the next edge, the last bin also 1. Sum batches in int64 on the host.

  Raises:
    ValueError: the shapes differ.

  Example:
    >>> counts = confidence_counts(jnp.array([0.9504, 0.5]), jnp.array([1, 2]), jnp.array([1, 0]))
    >>> counts.nonzero()[0].tolist(), counts.nonzero()[1].tolist()
    ([0, 1], [500, 950])
  """
  if not confidence.shape == prediction.shape == label.shape:
    raise ValueError(
      f'confidence {confidence.shape}, prediction {prediction.shape} and label {label.shape} differ'
    )
  position = jnp.clip((confidence * NUM_BINS).astype(jnp.int32), 0, NUM_BINS - 1)
  cell = (prediction == label) * NUM_BINS + position
  cell = jnp.where(label != VOID, cell, 2 * NUM_BINS)  # out of range, dropped below
  counts = jnp.zeros(2 * NUM_BINS, jnp.int32).at[cell.ravel()].add(1, mode='drop')
  return counts.reshape(2, NUM_BINS)


def confident_precision(
  counts: Shaped[np.ndarray, '2 bins'], threshold: float
) -> tuple[float | None, float]:
  """Returns P(correct | confidence >= threshold) and the share of such pixels.

  Args:
    counts: wrong and correct pixels by confidence, see `confidence_counts`.
    threshold: tau in 0..1, rounded to an edge of a bin.

  Returns:
    The probability, None if no pixel is confident, and the share in 0..1 of all counted pixels.

  Example: of four pixels three have a confidence of at least 1/2, and two of these are correct.
    >>> precision, share = confident_precision(np.array([[1, 1], [0, 2]]), 0.5)
    >>> round(precision, 4), share
    (0.6667, 0.75)
  """
  wrong, correct = counts[:, round(threshold * counts.shape[1]) :].sum(axis=1).tolist()
  share = (wrong + correct) / max(int(counts.sum()), 1)
  return (correct / (wrong + correct) if wrong + correct else None), share


def calibration_curve(
  counts: Shaped[np.ndarray, '2 bins'], bins: int = NUM_CURVE_BINS
) -> Float[np.ndarray, 'points 3']:
  """Returns mean confidence, fraction of correct pixels and share of all pixels by wider bin.

  Args:
    counts: wrong and correct pixels by confidence, see `confidence_counts`.
    bins: number of wider bins, a divisor of the number of bins.

  Returns:
    `[points, 3]` float64, by increasing confidence, without the bins that hold no pixel. The mean
    confidence is exact to half the width of a narrow bin.

  Example:
    >>> calibration_curve(np.array([[3, 0, 0, 1], [1, 0, 0, 3]]), bins=2).tolist()
    [[0.125, 0.25, 0.5], [0.875, 0.75, 0.5]]
  """
  narrow = counts.shape[1]
  center = (np.arange(narrow) + 0.5) / narrow
  pixels = counts.sum(axis=0)
  total, correct, confidence = (
    x.reshape(bins, -1).sum(axis=1) for x in (pixels, counts[1], pixels * center)
  )
  curve = np.stack([confidence, correct, total], axis=1)[total > 0].astype(np.float64)
  return curve / np.stack([curve[:, 2], curve[:, 2], np.full(len(curve), pixels.sum())], axis=1)


def calibration_error(counts: Shaped[np.ndarray, '2 bins'], bins: int = NUM_CURVE_BINS) -> float:
  """Returns the expected calibration error (Guo et al., arXiv 1706.04599, equation 3).

  The mean over pixels of |fraction of correct pixels - mean confidence| of the pixel's bin.

  Example:
    >>> calibration_error(np.array([[3, 0, 0, 1], [1, 0, 0, 3]]), bins=2)
    0.125
  """
  confidence, correct, share = calibration_curve(counts, bins).T
  return float(np.sum(share * np.abs(correct - confidence)))
