"""Which bands of an image are read, and which range of their values becomes 0..255.

Synopsis:

    reading = parse_reading(bands='4,3,2', value_range='0:3060')
    image = read_image('tile.tif', reading=reading)     # image_io.py: [H, W, 3] uint8
"""

import math
import re
from typing import NamedTuple

import numpy as np

from classmix_jax.data.files.open_image import File
from classmix_jax.data.files.tiff_io import Layout
from classmix_jax.errors import UserError

RED_GREEN_BLUE = (('red', 'green', 'blue'), ('b04', 'b03', 'b02'), ('b4', 'b3', 'b2'))
_NUMBER = r'[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?'
_RANGE = re.compile(rf'(p?)({_NUMBER}):(p?)({_NUMBER})')


class ValueRange(NamedTuple):
  """Values that become 0 and 255, or their percentiles among the values of an image's band."""

  low: float
  high: float
  is_percentile: bool = False


class Reading(NamedTuple):
  """How images become `[H, W, 3]` uint8; the default is right for 8-bit images.

  Attributes:
    bands: numbers of the bands, from 1: three, or one for grey; () for the colours of the file.
    ranges: one for all bands, or one each; () for the whole range of the file's type.
    has_options: whether the user can set both, by `config.data.bands` and `value_range`.
  """

  bands: tuple[int, ...] = ()
  ranges: tuple[ValueRange, ...] = ()
  has_options: bool = True


def parse_reading(bands: str = '', value_range: str = '') -> Reading:
  """Parses the options `config.data.bands` and `config.data.value_range`.

  Args:
    bands: 'B,B,B' or 'B', numbers from 1; '' for grey, or the first three bands of an RGB image.
    value_range: 'LOW:HIGH' or 'pLOW:pHIGH', the latter percentiles of each image and band; one
      for all bands, or one each behind commas. '' for the whole range of the type.

  Raises:
    UserError: an option is malformed.

  Example: `parse_reading('4,3,2', 'p2:p98').ranges == (ValueRange(2, 98, True),)`.
  """
  return Reading(_parse_bands(bands), _parse_ranges(value_range, bands))


def _parse_bands(text: object) -> tuple[int, ...]:
  # The command line turns 4,3,2 into a tuple for fields that are tuples, and '1' may be a number.
  entries = [entry.strip() for entry in str(text).strip('()').split(',') if entry.strip()]
  if not all(entry.isdecimal() and int(entry) > 0 for entry in entries) or len(entries) not in (
    (0, 1, 3)
  ):
    raise UserError(
      f'config.data.bands is {str(text)!r}; expected are three numbers of bands from 1, as in '
      "'4,3,2', one for grey, as in '1', or ''."
    )
  return tuple(int(entry) for entry in entries)


def _parse_ranges(text: str, bands: str) -> tuple[ValueRange, ...]:
  entries = [entry.strip() for entry in text.split(',') if entry.strip()]
  ranges = [_parse_range(entry) for entry in entries]
  if None in ranges or len(ranges) not in (0, 1, 3):
    raise UserError(
      f"config.data.value_range is {text!r}; expected is LOW:HIGH as in '0:3060', percentiles of "
      "each image as in 'p2:p98', three of these behind commas, or ''."
    )
  return tuple(one for one in ranges if one)


def _parse_range(text: str) -> ValueRange | None:
  match = _RANGE.fullmatch(text)
  if not match or match[1] != match[3]:
    return None
  low, high, is_percentile = float(match[2]), float(match[4]), bool(match[1])
  if not low < high or not math.isfinite(high - low):
    return None
  if is_percentile and not 0 <= low < high <= 100:
    return None
  return ValueRange(low, high, is_percentile)


def to_rgb(pixels: np.ndarray, layout: Layout, reading: Reading, file: File) -> np.ndarray:
  """Converts the values of an image to `[H, W, 3]` uint8 RGB.

  Values at or below the low end of the range become 0, those at or above the high end 255. Pixels
  without data (nodata, NaN, infinity) become 0.

  Args:
    pixels: `[H, W, bands]`, as stored.
    layout: of the file.
    reading: bands and range.
    file: for messages.

  Raises:
    UserError: the file has other bands than `reading` needs, or values outside of the range of
      its type while `reading` has no range.

  Example: 0..3060 becomes 0..255 by `parse_reading(value_range='0:3060')`.
  """
  bands = choose_bands(layout, reading, file)
  ranges = reading.ranges or (full_range(layout),)
  if len(ranges) not in (1, len(bands)):
    raise UserError(
      f'{file} has one band to read, config.data.value_range {len(ranges)} ranges: give one.',
      'ranges of values',
    )
  channels = []
  for index, band in enumerate(bands):
    values = pixels[..., band - 1]
    valid = find_valid(values, layout.nodata)
    if not reading.ranges:
      _check_inside(values, valid, layout, file, reading)
    channels.append(_scale(values, valid, ranges[index % len(ranges)]))
  return np.stack(channels if len(bands) == 3 else channels * 3, axis=-1)


