"""Loads mask files: ids or colours, and transparency, before they are decoded.

Synopsis:

    pixels = load_mask('a.png', decoding)
    pixels.raw, pixels.alpha    # [H, W] ids or [H, W, 3] colours; [H, W] uint8 or None
"""

from typing import NamedTuple

import numpy as np
from PIL import Image

from classmix_jax.data.files.decoding import Decoding
from classmix_jax.data.files.image_io import load_image, read_header
from classmix_jax.data.files.mask_format import check_channels, verify_mask_file
from classmix_jax.data.files.mask_grey import to_bytes, to_grey, whole_numbers
from classmix_jax.data.files.open_image import File
from classmix_jax.data.files.pixel_io import read_layout, read_pixels, sample_bits, turn_pixels
from classmix_jax.errors import UserError
from classmix_jax.types import Size

LARGEST = np.iinfo(np.int32).max


class MaskPixels(NamedTuple):
  """The pixels of a mask as they are stored.

  Attributes:
    raw: `[H, W]` ids, of any integer type, or `[H, W, 3]` uint8 colours.
    alpha: `[H, W]` uint8, or None.
    palette: colours of the ids, `[256, 3]` uint8, or None.
    bits: of a value.
  """

  raw: np.ndarray
  alpha: np.ndarray | None = None
  palette: np.ndarray | None = None
  bits: int = 8


def load_mask(
  file: File, decoding: Decoding, size: Size | None = None, orientation: int = 1
) -> MaskPixels:
  """Loads a mask, at the size (height, width) by the nearest pixel.

  Args:
    file: path or bytes of a mask.
    decoding: with `threshold` the ids are grey values 0..255, of files of any depth.
    size: (height, width) to resize to; None keeps the size.
    orientation: of EXIF, 1 to 8, by which a mask without an orientation of its own is turned.

  Raises:
    UserError: the file is missing, damaged, in a lossy format, or of a pixel type that masks do
      not have.
  """
  is_lossy = verify_mask_file(file, decoding)
  layout = read_layout(file)
  pixels = _load_bytes(file) if layout is None else _load_deep(file, decoding)
  if orientation > 1 and read_header(file).orientation == 1:
    pixels = _each(pixels, lambda array: turn_pixels(array, orientation))
  if size is not None:
    pixels = _each(pixels, lambda array: _resize(array, size))
  if decoding.threshold:
    return pixels._replace(raw=to_grey(pixels.raw, pixels.palette, pixels.bits, file))
  raw = whole_numbers(pixels.raw, decoding, file) if pixels.raw.dtype.kind == 'f' else pixels.raw
  if is_lossy and raw.ndim == 2:
    raw = np.repeat(raw[..., None], 3, axis=-1)  # the colours of greys, for a distance
  return pixels._replace(raw=raw)


def _each(pixels: MaskPixels, change) -> MaskPixels:
  """Applies a function to the arrays of pixels."""
  alpha = None if pixels.alpha is None else change(pixels.alpha)
  return pixels._replace(raw=change(pixels.raw), alpha=alpha)


def _resize(array: np.ndarray, size: Size) -> np.ndarray:
  if array.dtype.kind in 'iu' and array.dtype != np.uint8:
    array = np.clip(array, -LARGEST, LARGEST).astype(np.int32)
  image = Image.fromarray(np.ascontiguousarray(array))
  return np.asarray(image.resize(size[::-1], Image.Resampling.NEAREST))


def _load_deep(file: File, decoding: Decoding) -> MaskPixels:
  """Loads what PIL would reduce to 8 bits or to fewer channels."""
  layout = read_layout(file)
  assert layout is not None
  check_channels(file, layout)
  bands = read_pixels(file)
  bands = bands.reshape(*bands.shape[:2], -1)
  if bands.dtype == np.float64:
    bands = bands.astype(np.float32)
  alpha = None
  if bands.shape[2] in (2, 4):  # rasterio writes transparency as a band without a name
    alpha, bands = to_bytes(bands[..., -1]), bands[..., :-1]
  if bands.shape[2] == 1 or (not decoding.colors and (bands == bands[..., :1]).all()):
    return MaskPixels(bands[..., 0], alpha, bits=layout.bits)
  return MaskPixels(to_bytes(bands), alpha)


def _load_bytes(file: File) -> MaskPixels:
  """Loads a mask of at most 8 bits, as PIL reads it."""
  image = load_image(file)
  alpha = _alpha(image)
  if image.mode in ('RGB', 'RGBA', 'RGBX'):
    return MaskPixels(np.asarray(image)[..., :3], alpha)
  if image.mode in ('P', 'PA'):
    palette = np.zeros((256, 3), np.uint8)
    colors = np.array(image.getpalette('RGB'), np.uint8).reshape(-1, 3)
    palette[: len(colors)] = colors
    indices = np.asarray(image.getchannel(0))
    if image.format == 'GIF':  # its writers number the colours anew in every file
      return MaskPixels(palette[indices], alpha)
    return MaskPixels(indices, alpha, palette)
  if image.mode == '1':
    return MaskPixels(np.asarray(image).astype(np.uint8), alpha, bits=1)
  if image.mode in ('L', 'LA'):
    raw, bits = np.asarray(image.getchannel(0)), sample_bits(file)
    # PIL spreads grey values of 2 and 4 bits over 0..255; class ids are the values in the file.
    return MaskPixels(raw // (255 // (2**bits - 1)) if bits < 8 else raw, alpha, bits=bits)
  raise UserError(
    f"{file} has pixels of type '{image.mode}': save masks as 8-bit PNG.",
    f"masks with pixels of type '{image.mode}'",
  )


def _alpha(image: Image.Image) -> np.ndarray | None:
  """Returns the opacity of the pixels `[H, W]` uint8, None if the image has none."""
  if image.mode in ('LA', 'PA', 'RGBA', 'RGBX'):  # X is a fourth channel that has no name
    return np.asarray(image.getchannel(len(image.getbands()) - 1))
  key = image.info.get('transparency')
  if key is None:
    return None
  pixels = np.asarray(image)
  if image.mode == 'P':
    opacity = np.full(256, 255, np.uint8)
    if isinstance(key, bytes):
      opacity[: len(key)] = np.frombuffer(key, np.uint8)[:256]
    else:
      opacity[key] = 0
    return opacity[pixels]
  bands = pixels.reshape(*pixels.shape[:2], -1)  # those of one colour are transparent
  return np.where((bands == np.asarray(key)).all(-1), 0, 255).astype(np.uint8)
