"""Images and masks from files or bytes, with PIL and NumPy alone.

Synopsis:

    image = read_image('images/a.jpg', size=(180, 240))    # [180, 240, 3] uint8
    decoding = Decoding(('road', 'car'), label_table(2, {7: 1}))
    label = read_mask('masks/a.png', decoding, size=(180, 240))  # [180, 240] uint8
    image = read_image(Encoded(data, 'image 3 of X', 'Prepare X again.'))
"""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import dataclasses
import io
import os
from pathlib import Path
import stat
import struct
from typing import NamedTuple
import zlib

import numpy as np
from PIL import Image, ImageOps

from classmix_jax.types import VOID, UserError
from classmix_jax.words import listed, plural

UNKNOWN = -1  # entry of a label table: no mask may hold this value
RAW_VALUES = 65536  # 16-bit masks are the widest that are read

Size = tuple[int, int]  # (height, width)
Raw = int | tuple[int, int, int]  # what a pixel of a mask holds: an id, or a colour

# PIL knows many more, some of which start other programs (EPS runs Ghostscript).
FORMATS = ('PNG', 'JPEG', 'TIFF', 'WEBP', 'BMP', 'GIF', 'PPM')
LOSSY = ('JPEG', 'MPO')

_ORIENTATION = 0x0112  # EXIF tag
_DEEP_GREY = ('I', 'I;16', 'I;16L', 'I;16B', 'I;16N')
# What PIL raises for a damaged file depends on the format and on where the damage is.
_BROKEN = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError,
    struct.error, zlib.error,
)


@dataclasses.dataclass(frozen=True)
class Encoded:
  """A picture in memory that is still encoded; readers take it in place of a path.

  Attributes:
    data: what the picture's file would hold.
    where: what messages call it.
    remedy: what messages advise where it does not decode.
  """

  data: bytes
  where: str
  remedy: str

  def __str__(self) -> str:
    return self.where


File = str | Path | Encoded


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


# ------------------------------------------------------------------- files -> PIL


@contextlib.contextmanager
def _opened(file: File) -> Iterator[Image.Image]:
  """Opens a picture; what PIL raises meanwhile becomes a UserError that names the file."""
  try:
    with Image.open(_stream(file), formats=FORMATS) as image:
      yield image
  except FileNotFoundError:
    raise UserError(f'{file} does not exist: restore the file or take it off the list.') from None
  except PermissionError:
    raise UserError(f'{file} may not be read: change its permissions.') from None
  except Image.DecompressionBombError:
    raise UserError(
        f'{file} says that it has more than {2 * Image.MAX_IMAGE_PIXELS:,} pixels: cut it into '
        'parts, or remove it.') from None
  except _BROKEN as error:
    if getattr(error, 'errno', None):  # of the file system, not of PIL
      raise UserError(f'{file} cannot be read ({error.strerror}): replace the file.') from None
    raise UserError(_undecodable(file, error)) from error


def _stream(file: File) -> io.BytesIO | str | Path:
  """Returns what PIL shall open; UserError for what would never end, such as a pipe."""
  if isinstance(file, Encoded):
    return io.BytesIO(file.data)
  kind = os.stat(file).st_mode
  if not stat.S_ISREG(kind):
    what = 'a folder' if stat.S_ISDIR(kind) else 'no regular file'
    raise UserError(f'{file} is {what}, expected is a picture: rename or remove it.')
  return file


def _load(file: File) -> Image.Image:
  """Returns the decoded picture, turned as its EXIF orientation says."""
  with _opened(file) as image:
    image.load()
    ImageOps.exif_transpose(image, in_place=True)  # without it the picture would be copied
    return image


def _verify(file: File) -> None:
  """Raises UserError for masks that are lossy or whose checksums do not fit (PNG alone has any).

  PIL skips those of the pixels, and a flipped bit can turn one class into another.
  """
  with _opened(file) as image:
    if image.format in LOSSY:
      raise UserError(lossy(file))
    if image.format == 'PNG':
      image.verify()


