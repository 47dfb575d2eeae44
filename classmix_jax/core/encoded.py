"""Images together with the features that a frozen backbone computed from them before.

Synopsis:

    image = EncodedImage(pixels, features)
    map_pixels(to_unit_range, image).features     # unchanged

Code that only looks at shapes, or maps over the arrays of a tree, takes plain images
`[B, H, W, 3]` and encoded ones alike.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import flax.struct

from classmix_jax.types import Array


class EncodedImage(flax.struct.PyTreeNode):
  """Images and features; micro-batches and devices are further axes in front."""

  pixels: Any  # [B, H, W, 3], uint8 or float32
  features: Any  # [B, h, w, F] float16, all levels behind one another

  @property
  def shape(self) -> tuple[int, ...]:
    """The shape of the pixels."""
    return self.pixels.shape

  def __len__(self) -> int:
    return len(self.pixels)


# An Array, or an EncodedImage where the features of a frozen backbone are cached.
Image: TypeAlias = Any


def get_pixels(image: Image) -> Array:
  """Returns the pixels of a plain or an encoded image."""
  return image.pixels if isinstance(image, EncodedImage) else image


def map_pixels(function: Callable[[Array], Array], image: Image) -> Image:
  """Applies a function to the pixels; features stay as they are."""
  if isinstance(image, EncodedImage):
    return image.replace(pixels=function(image.pixels))
  return function(image)
