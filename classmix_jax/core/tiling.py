"""Applies per-pixel functions to upsampled logits tile by tile, to bound memory.

Synopsis:

    loss = per_pixel(cross_entropy, logits, label)              # [B, h, w, C], [B, H, W]
    label, confidence = per_pixel(top_class, logits, size=(512, 1024))

At full size, the logits of two crops of 512x1024 with 19 classes take 80 MB, and so does each
copy: log-softmax, gradient, softmax of the teacher. Results have a single channel. So tiles of a
few rows are upsampled, reduced and discarded one after another, and again for the gradient.
"""

from collections.abc import Callable
import math

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Float, Shaped
import numpy as np

from classmix_jax.core.resize import enlarge, get_size, interpolation_matrix, resize_bilinear
from classmix_jax.types import Array, PyTree, Size

TILE_BYTES = 2**25  # of upsampled float32 logits, 32 MiB


def per_pixel(
  function: Callable[..., PyTree],
  logits: Float[Array, 'B h w C'],
  *maps: Shaped[Array, 'B H W ...'],
  size: Size | None = None,
  tile_bytes: int = TILE_BYTES,
) -> PyTree:
  """Applies `function` to logits upsampled to full size with aligned corners.

  The result and its gradient are those of `function(resize_bilinear(logits, size), *maps)`.

  Args:
    function: maps `[B, R, W, C]` float32 logits and `[B, R, W, ...]` maps to arrays
      `[B, R, W, ...]`, independently for each pixel.
    logits: `[B, h, w, C]` float32.
    *maps: arrays `[B, H, W, ...]`.
    size: (H, W), required if there are no maps.
    tile_bytes: size of the upsampled logits of a tile; smaller images are a single tile.

  Raises:
    ValueError: there are neither maps nor a size.

  Example:
    >>> logits = jnp.array([[[[1.0, 2.0]], [[3.0, 4.0]]]])
    >>> per_pixel(lambda x: x.sum(-1), logits, size=(3, 1))[0, :, 0].tolist()
    [3.0, 5.0, 7.0]
  """
  if maps:
    size = get_size(maps[0])
  if size is None:
    raise ValueError('per_pixel needs `size` or a map of the full size')
  height, width = size
  row_bytes = 4 * logits.shape[0] * width * logits.shape[3]
  rows = min(height, max(1, tile_bytes // max(row_bytes, 1)))  # a batch may be empty
  if rows == height:
    return function(resize_bilinear(logits, size), *maps)
  count = math.ceil(height / rows)
  rows = math.ceil(height / count)  # tiles of nearly equal height
  if get_size(logits) == size:
    return _map_tiles(jax.checkpoint(function), rows, height, (), (logits, *maps))
  starts, matrices = _bands(interpolation_matrix(logits.shape[1], height), rows)
  across = jnp.asarray(interpolation_matrix(logits.shape[2], width), logits.dtype)

  @jax.checkpoint
  def apply_to_tile(band: Array, down: Array, *maps: Array) -> PyTree:
    return function(enlarge(band, down, across), *maps)

  bands = jnp.stack([logits[:, start : start + matrices.shape[2]] for start in starts])
  parts = bands, jnp.asarray(matrices, logits.dtype)
  return _map_tiles(apply_to_tile, rows, height, parts, maps)


def _bands(matrix: Float[np.ndarray, 'H h'], rows: int) -> tuple[list[int], np.ndarray]:
  """Returns which rows of the logits each tile depends on, so that it reads no others.

  Args:
    matrix: interpolates from h to H rows.
    rows: R, of a tile.

  Returns:
    The first row of each of T bands of one height S, and their weights `[T, R, S]`.

  Example:
    >>> starts, matrices = _bands(interpolation_matrix(5, 9), rows=3)
    >>> starts, matrices[1].tolist()
    ([0, 1, 3], [[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.5, 0.5]])
  """
  height, length = matrix.shape
  matrix = np.pad(matrix, ((0, -height % rows), (0, 0)))
  tiles = matrix.reshape(-1, rows, length)
  used = (tiles != 0).any(axis=1)
  first, stop = used.argmax(axis=1), length - used[:, ::-1].argmax(axis=1)
  span = (stop - first).max()
  starts = np.minimum(first, length - span).tolist()
  return starts, np.stack(
    [tile[:, start : start + span] for tile, start in zip(tiles, starts, strict=True)]
  )


def _map_tiles(
  function: Callable[..., PyTree],
  rows: int,
  height: int,
  parts: tuple[Array, ...],
  maps: tuple[Array, ...],
) -> PyTree:
  """Applies a function to one part and one tile of all maps after another.

  Args:
    function: maps parts and tiles to arrays `[B, rows, W, ...]`.
    rows: of a tile; the last rows of the last tile may be padding.
    height: H of maps and results.
    parts: `[tiles, ...]`.
    maps: `[B, H, W, ...]`.
  """
  count = math.ceil(height / rows)

  def split(x: Array) -> Array:
    """Maps `[B, H, W, ...]` to `[count, B, rows, W, ...]`."""
    x = jnp.pad(x, ((0, 0), (0, count * rows - height)) + ((0, 0),) * (x.ndim - 2))
    return x.reshape(x.shape[0], count, rows, *x.shape[2:]).swapaxes(0, 1)

  def merge(x: Array) -> Array:
    return x.swapaxes(0, 1).reshape(x.shape[1], -1, *x.shape[3:])[:, :height]

  tiles = lax.map(lambda args: function(*args), (*parts, *map(split, maps)))
  return jax.tree.map(merge, tiles)


def top_class(logits: Array) -> tuple[Array, Array]:
  """Returns the top class, int32, and its probability, float32, of logits `[..., C]`.

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
