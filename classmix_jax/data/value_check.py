"""Compares the range of values that images use with the range that becomes 0..255.

Synopsis:

    for warning in value_warnings([labeled, unlabeled, val]):
      print(f'warning: {warning}')
"""

from collections.abc import Iterable, Iterator, Sequence
import contextlib
from typing import NamedTuple

import numpy as np

from classmix_jax.data.files.image_io import read_bands
from classmix_jax.data.files.open_image import File
from classmix_jax.data.files.pixel_io import read_layout
from classmix_jax.data.files.reading import (
  Reading,
  ValueRange,
  choose_bands,
  find_valid,
  format_number,
  full_range,
)
from classmix_jax.data.label_statistics import spread
from classmix_jax.data.source import Source
from classmix_jax.errors import UserError

MAX_IMAGES = 8  # read of each source
MAX_VALUES = 50_000  # of each band of an image
LEAST_USED = 1 / 8  # of the range: 12 of 16 bits use 1/16, a dark photo of 8 bits more than this
MOST_OUTSIDE = 1 / 4  # of the values
OUTLIER = 2.0  # a maximum so much above 99.9 % of the values is not advised as a range


class Sample(NamedTuple):
  """Values of one image.

  Attributes:
    kind: type of the values, e.g. 'uint16'.
    assumed: for each band, the values that become 0 and 255.
    values: for each band, `[N]` float64; pixels without data are left out.
    is_set: whether `assumed` is the user's.
    has_options: whether `config.data.value_range` can be set.
  """

  kind: str
  assumed: tuple[ValueRange, ...]
  values: tuple[np.ndarray, ...]
  is_set: bool
  has_options: bool = True


def value_warnings(sources: Iterable[Source]) -> list[str]:
  """Returns a sentence for images that use a small part of the range, or exceed it.

  Reads up to `MAX_IMAGES` of each source; none is decoded if it has 8 bits and no range is set.
  Unreadable files are passed over: they are reported when they are read.

  Example: 16-bit images of 0..3060 give a sentence with `--config.data.value_range=0:3060`.
  """
  groups: dict[tuple, list[Sample]] = {}
  for source in sources:
    for sample in _read_samples(source):
      groups.setdefault((sample.kind, sample.assumed), []).append(sample)
  several = len({kind for kind, _ in groups}) > 1
  return [sentence for group in groups.values() if (sentence := _describe(group, several))]


def _read_samples(source: Source) -> Iterator[Sample]:
  if source.files is None or source.files.reading is None:
    return
  for index in spread(len(source), MAX_IMAGES).tolist() if len(source) else ():
    with contextlib.suppress(UserError):
      sample = _read_sample(source.files.image(index), source.files.reading)
      if sample:
        yield sample


def _read_sample(file: File, reading: Reading) -> Sample | None:
  """Returns the values that are read of an image, None if no range is assumed for them."""
  if any(one.is_percentile for one in reading.ranges):
    return None
  if not reading.ranges and read_layout(file) is None:  # 8 bits
    return None
  pixels, layout = read_bands(file)
  bands = choose_bands(layout, reading, file)
  ranges = reading.ranges or (full_range(layout),)
  values = [_thin(pixels[..., band - 1], layout.nodata) for band in bands]
  if not all(one.size for one in values):
    return None
  assumed = tuple(ranges[index % len(ranges)] for index in range(len(bands)))
  return Sample(
    str(layout.dtype), assumed, tuple(values), bool(reading.ranges), reading.has_options
  )


def _thin(values: np.ndarray, nodata: float | None) -> np.ndarray:
  """Returns a part of the values of a band that have data, its minimum and maximum included."""
  valid = find_valid(values, nodata)
  values = values.ravel() if valid is None else values[valid]
  if not values.size:
    return values
  ends = np.array([values.min(), values.max()])
  return np.concatenate([ends, values[:: max(values.size // MAX_VALUES, 1)]]).astype(np.float64)


def _describe(group: Sequence[Sample], several: bool) -> str:
  """Returns the sentence on images of one type and range, '' if they use the range.

  Args:
    group: one or more images.
    several: whether there are images of other types, for which no range would be right.
  """
  kind, assumed, _, is_set, has_options = group[0]
  bands = [np.concatenate(band) for band in zip(*(one.values for one in group), strict=True)]
  if len(set(assumed)) == 1:
    bands, assumed = [np.concatenate(bands)], assumed[:1]
  shares = [_used_share(*pair) for pair in zip(bands, assumed, strict=True)]
  outside = [_outside_share(*pair) for pair in zip(bands, assumed, strict=True)]
  span = ','.join(f'{format_number(one.low)}:{format_number(one.high)}' for one in assumed)
  origin = 'config.data.value_range' if is_set else f'assumed for {kind}'
  if max(outside) > (MOST_OUTSIDE if is_set else 0):
    fault = f'{100 * max(outside):.0f} % of which are outside of {span} ({origin})'
  elif min(shares) < LEAST_USED:
    fault = f'which is {100 * min(shares):.1f} % of {span} ({origin}): the network sees nearly one '
    fault += 'grey'
  else:
    return ''
  seen = ', '.join(f'{format_number(one.min())} to {format_number(one.max())}' for one in bands)
  remedy = f'--config.data.value_range={",".join(_advised_range(band) for band in bands)}, or '
  advice = (
    f'Set {"" if several else remedy}percentiles of each image: --config.data.value_range=p2:p98.'
    if has_options
    else 'Save them as images of 8 bits that use 0 to 255.'
  )
  return f'the images have values of {kind} from {seen} ({len(group)} looked at), {fault}. {advice}'


def _used_share(values: np.ndarray, assumed: ValueRange) -> float:
  """Returns how much of the range 99.8 % of the values span; 1 if all values are equal."""
  low, high = np.quantile(values, [0.001, 0.999]).clip(assumed.low, assumed.high)
  return 1.0 if values[0] == values[1] else (high - low) / (assumed.high - assumed.low)


def _outside_share(values: np.ndarray, assumed: ValueRange) -> float:
  tolerance = 1e-4 * (assumed.high - assumed.low)
  inside = (values >= assumed.low - tolerance) & (values <= assumed.high + tolerance)
  return 1 - float(np.mean(inside))


def _advised_range(values: np.ndarray) -> str:
  """Returns LOW:HIGH for `config.data.value_range`, without outliers."""
  least, most = float(values.min()), float(values.max())
  low, high = np.quantile(values, [0.001, 0.999])
  high = high if most - low > OUTLIER * (high - low) else most
  low = low if high - least > OUTLIER * (high - low) else least
  if 0 <= low < 0.1 * high:
    low = 0.0
  return f'{format_number(low)}:{format_number(high)}'
