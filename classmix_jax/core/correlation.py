"""Correlation between pixels: averages and labels that follow it (arXiv 2306.04300).

Synopsis:

    rows = correlate(query, key)                                   # [B, M, N], rows sum to 1
    label, reliable = propagate_labels(label, confident, valid, rows_as_maps, 0.9, num_classes)
"""

import jax
from jax import lax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Integer

from classmix_jax.core.collectives import ONE_DEVICE, GlobalBatch
from classmix_jax.core.resize import PRECISION, get_size, resize_bilinear
from classmix_jax.types import Array


def correlate(query: Float[Array, 'B M D'], key: Float[Array, 'B N D']) -> Float[Array, 'B M N']:
  """Returns softmax(query key^T / sqrt(D)): how pixels weigh the others of their image.

  Example:
    >>> query, key = jnp.array([[[2.0]]]), jnp.array([[[0.0], [0.5493]]])   # log(3) / 2
    >>> [round(float(x), 3) for x in correlate(query, key).ravel()]
    [0.25, 0.75]
  """
  product = jnp.einsum('bmd,bnd->bmn', query, key, precision=PRECISION)
  return jax.nn.softmax(product / jnp.sqrt(query.shape[-1]), axis=-1)


def normalize_range(maps: Float[Array, '... h w']) -> Float[Array, '... h w']:
  """Maps the least value of each `[h, w]` to 0 and the largest to 1; equal values to 0.

  Example:
    >>> normalize_range(jnp.array([[1.0, 2.0], [3.0, 5.0]])).tolist()
    [[0.0, 0.25], [0.5, 1.0]]
  """
  least = jnp.min(maps, axis=(-2, -1), keepdims=True)
  extent = jnp.max(maps, axis=(-2, -1), keepdims=True) - least
  return jnp.where(extent > 0, (maps - least) / jnp.where(extent > 0, extent, 1.0), 0.0)


def propagate_labels(
  label: Integer[Array, 'B H W'],
  confident: Bool[Array, 'B H W'],
  valid: Bool[Array, 'B H W'],
  maps: Float[Array, 'B S h w'],
  threshold: ArrayLike,
  num_classes: int,
) -> tuple[Integer[Array, 'B H W'], Bool[Array, 'B H W']]:
  """Labels segments of correlated pixels, if most are confident and of one class.

  A segment is where a map, normalized to 0..1 and enlarged, exceeds 1/2. If the fraction of its
  pixels that are confident and the fraction of its most frequent class both exceed the threshold,
  all its pixels get this class and count as reliable. The fractions are those before any change;
  where segments overlap, the last one decides.

  Args:
    label: `[B, H, W]` int32, predicted classes.
    confident: `[B, H, W]` which predictions are confident.
    valid: `[B, H, W]` False on padding, which belongs to no segment.
    maps: `[B, S, h, w]` correlation of S pixels with all others.
    threshold: float scalar.
    num_classes: C.

  Returns:
    The labels, and which pixels are confident or in a labelled segment.

  Example:
    >>> label, confident = jnp.array([[[1, 1, 0, 0]]]), jnp.array([[[True, True, False, False]]])
    >>> maps = jnp.array([[[[0.4, 0.3, 0.3, 0.0]]]])             # the first three pixels
    >>> label, reliable = propagate_labels(label, confident, confident | True, maps, 0.6, 2)
    >>> label.tolist(), reliable.tolist()
    ([[[1, 1, 1, 0]]], [[[True, True, True, False]]])
  """
  is_class = label[..., None] == jnp.arange(num_classes)[None, None, None]

  def count(mask: Array) -> Array:
    return jnp.sum(mask, axis=(1, 2), dtype=jnp.float32)

  def visit(carry: tuple[Array, Array], row: Array) -> tuple[tuple[Array, Array], None]:
    new_label, reliable = carry
    segment = valid & (resize_bilinear(row[..., None], get_size(label))[..., 0] > 0.5)
    area = jnp.maximum(count(segment), 1.0)
    frequency = count(is_class & segment[..., None]) / area[:, None]
    agrees = jnp.max(frequency, axis=-1) > threshold
    accepted = agrees & (count(segment & confident) / area > threshold)
    inside = segment & accepted[:, None, None]
    majority = jnp.argmax(frequency, axis=-1).astype(label.dtype)
    return (jnp.where(inside, majority[:, None, None], new_label), reliable | inside), None

  # One segment at a time: all of them at full size would fill the memory.
  rows = normalize_range(maps).swapaxes(0, 1)
  (label, reliable), _ = lax.scan(visit, (label, confident), rows)
  return label, reliable


def top_confidence(
  label: Integer[Array, '...'],
  confidence: Float[Array, '...'],
  valid: Bool[Array, '...'],
  num_classes: int,
  global_batch: GlobalBatch = ONE_DEVICE,
) -> Float[Array, '']:
  """Returns the mean over predicted classes of their highest confidence in the *global* batch.

  Args:
    label: `[...]` predicted classes.
    confidence: `[...]` float32 probabilities of these classes.
    valid: `[...]` pixels that count.
    num_classes: C.
    global_batch: where this device's images belong; inside `pmap`, pass its axis.

  Returns:
    float32 scalar, equal on all devices; 0 if no pixel counts.

  Example:
    >>> label, confidence = jnp.array([0, 0, 2]), jnp.array([0.5, 0.75, 1.0])
    >>> float(top_confidence(label, confidence, jnp.ones(3, bool), 3))   # (0.75 + 1) / 2
    0.875
  """
  counts = valid.ravel()[:, None] & (label.ravel()[:, None] == jnp.arange(num_classes)[None])
  highest = jnp.max(jnp.where(counts, confidence.ravel()[:, None], -1.0), axis=0, initial=-1.0)
  highest = global_batch.max(highest)
  predicted = highest >= 0
  return jnp.sum(jnp.where(predicted, highest, 0.0)) / jnp.maximum(jnp.sum(predicted), 1)
