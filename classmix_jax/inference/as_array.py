"""Converts images in the memory of a program to RGB, by the rules that files are read by.

Synopsis:

    image = as_array('photo.jpg')                    # [H, W, 3] uint8
    image = as_array(Image.open('photo.jpg'))        # the same
    image = as_array(np.asarray(photo) / 255)        # the same, from grey, RGB or RGBA
"""

import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from classmix_jax.data.files.image_io import WHOLE, convert_image, read_image
from classmix_jax.data.files.pixel_io import DEEP_GREY_MODES
from classmix_jax.data.files.reading import Reading, to_rgb
from classmix_jax.data.files.tiff_io import Layout

ImageLike = np.ndarray | Image.Image | str | os.PathLike

NAME = 'the image'  # in messages, instead of a file
TOLERANCE = 1e-4  # of floats, which resampling leaves a little outside of 0..1


def as_array(image: ImageLike, reading: Reading = WHOLE) -> np.ndarray:
  """Converts an array, a PIL image or a file to `[H, W, 3]` uint8 RGB.

  Args:
    image: a file; a PIL image, which is turned by its EXIF tag as files are; or an array `[H, W]`,
      `[H, W, 1]` (grey), `[H, W, 3]` (RGB), or with alpha, which is dropped, as last channel:
      uint8 0..255, uint16 0..65535, floats or bool 0..1.
    reading: bands and range of values. With a range arrays may have any values, with bands any
      number of channels.

  Raises:
    ValueError: the array has another shape or type, or floats outside of 0..1.
    UserError: the file is unreadable as an image, or the image lacks a band of `reading`.

  Example:
    >>> as_array(Image.new('L', (4, 3), 7)).shape, as_array(np.ones((3, 4))).max()
    ((3, 4, 3), np.uint8(255))
  """
  if isinstance(image, str | os.PathLike):
    return read_image(Path(os.path.expanduser(image)), reading=reading)
  if not isinstance(image, Image.Image):
    return _from_pixels(np.asarray(image), reading)
  image.load()  # of TIFF files, PIL applies the orientation when it decodes
  image = ImageOps.exif_transpose(image)
  if image.mode in (*DEEP_GREY_MODES, 'F'):
    return _from_pixels(np.asarray(image), reading)
  return np.array(convert_image(image, reading, NAME))


def _from_pixels(pixels: np.ndarray, reading: Reading) -> np.ndarray:
  """Converts an array by the rules of files with such values."""
  dtype = pixels.dtype
  is_integer = dtype in (np.uint8, np.uint16) or (reading.ranges and dtype.kind in 'iu')
  has_channels = pixels.ndim == 2 or (
    pixels.ndim == 3 and (pixels.shape[2] in (1, 2, 3, 4) or reading.bands)
  )
  if not has_channels or not pixels.size or not (is_integer or dtype.kind in 'fb'):
    raise ValueError(
      f'{NAME} is {dtype} of shape {pixels.shape}; expected is [H, W], [H, W, 3] RGB or [H, W, 4] '
      'RGBA: uint8 from 0 to 255, uint16 from 0 to 65535, or floats from 0 to 1.'
    )
  if dtype.kind == 'f' and not reading.ranges:
    least, most = np.nanmin(pixels), np.nanmax(pixels)
    if least < -TOLERANCE or most > 1 + TOLERANCE:
      raise ValueError(
        f'{NAME} has floats from {least:g} to {most:g}; expected are 0 to 1: divide them, or '
        'convert them to uint8.'
      )
  bands = pixels.reshape(*pixels.shape[:2], -1)
  height, width, count = bands.shape
  layout = Layout((height, width), '', dtype, 8 * dtype.itemsize, count, count in (2, 4))
  if dtype == np.uint8 and count == 3 and not (reading.bands or reading.ranges):
    return pixels
  return to_rgb(bands, layout, reading, NAME)
