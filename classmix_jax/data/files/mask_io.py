"""Reads and decodes masks.

Synopsis:

    decoding = Decoding(('road', 'car'), label_table(2, {7: 1}))
    label = read_mask('a.png', decoding)                             # [H, W] uint8
    label = decode(np.array([[0, 7]], np.uint8), decoding, 'a.png')  # [[0, 1]]
"""

import numpy as np
from PIL import Image

from classmix_jax.data.files import mask_messages
from classmix_jax.data.files.colors import pack_colors, unpack_color
from classmix_jax.data.files.decoding import RAW_VALUES, UNKNOWN, Decoding, Raw
from classmix_jax.data.files.image_io import load_image, verify_mask_file
from classmix_jax.data.files.open_image import File
from classmix_jax.data.files.pixel_io import DEEP_GREY_MODES
from classmix_jax.errors import UserError
from classmix_jax.types import Size


def read_mask(file: File, decoding: Decoding, size: Size | None = None) -> np.ndarray:
  """Reads a mask as `[H, W]` uint8 class ids, 255 for void.

  Grey (1, 8 or 16 bits) and palette images hold ids (the index, not the colour), which
  `decoding.table` maps. `decoding.colors` maps the colours of RGB images; without colours, an
  RGB image with three equal channels is read as grey.

  Args:
    file: path or bytes of an image in a lossless format.
    decoding: maps the values of the pixels.
    size: (height, width) to resize to, by the nearest pixel so that ids survive; None keeps the
      size.

  Raises:
    UserError: the file is missing or damaged (PNG: by its checksums too), is a JPEG, or holds
      values or colours that `decoding` lacks; the message has them and the option to set.

  Example: `read_mask('a.png', Decoding(('road', 'car'), label_table(2)))`.
  """
  verify_mask_file(file)
  image = load_image(file)
  if size is not None:
    image = image.resize(size[::-1], Image.Resampling.NEAREST)
  if image.mode in ('P', 'PA'):
    check_palette(image, decoding, file)
  return decode(_raw_pixels(image, file), decoding, file)


def _raw_pixels(image: Image.Image, file: File) -> np.ndarray:
  """Returns the raw values of a mask: `[H, W]` ids or `[H, W, 3]` colours."""
  if image.mode in ('RGB', 'RGBA', 'RGBX'):
    return np.asarray(image.convert('RGB'))
  if image.mode in ('1', 'L', 'P', 'LA', 'PA', *DEEP_GREY_MODES):
    return np.asarray(image.getchannel(0) if image.mode in ('LA', 'PA') else image)
  raise UserError(
    f"{file} has pixels of type '{image.mode}': save masks as 8-bit PNG.",
    f"masks with pixels of type '{image.mode}'",
  )


def decode(raw: np.ndarray, decoding: Decoding, file: File) -> np.ndarray:
  """Decodes `[H, W]` ids or `[H, W, 3]` colours to `[H, W]` uint8 class ids, 255 for void.

  An RGB mask without a table of colours is decoded as grey if its channels are equal.

  Raises:
    UserError: values or colours have no meaning; the message has `file`, them and the remedy.
  """
  if raw.ndim == 2:
    return _decode_ids(raw, decoding, file)
  if decoding.colors:
    return _decode_colors(raw, decoding, file)
  if (raw == raw[..., :1]).all():
    return _decode_ids(raw[..., 0], decoding, file)
  raise UserError(mask_messages.no_colors(file, raw, decoding), 'masks in colour')


def _decode_ids(raw: np.ndarray, decoding: Decoding, file: File) -> np.ndarray:
  if raw.dtype == np.uint8:
    label = decoding.table[raw]
  else:
    inside = (raw >= 0) & (raw < RAW_VALUES)
    label = np.where(inside, decoding.table[np.where(inside, raw, 0)], UNKNOWN)
  if (label == UNKNOWN).any():
    values = np.unique(raw[label == UNKNOWN]).tolist()
    raise UserError(mask_messages.unknown_ids(file, values, decoding), 'values of masks')
  return label.astype(np.uint8)


def _decode_colors(rgb: np.ndarray, decoding: Decoding, file: File) -> np.ndarray:
  packed = pack_colors(rgb)
  colors = sorted(decoding.colors)
  keys = pack_colors(np.array(colors))  # sorted, because packing keeps the order of triples
  labels = np.array([decoding.colors[color] for color in colors], np.uint8)
  positions = np.minimum(np.searchsorted(keys, packed), len(keys) - 1)
  unknown = keys[positions] != packed
  if unknown.any():
    raise UserError(
      mask_messages.unknown_colors(file, packed, unknown, decoding), 'colours of masks'
    )
  return labels[positions]


def check_palette(image: Image.Image, decoding: Decoding, file: File) -> None:
  """Raises UserError if a palette gives an index the colour of another class.

  Tools that shrink PNGs reorder palettes by frequency: the image looks the same and every index
  is wrong.
  """
  if not decoding.colors:
    return
  palette = np.array(image.getpalette('RGB')).reshape(-1, 3)
  for index in np.unique(np.asarray(image.getchannel(0))).tolist():
    if index >= len(palette):
      continue
    red, green, blue = palette[index].tolist()
    color = red, green, blue
    by_color, by_index = decoding.colors.get(color), int(decoding.table[index])
    if by_color is not None and by_color != by_index:
      raise UserError(
        mask_messages.reordered_palette(file, index, color, by_color, by_index, decoding),
        'masks with a reordered palette',
      )


def count_raw_values(file: File, decoding: Decoding) -> dict[Raw, int]:
  """Counts the raw values of a mask, known or not: id or colour -> number of pixels.

  Raises:
    UserError: the file is missing, damaged or of a pixel type that masks do not have.

  Example: `count_raw_values('a.png', Decoding(('road', 'car'), label_table(2)))` may be
    `{0: 90, 255: 10}`.
  """
  verify_mask_file(file)
  raw = _raw_pixels(load_image(file), file)
  if raw.ndim == 3 and not decoding.colors and (raw == raw[..., :1]).all():
    raw = raw[..., 0]  # as `decode` does
  if raw.ndim == 2:
    return {key: pixels for key, pixels in _count(raw.astype(np.int64)).items()}
  return {unpack_color(key): pixels for key, pixels in _count(pack_colors(raw)).items()}


def _count(keys: np.ndarray) -> dict[int, int]:
  if keys.min() >= 0 and keys.max() < RAW_VALUES:
    pixels = np.bincount(keys.ravel())  # faster than `unique`, which sorts
    values = np.flatnonzero(pixels)
    return dict(zip(values.tolist(), pixels[values].tolist(), strict=True))
  values, pixels = np.unique(keys, return_counts=True)
  return dict(zip(values.tolist(), pixels.tolist(), strict=True))