class Header(NamedTuple):
  """What a picture says of itself; `mode` is PIL's, `size` that of the turned picture."""

  size: Size
  format: str
  mode: str
  turned: bool


def read_header(path: str | Path) -> Header:
  with _opened(path) as image:
    width, height = image.size
    turned = 5 <= _orientation(image) <= 8  # others are no orientation
    size = (width, height) if turned else (height, width)
    return Header(size, image.format or '', image.mode, turned)


def read_palette(path: str | Path) -> list[tuple[int, int, int]]:
  """Returns the colours of a palette picture, [] where it has none; from the header alone."""
  with _opened(path) as image:
    flat = (image.mode == 'P' and image.getpalette('RGB')) or []
  return [tuple(flat[start:start + 3]) for start in range(0, len(flat), 3)]


def _orientation(image: Image.Image) -> int:
  if image.format == 'TIFF':
    return 1  # PIL reports the turned size itself
  if image.format == 'PNG' and 'exif' not in image.info:
    return 1  # getexif() would decode the whole picture to look behind the pixels
  return image.getexif().get(_ORIENTATION, 1)


def image_size(path: str | Path) -> Size:
  """Returns (height, width) as `read_image(path)` would, from the header alone.

  Raises:
    UserError: the file is missing or is no picture.

  Example: `image_size('a.jpg')` is `(360, 480)` for a picture 480 wide and 360 high.
  """
  return read_header(path).size


# ------------------------------------------------------------------------ images


def read_image(file: File, size: Size | None = None) -> np.ndarray:
  """Returns a picture as `[H, W, 3]` uint8 RGB.

  EXIF orientation is applied; grey is repeated; a palette is looked up; alpha
  is dropped; 16-bit grey is scaled from 0..65535 to 0..255.

  Args:
    file: path or bytes of a picture in one of `FORMATS`.
    size: (height, width) to resize to, bilinear with antialiasing; None keeps.

  Raises:
    UserError: the file is missing, damaged or of a pixel type without a fixed range.

  Example: `read_image('a.png', size=(180, 240)).shape == (180, 240, 3)`.
  """
  image = _to_rgb(_load(file), file)
  if size is not None:
    image = image.resize(size[::-1], Image.Resampling.BILINEAR)
  return np.array(image)


