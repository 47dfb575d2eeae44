"""Reads headers and pixels of image files; `open_image.py` opens them.

Synopsis:

    image = read_image('images/a.jpg', size=(180, 240))             # [180, 240, 3] uint8
    image = read_image(Encoded(data, 'image 3 of X', 'Prepare X again.'))
    height, width = read_header('images/a.jpg').size
"""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from classmix_jax.data.files.colors import Color
from classmix_jax.data.files.compression import describe_lossy
from classmix_jax.data.files.open_image import File, open_image
from classmix_jax.data.files.pixel_io import (
  orientation_of_tiff,
  read_layout,
  read_orientation,
  read_pixels,
)
from classmix_jax.data.files.reading import Reading, to_rgb
from classmix_jax.data.files.tiff_io import Layout
from classmix_jax.errors import UserError
from classmix_jax.types import Size

WHOLE = Reading()


class Header(NamedTuple):
  """Properties of an image that are known without decoding it.

  Attributes:
    size: (height, width) after the rotation in its EXIF tag.
    format: PIL's name of the format, e.g. 'PNG'.
    mode: PIL's name of the pixel type, e.g. 'RGB'.
    orientation: of EXIF, 1 to 8; 5 to 8 swap height and width.
    lossy: lossy format, such as 'a JPEG'; '' if the compression keeps all values.
  """

  size: Size
  format: str
  mode: str
  orientation: int = 1
  lossy: str = ''


def load_image(file: File) -> Image.Image:
  """Decodes an image and applies its EXIF orientation.

  Raises:
    UserError: the file is missing, not an image, damaged, far too large, or may not be read.
  """
  with open_image(file) as image:
    image.load()
    ImageOps.exif_transpose(image, in_place=True)  # otherwise it copies every image
    return image


def read_header(file: File) -> Header:
  """Reads the properties of an image without decoding it; raises UserError as `load_image`."""
  layout = read_layout(file)
  if layout is not None:
    lossy = layout.lossy
    return Header(layout.size, layout.format, str(layout), layout.orientation, lossy)
  with open_image(file) as image:
    width, height = image.size
    orientation = read_orientation(image)
    size = (width, height) if orientation >= 5 else (height, width)
    if image.format == 'TIFF':  # whose size PIL has turned already
      orientation = orientation_of_tiff(image)
    return Header(size, image.format or '', image.mode, orientation, describe_lossy(image))


def read_palette(file: File) -> list[Color]:
  """Reads the colours of a palette image from its header; [] for other images."""
  with open_image(file) as image:
    flat = (image.mode == 'P' and image.getpalette('RGB')) or []
  return list(zip(flat[::3], flat[1::3], flat[2::3], strict=True))


def read_image(file: File, size: Size | None = None, reading: Reading = WHOLE) -> np.ndarray:
  """Reads an image as `[H, W, 3]` uint8 RGB.

  The orientation in the file is applied, grey becomes three equal channels, palette indices
  become colours, and alpha is dropped. Without `reading.ranges` integers of 16 bits are scaled
  from 0..65535 and floats from 0..1 to 0..255.

  Args:
    file: path or bytes of an image in one of `PIL_FORMATS`.
    size: (height, width) to resize to, bilinearly with antialiasing; None keeps the size.
    reading: bands and range of values, see `parse_reading`.

  Raises:
    UserError: the file is missing or damaged, or its bands or the range of its values need an
      option.

  Example: `read_image('a.png', size=(180, 240)).shape == (180, 240, 3)`.
  """
  if read_layout(file) is None:
    image = convert_image(load_image(file), reading, file)
  else:
    image = Image.fromarray(to_rgb(*read_bands(file), reading, file))
  if size is not None:
    image = image.resize(size[::-1], Image.Resampling.BILINEAR)
  return np.array(image)


def read_bands(file: File) -> tuple[np.ndarray, Layout]:
  """Reads an image as `[H, W, bands]` in its own dtype, and how it is stored.

  The orientation in the file is applied, and palette indices become colours.

  Raises:
    UserError: the file is missing or damaged, or of a pixel type that is not read.

  Example: `read_bands('photo.jpg')[0].shape == (180, 240, 3)`.
  """
  layout = read_layout(file)
  if layout is not None:
    pixels = read_pixels(file)
    return pixels.reshape(*pixels.shape[:2], -1), layout
  return _split_bands(load_image(file), file)


def convert_image(image: Image.Image, reading: Reading, file: File) -> Image.Image:
  """Converts an image of at most 8 bits to RGB, as `read_image` does after decoding.

  Args:
    image: upright, as `load_image` returns it.
    reading: bands and range of values.
    file: for messages.

  Raises:
    UserError: the pixel type is not read, or the image lacks a band of `reading`.

  Example: `convert_image(Image.new('L', (4, 3), 7), WHOLE, 'a.png').mode == 'RGB'`.
  """
  if not (reading.bands or reading.ranges):
    return _to_rgb(image, file)
  return Image.fromarray(to_rgb(*_split_bands(image, file), reading, file))


def _split_bands(image: Image.Image, file: File) -> tuple[np.ndarray, Layout]:
  if image.mode not in ('L', 'LA', 'RGBA'):
    image = image.convert('L') if image.mode == '1' else _to_rgb(image, file)
  pixels = np.asarray(image)
  pixels = pixels.reshape(*pixels.shape[:2], -1)
  alpha = image.mode in ('LA', 'RGBA')
  return pixels, Layout(pixels.shape[:2], '', pixels.dtype, 8, pixels.shape[2], alpha)


def _to_rgb(image: Image.Image, file: File) -> Image.Image:
  if image.mode in ('P', 'PA'):
    return image.convert('RGBA').convert('RGB')  # P -> RGB warns about transparency
  if image.mode in ('1', 'L', 'LA', 'RGB', 'RGBA', 'RGBX', 'CMYK', 'YCbCr', 'HSV'):
    return image if image.mode == 'RGB' else image.convert('RGB')  # convert() copies
  raise UserError(
    f"{file} has pixels of type '{image.mode}', which are not read: save it as an 8-bit PNG or "
    'JPEG.',
    f"images with pixels of type '{image.mode}'",
  )
