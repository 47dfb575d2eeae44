"""The protocol `native`: every image alone, resized to multiples of a number of pixels.

Attention and batch normalisation see no padding, unlike in `paper`. Images whose sides have the
same nearest multiples share a frame and a compiled program.

Synopsis:

    frame = native_frame((375, 500), 14)          # (384, 510), the arrays that hold such images
    score = score_native(14, logits, image, sizes)
"""

from collections.abc import Callable

import jax

from classmix_jax.core.resize import get_size, nearest_multiples, resize_each, resize_from_each
from classmix_jax.types import Array, Size


def native_frame(size: Size, multiple: int) -> Size:
  """Returns the largest size with the same nearest multiples as `size`.

  Example:
    >>> native_frame((375, 500), 14), native_frame((375, 500), 1)
    ((384, 510), (375, 500))
  """
  height, width = (side + (multiple - 1) // 2 for side in nearest_multiples(size, multiple))
  return height, width


def score_native(
  multiple: int, logits: Callable[[Array], Array], image: Array, sizes: Array
) -> Array:
  """Returns class probabilities of images of about one size, `[B, H, W, C]`.

  An image is resized to its nearest multiples, and its logits back to its own size; bilinear,
  corners aligned.

  Args:
    multiple: 1 for networks that take any size.
    logits: the network, `[B, h, w, 3]` to `[B, h, w, C]`.
    image: `[B, H, W, 3]`, padded at the bottom and right to `native_frame` of the images.
    sizes: `[B, 2]` (height, width) of the images.
  """
  frame = get_size(image)
  size = nearest_multiples(frame, multiple)
  return jax.nn.softmax(resize_each(logits(resize_from_each(image, sizes, size)), sizes, frame))
