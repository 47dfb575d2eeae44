"""Reads and decodes masks.

Synopsis:

    decoding = Decoding(('road', 'car'), label_table(2, {7: 1}))
    label = read_mask('a.png', decoding)                             # [H, W] uint8
    label = decode(np.array([[0, 7]], np.uint8), decoding, 'a.png')  # [[0, 1]]
"""

import numpy as np

from classmix_jax.data.files import mask_messages
from classmix_jax.data.files.colors import pack_color, pack_colors, unpack_color
from classmix_jax.data.files.decoding import (
  BY_ALPHA,
  BY_COLOR,
  BY_INVERSE_ALPHA,
  OPAQUE,
  OTHERS,
  RAW_VALUES,
  TRANSPARENT,
  UNKNOWN,
  Decoding,
  Raw,
)
from classmix_jax.data.files.mask_pixels import MaskPixels, load_mask
from classmix_jax.data.files.open_image import File
from classmix_jax.data.files.transparency import check_transparency, opaque_pixels
from classmix_jax.errors import UserError
from classmix_jax.types import VOID, Size


def read_mask(
  file: File, decoding: Decoding, size: Size | None = None, orientation: int = 1
) -> np.ndarray:
  """Reads a mask as `[H, W]` uint8 class ids, 255 for void.

  Grey (1 to 32 bits) and palette images hold ids (the index, not the colour), which
  `decoding.table` maps. `decoding.colors` maps the colours of RGB images; without colours, an
  RGB image with three equal channels is read as grey. Transparent pixels: `decoding.transparent`.

  Args:
    file: path or bytes of an image, in a lossless format unless `decoding.reads_lossy`.
    decoding: maps the values of the pixels.
    size: (height, width) to resize to, by the nearest pixel so that ids survive; None keeps the
      size.
    orientation: of EXIF, 1 to 8, by which a mask without an orientation of its own is turned.

  Raises:
    UserError: the file is missing or damaged (PNG: by its checksums too), is a JPEG, holds
      values or colours that `decoding` lacks, or has transparency that its colours do not repeat;
      the message has them and the option to set.

  Example: `read_mask('a.png', Decoding(('road', 'car'), label_table(2)))`.
  """
  pixels = load_mask(file, decoding, size, orientation)
  choice, opaque = decoding.transparent, opaque_pixels(pixels.alpha)
  if choice in (BY_ALPHA, BY_INVERSE_ALPHA):
    return _decode_alpha(pixels, opaque, decoding, file)
  if opaque is None or choice == BY_COLOR:
    check_palette(pixels.raw, pixels.palette, decoding, file)
    return decode(pixels.raw, decoding, file)
  if choice is None:
    check_palette(pixels.raw, pixels.palette, decoding, file)
    check_transparency(pixels.raw, find_labels(pixels.raw, decoding), opaque, decoding, file)
    return decode(pixels.raw, decoding, file)
  if not opaque.any():
    return np.full(opaque.shape, choice, np.uint8)
  raw = cover(pixels.raw, opaque)
  check_palette(raw, pixels.palette, decoding, file)
  return np.where(opaque, decode(raw, decoding, file), np.uint8(choice))


def cover(raw: np.ndarray, opaque: np.ndarray) -> np.ndarray:
  """Returns raw values with those of an opaque pixel in place of all transparent ones."""
  where = opaque if raw.ndim == 2 else opaque[..., None]
  return np.where(where, raw, raw[opaque][0])


def _decode_alpha(
  pixels: MaskPixels, opaque: np.ndarray | None, decoding: Decoding, file: File
) -> np.ndarray:
  """Returns class 1 for opaque pixels, or for transparent ones."""
  if pixels.alpha is None:
    raise UserError(
      f'{file} has no transparency, but --config.data.transparent={decoding.transparent}: export '
      'it as PNG with transparency, like the others.',
      'masks without transparency',
    )
  if opaque is None:
    opaque = np.ones(pixels.alpha.shape, bool)
  return (opaque == (decoding.transparent == BY_ALPHA)).astype(np.uint8)


def decode(raw: np.ndarray, decoding: Decoding, file: File) -> np.ndarray:
  """Decodes `[H, W]` ids or `[H, W, 3]` colours to `[H, W]` uint8 class ids, 255 for void.

  An RGB mask without a table of colours is decoded as grey if its channels are equal.

  Raises:
    UserError: values or colours have no meaning; the message has `file`, them and the remedy.
  """
  label = find_labels(raw, decoding)
  unknown = label == UNKNOWN
  if unknown.any() and not decoding.others_are_void:
    raise _unknown_error(raw, unknown, decoding, file)
  return np.where(unknown, VOID, label).astype(np.uint8)


def _unknown_error(
  raw: np.ndarray, unknown: np.ndarray, decoding: Decoding, file: File
) -> UserError:
  ids = as_ids(raw, decoding)
  if ids is not None:
    return mask_messages.unknown_ids(file, ids, unknown, decoding)
  packed = pack_colors(raw)
  if decoding.colors:
    return mask_messages.unknown_colors(file, packed, unknown, decoding)
  return mask_messages.no_colors(file, packed, decoding)


def as_ids(raw: np.ndarray, decoding: Decoding) -> np.ndarray | None:
  """Returns the ids of a mask, None if its pixels are colours."""
  if raw.ndim == 2:
    return raw
  return raw[..., 0] if not decoding.colors and (raw == raw[..., :1]).all() else None


