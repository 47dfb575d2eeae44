"""Pixels of masks -> class ids, and what is said of values that mean nothing.

Synopsis:

    decoding = Decoding(('road', 'car'), label_table(2, {7: 1}))
    label = decode(np.array([[0, 7]], np.uint8), decoding, 'a.png')  # [[0, 1]]
"""

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np
from PIL import Image

from classmix_jax.data.files.image_io import _DEEP_GREY, File, Size, load, verify
from classmix_jax.errors import UserError
from classmix_jax.types import VOID
from classmix_jax.utils.text import listed, plural

UNKNOWN = -1  # entry of a label table: no mask may hold this value
RAW_VALUES = 65536  # 16-bit masks are the widest that are read

Raw = int | tuple[int, int, int]  # what a pixel of a mask holds: an id, or a colour


@dataclasses.dataclass(frozen=True, eq=False)
class Decoding:
  """How the pixels of a mask become class ids.

  Attributes:
    class_names: name of class 0, 1, ...
    table: `[65536]` int16, raw value -> class id, `VOID` or `UNKNOWN`; see `label_table`.
    colors: `(r, g, b)` -> class id or `VOID`, for masks that are RGB pictures.
    advice: the remedy to print for masks of a wrong encoding, where the options
      `label_map`, `colors` and `ignore` do not exist.
  """

  class_names: tuple[str, ...]
  table: np.ndarray
  colors: Mapping[tuple[int, int, int], int] = dataclasses.field(default_factory=dict)
  advice: str = ''

  def label_of(self, raw: Raw) -> int | None:
    """Returns the class id or `VOID` that an id or a colour means, None if it means nothing."""
    if isinstance(raw, tuple):
      return self.colors.get(raw)
    label = int(self.table[raw]) if 0 <= raw < RAW_VALUES else UNKNOWN
    return None if label == UNKNOWN else label


def label_table(num_classes: int, label_map: Mapping[int, int] | None = None) -> np.ndarray:
  """Returns the `[65536]` int16 table raw value -> class id, `VOID` or `UNKNOWN`.

  Ids below `num_classes` stand for themselves and 255 is void, unless
  `label_map` says otherwise; every other value is `UNKNOWN`.

  Example: `label_table(2, {255: 1})` reads masks of 0 and 255 as classes 0 and 1.
  """
  table = np.full(RAW_VALUES, UNKNOWN, np.int16)
  table[:num_classes] = np.arange(num_classes)
  table[VOID] = VOID
  for raw, label in (label_map or {}).items():
    table[raw] = label
  return table


def decode(raw: np.ndarray, decoding: Decoding, file: File) -> np.ndarray:
  """Returns the uint8 `[H, W]` classes of `[H, W]` ids or `[H, W, 3]` colours, 255 where void.

  Raises:
    UserError: values or colours that mean nothing; names `file`, them and the remedy.
  """
  return (_decode_ids if raw.ndim == 2 else _decode_rgb)(raw, decoding, file)


def _decode_ids(raw: np.ndarray, decoding: Decoding, file: File) -> np.ndarray:
  """Looks `[H, W]` raw values up in the table; raises UserError for unknown ones."""
  if raw.dtype == np.uint8:
    label = decoding.table[raw]
  else:
    inside = (raw >= 0) & (raw < RAW_VALUES)
    label = np.where(inside, decoding.table[np.where(inside, raw, 0)], UNKNOWN)
  if (label == UNKNOWN).any():
    raise UserError(_unknown_ids(file, np.unique(raw[label == UNKNOWN]).tolist(), decoding))
  return label.astype(np.uint8)


def _decode_rgb(rgb: np.ndarray, decoding: Decoding, file: File) -> np.ndarray:
  """Looks `[H, W, 3]` colours up; raises UserError for unknown ones."""
  if not decoding.colors:
    if (rgb == rgb[..., :1]).all():
      return _decode_ids(rgb[..., 0], decoding, file)
    raise UserError(_no_colors(file, rgb, decoding))
  packed = pack(rgb)
  colors = np.array(sorted(decoding.colors), np.int64)
  keys = pack(colors)  # sorted, because packing keeps the order of triples
  labels = np.array([decoding.colors[tuple(color)] for color in colors.tolist()], np.uint8)
  found = np.minimum(np.searchsorted(keys, packed), len(keys) - 1)
  unknown = keys[found] != packed
  if unknown.any():
    raise UserError(_unknown_colors(file, packed, unknown, decoding))
  return labels[found]


def pack(rgb: np.ndarray) -> np.ndarray:
  """Packs `[..., 3]` colours into `[...]` int64, 0xRRGGBB."""
  return rgb.astype(np.int64) @ np.array([65536, 256, 1])


def check_palette(image: Image.Image, decoding: Decoding, file: File) -> None:
  """Raises UserError where a palette gives an index the colour of another class.

  Tools that shrink PNGs reorder palettes by frequency: the picture looks the
  same and every index is wrong.
  """
  if not decoding.colors:
    return
  palette = np.array(image.getpalette('RGB')).reshape(-1, 3)
  for index in np.unique(np.asarray(image.getchannel(0))).tolist():
    color = tuple(palette[index].tolist()) if index < len(palette) else None
    meant = decoding.colors.get(color)
    read = int(decoding.table[index])
    if meant is not None and meant != read:
      raise UserError(
        f'{file} paints index {index} in {_hex(color)}, the colour of '
        f'{_describe(meant, decoding)}, but index {index} is read as '
        f'{_describe(read, decoding)}: save the mask as RGB to go by colour, or remove the '
        'colours from the class file to go by index.'
      )


# ---------------------------------------------------------------------- messages