def choose_bands(layout: Layout, reading: Reading, file: File) -> tuple[int, ...]:
  """Returns the numbers of the bands to read, from 1; raises UserError if they are not clear."""
  if reading.bands:
    if max(reading.bands) > layout.bands:
      raise UserError(
        f'{file} has {layout}, and config.data.bands is {",".join(map(str, reading.bands))}: '
        'convert or remove it, or train with other bands.',
        'images with too few bands',
      )
    return reading.bands
  colors = layout.bands - layout.alpha
  if colors not in (1, 3) or layout.pages > 1:
    pages = f' in {layout.pages} pages' if layout.pages > 1 else ''
    names = f' ({_numbered(layout.names)})' if layout.names else ''
    remedy = (
      'choose three of them, or one, by training with '
      f'--config.data.bands={_suggested_bands(layout)}.'
      if reading.has_options
      else 'save it as an RGB image.'
    )
    raise UserError(
      f'{file} has {layout}{pages}{names}, which are not RGB: {remedy}',
      'images whose bands are not RGB',
    )
  return (1, 2, 3) if colors == 3 else (1,)


def _numbered(names: tuple[str, ...]) -> str:
  return ', '.join(f'{band} {name}' for band, name in enumerate(names, start=1))


def _suggested_bands(layout: Layout) -> str:
  lowered = [name.lower() for name in layout.names]
  for names in RED_GREEN_BLUE:
    if set(names) <= set(lowered):
      return ','.join(str(lowered.index(name) + 1) for name in names)
  return '1,2,3' if layout.bands >= 3 else '1'


def full_range(layout: Layout) -> ValueRange:
  """Returns the range that is assumed without `config.data.value_range`.

  0..1 for floats, all values from 0 for integers of up to 16 bits, and 0..65535 for longer ones,
  whose whole range no camera or scanner fills.
  """
  if layout.dtype.kind in 'fb':
    return ValueRange(0, 1)
  bits = min(layout.bits - (layout.dtype.kind == 'i'), 16)
  return ValueRange(0, 2**bits - 1)


def find_valid(values: np.ndarray, nodata: float | None) -> np.ndarray | None:
  """Returns where an array has data, None if everywhere."""
  valid = np.isfinite(values) if values.dtype.kind == 'f' else None
  if nodata is not None and not math.isnan(nodata):
    has_data = values != np.float32(nodata) if values.dtype == np.float32 else values != nodata
    valid = has_data if valid is None else valid & has_data
  return None if valid is None or valid.all() else valid


def _check_inside(
  values: np.ndarray, valid: np.ndarray | None, layout: Layout, file: File, reading: Reading
) -> None:
  """Raises UserError if values are outside of the range that their type has by convention."""
  inside = values if valid is None else values[valid]
  low, high, _ = full_range(layout)
  tolerance = 1e-4 if layout.dtype.kind == 'f' else 0  # resampling overshoots
  if not inside.size or (inside.min() >= low - tolerance and inside.max() <= high + tolerance):
    return
  least, most = (format_number(inside.min()), format_number(inside.max()))
  remedy = (
    f' unless a range is set: train with --config.data.value_range={least}:{most}, or with '
    'percentiles as in p2:p98.'
    if reading.has_options
    else ': save it as an RGB image of 8 bits.'
  )
  raise UserError(
    f'{file} has values of {layout.dtype} from {least} to {most}, and {low:g} to {high:g} is read'
    f'{remedy}',
    'values of images',
  )


def format_number(value: float) -> str:
  """Formats a value for `config.data.value_range`, with up to four digits behind the point."""
  return f'{float(value):.4f}'.rstrip('0').rstrip('.') if abs(value) < 1e6 else f'{value:g}'


def _scale(values: np.ndarray, valid: np.ndarray | None, value_range: ValueRange) -> np.ndarray:
  """Maps a range of `[H, W]` values to 0..255, uint8; pixels that are not valid to 0."""
  low, high, is_percentile = value_range
  if is_percentile:
    inside = values if valid is None else values[valid]
    low, high = np.percentile(inside, [low, high]) if inside.size else (0.0, 1.0)
  scale = 255 / (high - low) if high > low else 0.0  # a constant band is black
  with np.errstate(invalid='ignore', over='ignore'):
    scaled = np.rint((values.astype(np.float64) - low) * scale)
  if valid is not None:
    scaled[~valid] = 0
  return np.clip(scaled, 0, 255).astype(np.uint8)
