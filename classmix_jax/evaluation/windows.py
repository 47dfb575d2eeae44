"""Where labels end, and where the windows of the protocol `sliding` begin.

Synopsis:

    sizes = label_extents(valid)                                          # [B, 2]
    corner, used = window_corners(sizes, (1024, 2048), (798, 798), (532, 532))
"""

import jax.numpy as jnp

from classmix_jax.types import Array, Size


def label_extents(valid: Array) -> Array:
  """Returns the (height, width) `[B, 2]` of the True rectangles in `[B, H, W]`."""
  return jnp.stack([valid.any(axis=2).sum(axis=1), valid.any(axis=1).sum(axis=1)], axis=-1)


def window_corners(sizes: Array, frame: Size, window: Size, stride: Size) -> tuple[Array, Array]:
  """Places windows on images every `stride` pixels; the last ones end at the border.

  Args:
    sizes: `[B, 2]` (height, width) of the images.
    frame: (H, W) of the padded images, which decides the number of windows K.
    window: (height, width), not larger than the frame.
    stride: distance of the windows, down and to the right.

  Returns:
    `(corner [B, K, 2], used [B, K])`: upper left pixels, and whether an image uses a window;
    images smaller than the frame use fewer than K.
  """
  starts, used = [], []
  for axis in (0, 1):
    last = jnp.maximum(sizes[:, axis] - window[axis], 0)[:, None]
    count = -(-(frame[axis] - window[axis]) // stride[axis]) + 1
    start = jnp.arange(count)[None, :] * stride[axis]
    starts.append(jnp.minimum(start, last))
    used.append(start - stride[axis] < last)  # the previous window ends before the border
  rows, columns = jnp.broadcast_arrays(starts[0][:, :, None], starts[1][:, None, :])
  corner = jnp.stack([rows, columns], axis=-1).reshape(len(sizes), -1, 2)
  return corner, (used[0][:, :, None] & used[1][:, None, :]).reshape(len(sizes), -1)