def _unknown_ids(file: File, values: Sequence[int], decoding: Decoding) -> str:
  num_classes = len(decoding.class_names)
  advice = decoding.advice or (
    f"Set --config.data.label_map='{values[0]}:CLASS' (CLASS is an id or void), or "
    f"--config.data.ignore='{','.join(map(str, values[:8]))}' to leave such pixels out."
  )
  if not decoding.advice and values == [num_classes]:
    shift = ','.join(f'{raw}:{raw - 1}' for raw in range(1, num_classes + 1))
    advice += f" If your ids start at 1: --config.data.label_map='0:void,{shift}'."
  return (
    f'{file} holds the {plural("value", values)} {listed(values, 8)}; expected are '
    f'{_expected(decoding)}. {advice}'
  )


def _no_colors(file: File, rgb: np.ndarray, decoding: Decoding) -> str:
  colors = [_hex(color) for color in np.unique(rgb.reshape(-1, 3), axis=0).tolist()]
  advice = decoding.advice or (
    "Write its colour behind every name in the class file ('road 128 64 128'), or set "
    f"--config.data.colors='{colors[-1]}:CLASS,...'."
  )
  return (
    f'{file} is an RGB picture with the {plural("colour", colors)} {listed(colors, 4)}; '
    f'expected are {_expected(decoding)} and no colour table is set. {advice}'
  )


def _unknown_colors(file: File, packed: np.ndarray, unknown: np.ndarray, decoding: Decoding) -> str:
  row, column = np.argwhere(unknown)[0].tolist()
  colors = [f'#{key:06x}' for key in np.unique(packed[unknown]).tolist()]
  expected = [f'{_hex(c)} {_describe(label, decoding)}' for c, label in decoding.colors.items()]
  return (
    f'{file} holds the {plural("colour", colors)} {listed(colors, 4)} in {unknown.sum()} '
    f'pixels, the first in row {row}, column {column}; expected are {listed(expected, 8)}. '
    f"Set --config.data.colors='{colors[0]}:CLASS' (CLASS is an id or void); for smoothed "
    'edges export the masks again without antialiasing.'
  )


def _expected(decoding: Decoding) -> str:
  """Says what the table reads, as in '0 (road), 1 (car), 7 (car), 255 (void)'."""
  known = np.flatnonzero(decoding.table != UNKNOWN).tolist()
  return listed([f'{raw} ({_name(decoding.table[raw], decoding)})' for raw in known], 24)


def _describe(label: int, decoding: Decoding) -> str:
  if label in (VOID, UNKNOWN):
    return 'void' if label == VOID else 'no class'
  return f"class {label} '{decoding.class_names[label]}'"


def _name(label: int, decoding: Decoding) -> str:
  return 'void' if label == VOID else decoding.class_names[label]


def _hex(color: Sequence[int]) -> str:
  return '#{:02x}{:02x}{:02x}'.format(*color)


def read_mask(file: File, decoding: Decoding, size: Size | None = None) -> np.ndarray:
  """Returns a mask as `[H, W]` uint8 class ids, 255 where void.

  Grey (1, 8 or 16 bits) and palette pictures hold ids (the index, not the
  colour), looked up in `decoding.table`. RGB pictures are looked up in
  `decoding.colors`; without colours an RGB picture whose three channels are
  equal is read as grey.

  Args:
    file: path or bytes of a picture in a lossless format.
    decoding: what the pixels mean.
    size: (height, width) to resize to, by nearest pixel so that ids survive.

  Raises:
    UserError: the file is missing or damaged (PNG: by its checksums too), is a JPEG, or holds
      values or colours that `decoding` does not know; says which and what to set.

  Example: `read_mask('a.png', Decoding(('road', 'car'), label_table(2)))`.
  """
  verify(file)
  image = load(file)
  if size is not None:
    image = image.resize(size[::-1], Image.Resampling.NEAREST)
  if image.mode in ('P', 'PA'):
    check_palette(image, decoding, file)
  return decode(_raw_pixels(image, file), decoding, file)


def _raw_pixels(image: Image.Image, file: File) -> np.ndarray:
  """Returns what a mask holds: `[H, W]` ids or `[H, W, 3]` colours."""
  if image.mode in ('RGB', 'RGBA', 'RGBX'):
    return np.asarray(image.convert('RGB'))
  if image.mode in ('1', 'L', 'P', 'LA', 'PA', *_DEEP_GREY):
    return np.asarray(image.getchannel(0) if image.mode in ('LA', 'PA') else image)
  raise UserError(f"{file} has pixels of type '{image.mode}': save masks as 8-bit PNG.")


def raw_values(file: File, decoding: Decoding) -> dict[Raw, int]:
  """Returns what a mask holds, known to `decoding` or not: id or colour -> number of pixels.

  Raises:
    UserError: the file is missing, damaged or of a pixel type that masks do not have.

  Example: `raw_values('a.png', Decoding(('road', 'car'), label_table(2)))` may be
    `{0: 90, 255: 10}`.
  """
  verify(file)
  raw = _raw_pixels(load(file), file)
  if raw.ndim == 3 and not decoding.colors and (raw == raw[..., :1]).all():
    raw = raw[..., 0]  # as `decode` reads it
  if raw.ndim == 2:
    return _count(raw.astype(np.int64))
  return {
    (key >> 16, key >> 8 & 255, key & 255): pixels for key, pixels in _count(pack(raw)).items()
  }


def _count(keys: np.ndarray) -> dict[int, int]:
  if keys.min() >= 0 and keys.max() < RAW_VALUES:
    pixels = np.bincount(keys.ravel())  # unlike `unique` it does not sort
    values = np.flatnonzero(pixels)
    return dict(zip(values.tolist(), pixels[values].tolist(), strict=True))
  values, pixels = np.unique(keys, return_counts=True)
  return dict(zip(values.tolist(), pixels.tolist(), strict=True))
