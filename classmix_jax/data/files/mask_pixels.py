"""Loads mask files: ids or colours, and transparency, before they are decoded.

Synopsis:

    pixels = load_mask('a.png', decoding)
    pixels.raw, pixels.alpha    # [H, W] ids or [H, W, 3] colours; [H, W] uint8 or None
"""

from typing import NamedTuple

import numpy as np
from PIL import Image

from classmix_jax.data.files.decoding import Decoding
from classmix_jax.data.files.image_io import (
  DEEP_GREY_MODES,
  File,
  load_image,
  read_header,
  turn_image,
)
from classmix_jax.data.files.mask_format import verify_mask_file
from classmix_jax.errors import UserError
from classmix_jax.types import Size

CHROMA = 48  # difference of the channels of grey pixels that JPEG may cause, of 255


class MaskPixels(NamedTuple):
  """The pixels of a mask as they are stored.

  Attributes:
    raw: `[H, W]` ids, of any integer type, or `[H, W, 3]` uint8 colours.
    alpha: `[H, W]` uint8, or None.
    palette: colours of the ids, `[256, 3]` uint8, or None.
  """

  raw: np.ndarray
  alpha: np.ndarray | None
  palette: np.ndarray | None


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
  image = load_image(file)
  if orientation > 1 and read_header(file).orientation == 1:
    image = turn_image(image, orientation)
  if size is not None:
    image = image.resize(size[::-1], Image.Resampling.NEAREST)
  alpha = _alpha(image)
  palette = None
  if image.mode in ('P', 'PA'):
    palette = np.zeros((256, 3), np.uint8)
    colors = np.array(image.getpalette('RGB'), np.uint8).reshape(-1, 3)
    palette[: len(colors)] = colors
  if decoding.threshold:
    raw = _grey(image, palette, file)
  else:
    raw = _ids_or_colors(image, decoding, file)
    if is_lossy and raw.ndim == 2:
      raw = np.repeat(raw[..., None], 3, axis=-1)  # the colours of greys, for a distance
  return MaskPixels(raw, alpha, palette)


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
    table = bytes(key) if isinstance(key, bytes) else None
    if table is None:
      opacity[key] = 0
    else:
      opacity[: len(table)] = np.frombuffer(table, np.uint8)[:256]
    return opacity[pixels]
  is_key = pixels == np.asarray(key)
  return np.where(is_key.all(-1) if pixels.ndim == 3 else is_key, 0, 255).astype(np.uint8)


def _ids_or_colors(image: Image.Image, decoding: Decoding, file: File) -> np.ndarray:
  """Returns `[H, W]` ids or `[H, W, 3]` colours."""
  if image.mode in ('RGB', 'RGBA', 'RGBX'):
    return np.asarray(image)[..., :3]
  if image.mode in ('LA', 'PA'):
    return np.asarray(image.getchannel(0))
  if image.mode == 'F':
    return _whole_numbers(np.asarray(image), decoding, file)
  if image.mode in ('1', 'L', 'P', *DEEP_GREY_MODES):
    return np.asarray(image)
  raise _unknown_type(image, file)


def _whole_numbers(values: np.ndarray, decoding: Decoding, file: File) -> np.ndarray:
  """Returns floats as integers; the others become -1 if they may be void."""
  whole = np.isfinite(values) & (values == np.round(values))
  whole &= np.abs(np.where(whole, values, 0)) < 2**31
  if not whole.all() and not decoding.others_are_void:
    raise UserError(
      f'{file} holds {values[~whole][0]:g}, which is no class id: export the masks with whole '
      'numbers; for the probabilities of two classes set --config.data.mask_threshold=128, and '
      'for missing data --config.data.others=void.',
      'masks of fractions',
    )
  return np.where(whole, values, -1).astype(np.int32)


def _grey(image: Image.Image, palette: np.ndarray | None, file: File) -> np.ndarray:
  """Returns grey values `[H, W]` from 0 to 255, as a threshold needs them.

  Values above 255 are taken as 16 bits, fractions up to 1 as shares of 255.
  """
  if palette is not None:
    rgb = palette[np.asarray(image.getchannel(0))]
  elif image.mode in ('RGB', 'RGBA', 'RGBX'):
    rgb = np.asarray(image)[..., :3]
  else:
    return _grey_of_depth(image, file)
  if int((rgb.max(-1) - rgb.min(-1)).max()) > CHROMA:
    raise UserError(
      f'{file} is in colour, but --config.data.mask_threshold compares grey values: set '
      '--config.data.colors and --config.data.color_distance instead.',
      'masks in colour',
    )
  return np.round(rgb.astype(np.float32).mean(-1)).astype(np.uint8)


def _grey_of_depth(image: Image.Image, file: File) -> np.ndarray:
  if image.mode in ('L', 'LA'):
    return np.asarray(image.getchannel(0))
  values = np.asarray(image)
  if image.mode == '1':
    return values.astype(np.uint8) * 255
  if image.mode not in ('F', *DEEP_GREY_MODES):
    raise _unknown_type(image, file)
  missing, values = np.isnan(values), np.nan_to_num(values.astype(np.float64))
  highest = values.max()
  scale = 257 if highest > 255 else 1 / 255 if image.mode == 'F' and 0 < highest <= 1 else 1
  values = np.clip(np.round(values / scale), 0, 255)
  return (
    np.where(missing, -1, values).astype(np.int32) if missing.any() else values.astype(np.uint8)
  )


def _unknown_type(image: Image.Image, file: File) -> UserError:
  return UserError(
    f"{file} has pixels of type '{image.mode}': save masks as 8-bit PNG.",
    f"masks with pixels of type '{image.mode}'",
  )
