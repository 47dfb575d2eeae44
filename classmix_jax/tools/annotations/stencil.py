"""Regions that are stored as small images: PNG bytes, or their base64 text.

Synopsis:

    stencil = Stencil(left=3, top=1, data=decode_base64(shape['mask']))
    stencil.paint(canvas, label=2)
"""

import base64
import binascii
import dataclasses
import io

import numpy as np
from PIL import Image, UnidentifiedImageError

from classmix_jax.errors import UserError
from classmix_jax.tools.annotations.raster import paste

HALF = 128  # of 255: pixels on smooth edges belong to a region if half of them is inside


@dataclasses.dataclass(frozen=True)
class Stencil:
  """The region of a PNG whose first pixel is at (left, top).

  Pixels with alpha >= 128 belong to it; without transparency, pixels that are not black.
  """

  left: int
  top: int
  data: bytes

  def paint(self, canvas: Image.Image, label: int) -> None:
    try:
      with Image.open(io.BytesIO(self.data), formats=['PNG']) as image:
        image.load()
        pixels = select_pixels(image)
    except UnidentifiedImageError:
      raise UserError(f'a mask of {len(self.data)} bytes is no PNG: save the file again.') from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
      raise UserError(f'a mask does not decode ({error}): save the file again.') from None
    paste(canvas, label, pixels, self.left, self.top)


def select_pixels(image: Image.Image) -> np.ndarray:
  """Returns the pixels of the region as `[h, w]` bool; raises UserError for opaque colours."""
  if image.has_transparency_data:
    return np.array(image.convert('RGBA'))[..., 3] >= HALF
  pixels = np.array(image)
  if pixels.ndim != 2:
    raise UserError('a mask is a colour image; expected grey: save the file again.')
  return pixels > 0


def decode_base64(text: object) -> bytes:
  """Decodes base64, also of a 'data:image/png;base64,...' URL; raises UserError if it is none."""
  try:
    text = ''.join(str(text).rpartition(',')[2].split())  # some programs break the lines
    return base64.b64decode(text, validate=True)
  except (binascii.Error, ValueError):
    raise UserError('a mask has no base64 text: save the file again.') from None