def _to_rgb(image: Image.Image, file: File) -> Image.Image:
  if image.mode in _DEEP_GREY:
    deep = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
    return Image.fromarray(((deep + 128) // 257).astype(np.uint8)).convert('RGB')
  if image.mode in ('P', 'PA'):
    return image.convert('RGBA').convert('RGB')  # P -> RGB warns where there is transparency
  if image.mode in ('1', 'L', 'LA', 'RGB', 'RGBA', 'RGBX', 'CMYK', 'YCbCr', 'HSV'):
    return image if image.mode == 'RGB' else image.convert('RGB')  # convert() copies
  raise UserError(
      f"{file} has pixels of type '{image.mode}', whose range is not known: save it as an 8-bit "
      'PNG or JPEG.')


# ------------------------------------------------------------------------- masks


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
  _verify(file)
  image = _load(file)
  if size is not None:
    image = image.resize(size[::-1], Image.Resampling.NEAREST)
  if image.mode in ('P', 'PA'):
    _check_palette(image, decoding, file)
  raw = _raw_pixels(image, file)
  return (_decode_ids if raw.ndim == 2 else _decode_rgb)(raw, decoding, file)


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
  _verify(file)
  raw = _raw_pixels(_load(file), file)
  if raw.ndim == 3 and not decoding.colors and (raw == raw[..., :1]).all():
    raw = raw[..., 0]  # as `_decode_rgb` reads it
  if raw.ndim == 2:
    return _count(raw.astype(np.int64))
  return {
      (key >> 16, key >> 8 & 255, key & 255): pixels for key, pixels in _count(_pack(raw)).items()}


def _count(keys: np.ndarray) -> dict[int, int]:
  if keys.min() >= 0 and keys.max() < RAW_VALUES:
    pixels = np.bincount(keys.ravel())  # unlike `unique` it does not sort
    values = np.flatnonzero(pixels)
    return dict(zip(values.tolist(), pixels[values].tolist(), strict=True))
  values, pixels = np.unique(keys, return_counts=True)
  return dict(zip(values.tolist(), pixels.tolist(), strict=True))


def _decode_ids(raw: np.ndarray, decoding: Decoding, file: File) -> np.ndarray:
  """Looks `[H, W]` raw values up in the table; raises UserError for unknown ones."""
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
  packed = _pack(rgb)
  colors = np.array(sorted(decoding.colors), np.int64)
  keys = _pack(colors)  # sorted, because packing keeps the order of triples
  labels = np.array([decoding.colors[tuple(color)] for color in colors.tolist()], np.uint8)
  found = np.minimum(np.searchsorted(keys, packed), len(keys) - 1)
  unknown = keys[found] != packed
  if unknown.any():
    raise UserError(_unknown_colors(file, packed, unknown, decoding))
  return labels[found]


def _pack(rgb: np.ndarray) -> np.ndarray:
  """Packs `[..., 3]` colours into `[...]` int64, 0xRRGGBB."""
  return rgb.astype(np.int64) @ np.array([65536, 256, 1])


def _check_palette(image: Image.Image, decoding: Decoding, file: File) -> None:
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
          'colours from the class file to go by index.')


# ---------------------------------------------------------------------- messages


def lossy(file: File) -> str:
  return f'{file} is a JPEG, whose compression changes class ids: export the masks as PNG.'


def _undecodable(file: File, error: Exception) -> str:
  unidentified = isinstance(error, Image.UnidentifiedImageError)
  reason = 'not a picture that can be identified' if unidentified else error
  if isinstance(file, Encoded):
    return f'{file} does not decode ({reason}; {len(file.data)} bytes). {file.remedy}'
  return (
      f'{file} does not decode ({reason}; {os.path.getsize(file)} bytes): copy or export the '
      'file again, or remove it.')


def _unknown_ids(file: File, values: Sequence[int], decoding: Decoding) -> str:
  num_classes = len(decoding.class_names)
  advice = decoding.advice or (
      f"Set --config.data.label_map='{values[0]}:CLASS' (CLASS is an id or void), or "
      f"--config.data.ignore='{','.join(map(str, values[:8]))}' to leave such pixels out.")
  if not decoding.advice and values == [num_classes]:
    shift = ','.join(f'{raw}:{raw - 1}' for raw in range(1, num_classes + 1))
    advice += f" If your ids start at 1: --config.data.label_map='0:void,{shift}'."
  return (
      f'{file} holds the {plural("value", values)} {listed(values, 8)}; expected are '
      f'{_expected(decoding)}. {advice}')


def _no_colors(file: File, rgb: np.ndarray, decoding: Decoding) -> str:
  colors = [_hex(color) for color in np.unique(rgb.reshape(-1, 3), axis=0).tolist()]
  advice = decoding.advice or (
      "Write its colour behind every name in the class file ('road 128 64 128'), or set "
      f"--config.data.colors='{colors[-1]}:CLASS,...'.")
  return (
      f'{file} is an RGB picture with the {plural("colour", colors)} {listed(colors, 4)}; '
      f'expected are {_expected(decoding)} and no colour table is set. {advice}')


def _unknown_colors(
    file: File, packed: np.ndarray, unknown: np.ndarray, decoding: Decoding) -> str:
  row, column = np.argwhere(unknown)[0].tolist()
  colors = [f'#{key:06x}' for key in np.unique(packed[unknown]).tolist()]
  expected = [f'{_hex(c)} {_describe(label, decoding)}' for c, label in decoding.colors.items()]
  return (
      f'{file} holds the {plural("colour", colors)} {listed(colors, 4)} in {unknown.sum()} '
      f'pixels, the first in row {row}, column {column}; expected are {listed(expected, 8)}. '
      f"Set --config.data.colors='{colors[0]}:CLASS' (CLASS is an id or void); for smoothed "
      'edges export the masks again without antialiasing.')


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
