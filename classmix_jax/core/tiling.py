"""What is computed per pixel from logits that are smaller than the image, a few rows at a time.

Synopsis:

    loss = per_pixel(cross_entropy, logits, label)              # [B, h, w, C], [B, H, W]
    label, confidence = per_pixel(top_class, logits, size=(512, 1024))

At full size the logits of two crops of 512x1024 with 19 classes take 80 MB, and so does each
copy: log-softmax, gradient, softmax of the teacher. What is kept of them has one channel. So
a strip of rows is enlarged, used and forgotten, and enlarged again for the gradient.
"""

from collections.abc import Callable
import math

import jax
from jax import lax
import jax.numpy as jnp

from classmix_jax.core.resize import enlarge, interpolation_matrix, resize_bilinear
from classmix_jax.types import Array, PyTree

STRIP_BYTES = 2**25  # of float32 logits at full size


def per_pixel(
  function: Callable[..., PyTree],
  logits: Array,
  *maps: Array,
  size: tuple[int, int] | None = None,
  strip_bytes: int = STRIP_BYTES,
) -> PyTree:
  """Applies a function of pixels to logits at full size, enlarged with corners aligned.

  The result and its gradient are those of `function(resize_bilinear(logits, size), *maps)`.

  Args:
    function: maps `[B, R, W, C]` float32 logits and `[B, R, W, ...]` maps to arrays
      `[B, R, W, ...]`, each pixel by itself.
    logits: `[B, h, w, C]` float32.
    *maps: `[B, H, W, ...]` each.
    size: (H, W), needed where there are no maps.
    strip_bytes: of the logits of a strip; what fits into one is computed as it stands.

  Example:
    >>> logits = jnp.array([[[[1.0, 2.0]], [[3.0, 4.0]]]])
    >>> per_pixel(lambda x: x.sum(-1), logits, size=(3, 1))[0, :, 0].tolist()
    [3.0, 5.0, 7.0]
  """
  height, width = size = maps[0].shape[1:3] if maps else size
  if logits.shape[1:3] == size:
    return function(logits, *maps)
  row_bytes = 4 * logits.shape[0] * width * logits.shape[3]
  rows = min(height, max(1, strip_bytes // max(row_bytes, 1)))  # a batch may be empty
  if rows == height:
    return function(resize_bilinear(logits, size), *maps)
  count = math.ceil(height / rows)
  rows = math.ceil(height / count)  # strips of one height, or nearly so
  padding = count * rows - height
  matrix = jnp.pad(interpolation_matrix(logits.shape[1], height), ((0, padding), (0, 0)))
  across = jnp.asarray(interpolation_matrix(logits.shape[2], width), logits.dtype)

  @jax.checkpoint
  def strip(down: Array, *maps: Array) -> PyTree:
    return function(enlarge(logits, down, across), *maps)

  cut = lambda x: (
    jnp.pad(x, ((0, 0), (0, padding)) + ((0, 0),) * (x.ndim - 2))
    .reshape(x.shape[0], count, rows, *x.shape[2:])
    .swapaxes(0, 1)
  )
  joined = lambda x: x.swapaxes(0, 1).reshape(x.shape[1], -1, *x.shape[3:])[:, :height]
  found = lax.map(
    lambda args: strip(*args),
    (matrix.astype(logits.dtype).reshape(count, rows, -1), *map(cut, maps)),
  )
  return jax.tree.map(joined, found)


def top_class(logits: Array) -> tuple[Array, Array]:
  """Returns the most probable class, int32, and its probability, float32, of logits `[..., C]`.

  Example:
    >>> label, confidence = top_class(jnp.log(jnp.array([1.0, 3.0])))
    >>> int(label), round(float(confidence), 4)
    (1, 0.75)
  """
  highest = jnp.max(logits, axis=-1, keepdims=True)
  return (
    jnp.argmax(logits, axis=-1).astype(jnp.int32),
    1.0 / jnp.sum(jnp.exp(logits - highest), axis=-1),
  )
