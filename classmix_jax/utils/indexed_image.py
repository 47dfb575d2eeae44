"""Class ids as palette images: viewers show colours, the values of the pixels are the ids.

Synopsis:

    write_png(path, to_indexed(label, palette))
    np.asarray(Image.open(path))    # the ids; readers that convert to RGB give colours
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from classmix_jax.types import VOID
from classmix_jax.utils.visualize import void_color


def to_indexed(label: np.ndarray, palette: Sequence[Sequence[int]]) -> Image.Image:
  """Returns class ids `[H, W]` uint8 as an image of PIL's mode P.

  The palette has 256 entries, so that PNG keeps eight bits a pixel: the colours of the classes,
  that of void at 255, and black between them.

  Example:
    >>> image = to_indexed(np.array([[0, 1]], np.uint8), [(0, 0, 0), (128, 0, 0)])
    >>> np.asarray(image).tolist(), image.convert('RGB').getpixel((1, 0))
    ([[0, 1]], (128, 0, 0))
  """
  colors = np.zeros((256, 3), np.uint8)
  colors[: len(palette)] = palette
  colors[VOID] = void_color(palette)
  image = Image.fromarray(label)
  image.putpalette(colors.ravel().tolist())
  return image