def find_labels(raw: np.ndarray, decoding: Decoding) -> np.ndarray:
  """Returns the `[H, W]` int16 class ids, void or `UNKNOWN` of ids or colours, as in `decode`."""
  ids = as_ids(raw, decoding)
  if ids is None:
    return _find_color_labels(raw, decoding)
  if ids.dtype == np.uint8:
    return decoding.table[ids]
  inside = (ids >= 0) & (ids < RAW_VALUES)
  return np.where(inside, decoding.table[np.where(inside, ids, 0)], UNKNOWN)


def _find_color_labels(rgb: np.ndarray, decoding: Decoding) -> np.ndarray:
  if not decoding.colors:
    return np.full(rgb.shape[:2], UNKNOWN, np.int16)
  packed = snap_colors(pack_colors(rgb), decoding)
  colors = sorted(decoding.colors)
  keys = pack_colors(np.array(colors))  # sorted, because packing keeps the order of triples
  labels = np.array([decoding.colors[color] for color in colors], np.int16)
  positions = np.minimum(np.searchsorted(keys, packed), len(keys) - 1)
  return np.where(keys[positions] == packed, labels[positions], np.int16(UNKNOWN))


def snap_colors(packed: np.ndarray, decoding: Decoding) -> np.ndarray:
  """Replaces packed colours by the nearest of the table within `decoding.color_distance`."""
  if not decoding.color_distance or not decoding.colors:
    return packed
  values, inverse = np.unique(packed, return_inverse=True)
  rgb = np.stack([values >> 16, values >> 8 & 255, values & 255], -1)
  nearest, least = values, np.full(len(values), decoding.color_distance**2)
  for color in sorted(decoding.colors):  # one at a time, which bounds the memory
    squares = ((rgb - np.array(color)) ** 2).sum(-1)
    nearest = np.where(squares <= least, pack_color(color), nearest)
    least = np.minimum(squares, least)
  return nearest[inverse].reshape(packed.shape)


def check_palette(
  raw: np.ndarray, palette: np.ndarray | None, decoding: Decoding, file: File
) -> None:
  """Raises UserError if a palette gives an index the colour or grey of another class.

  Tools that shrink PNGs reorder palettes by frequency: the image looks the same and every index
  is wrong.
  """
  if palette is None or raw.ndim == 3 or decoding.threshold:
    return
  indices = np.unique(raw)
  colors = [(red, green, blue) for red, green, blue in palette[indices].tolist()]
  by_color = decoding.colors
  if not by_color:
    greys = [color[0] for color in colors if len(set(color)) == 1]
    by_color = {(grey,) * 3: int(decoding.table[grey]) for grey in greys}
    # Black and white are colours of a palette to look at; a palette of ids has other greys.
    is_for_ids = len(greys) == len(colors) and any(0 < grey < 255 for grey in greys)
    if not is_for_ids or UNKNOWN in by_color.values():
      return
  for index, color in zip(indices.tolist(), colors, strict=True):
    label, by_index = by_color.get(color), int(decoding.table[index])
    if label is not None and label != by_index:
      raise mask_messages.reordered_palette(file, index, color, label, by_index, decoding)


def count_raw_values(file: File, decoding: Decoding) -> dict[Raw, int]:
  """Counts the raw values of a mask, known or not: id or colour -> number of pixels.

  Pixels whose class is that of their transparency are counted as 'transparent' and 'opaque'.

  Raises:
    UserError: the file is missing, damaged or of a pixel type that masks do not have.

  Example: `count_raw_values('a.png', Decoding(('road', 'car'), label_table(2)))` may be
    `{0: 90, 255: 10}`.
  """
  pixels = load_mask(file, decoding)
  raw, opaque = pixels.raw, opaque_pixels(pixels.alpha)
  if opaque is None or decoding.transparent in (None, BY_COLOR):
    return _count_values(raw, decoding)
  hidden = int((~opaque).sum())
  if decoding.transparent in (BY_ALPHA, BY_INVERSE_ALPHA):
    return {TRANSPARENT: hidden, OPAQUE: opaque.size - hidden}
  values = _count_values(raw[opaque][None], decoding) if opaque.any() else {}
  return {TRANSPARENT: hidden, **values}


def _count_values(raw: np.ndarray, decoding: Decoding) -> dict[Raw, int]:
  counts: dict[Raw, int] = {}
  if decoding.others_are_void:
    known = find_labels(raw, decoding) != UNKNOWN
    if not known.all():
      counts[OTHERS] = int((~known).sum())
    if not known.any():
      return counts
    raw = raw[known][None]
  ids = as_ids(raw, decoding)
  if ids is not None:
    for key, pixels in _count(ids.astype(np.int64)).items():
      counts[key] = pixels
    return counts
  for key, pixels in _count(snap_colors(pack_colors(raw), decoding)).items():
    counts[unpack_color(key)] = pixels
  return counts


def _count(keys: np.ndarray) -> dict[int, int]:
  if keys.min() >= 0 and keys.max() < RAW_VALUES:
    pixels = np.bincount(keys.ravel())  # faster than `unique`, which sorts
    values = np.flatnonzero(pixels)
    return dict(zip(values.tolist(), pixels[values].tolist(), strict=True))
  values, pixels = np.unique(keys, return_counts=True)
  return dict(zip(values.tolist(), pixels.tolist(), strict=True))
