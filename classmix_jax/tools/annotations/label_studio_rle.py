"""Decodes the run lengths of brushes in Label Studio.

Synopsis:

    alpha = decode_brush(value['rle'], (480, 640))     # [480, 640] uint8

The bytes are a stream of bits, the highest bit of a byte first: 32 bits with the number of values,
5 bits with the bits of a value minus 1, four times 4 bits with a width of run lengths minus 1.
Then follow runs: a bit, which is 1 if one value is repeated; 2 bits, which choose one of the four
widths; the length minus 1; and one value, or one for each place. The values are the pixels of an
image by rows, with red, green, blue and alpha.
"""

from collections.abc import Sequence
import dataclasses

import numpy as np
from PIL import Image

from classmix_jax.errors import UserError
from classmix_jax.tools.annotations.raster import paste
from classmix_jax.tools.annotations.stencil import HALF
from classmix_jax.types import Size

CHANNELS = 4


class BitReader:
  """Reads integers from a stream of bits."""

  def __init__(self, data: bytes) -> None:
    self._data = data
    self._position = 0

  def read(self, bits: int) -> int:
    """Returns the next integer; raises UserError at the end of the stream."""
    start, stop = self._position, self._position + bits
    if stop > 8 * len(self._data):
      raise UserError('the run lengths of a brush are cut off: export again.')
    self._position = stop
    last = -(-stop // 8)
    number = int.from_bytes(self._data[start // 8 : last], 'big') >> (8 * last - stop)
    return number & ((1 << bits) - 1)

  def read_bytes(self, count: int) -> np.ndarray:
    """Returns the next `count` bytes as `[count]` uint8; raises UserError at the end."""
    start, stop = self._position, self._position + 8 * count
    if stop > 8 * len(self._data):
      raise UserError('the run lengths of a brush are cut off: export again.')
    self._position = stop
    part = np.frombuffer(self._data[start // 8 : -(-stop // 8)], np.uint8)
    bits = np.unpackbits(part)[start % 8 : start % 8 + 8 * count]
    return np.packbits(bits)


def decode_brush(rle: Sequence[int], size: Size) -> np.ndarray:
  """Decodes run lengths of a brush.

  Args:
    rle: bytes as integers 0..255.
    size: (height, width) of the image.

  Returns:
    `[H, W]` uint8 alpha.

  Raises:
    UserError: they are no bytes, are cut off, or are of an image of another size.

  Example:
    >>> decode_brush([0, 0, 0, 4, 56, 136, 140, 255, 192], (1, 1))
    array([[255]], dtype=uint8)
  """
  try:
    reader = BitReader(bytes(rle))
  except (TypeError, ValueError):
    raise UserError('the run lengths of a brush are no list of bytes: export again.') from None
  total = reader.read(32)
  if total != CHANNELS * size[0] * size[1]:
    raise UserError(
      f'a brush has {total} values; expected {CHANNELS} for each of {size[1]} x {size[0]} pixels '
      '(width x height): export again.'
    )
  if reader.read(5) != 7:
    raise UserError('the values of a brush have no 8 bits: export again.')
  widths = [reader.read(4) + 1 for _ in range(4)]
  values = np.zeros(total, np.uint8)
  place = 0
  while place < total:
    is_repeated = reader.read(1)
    stop = place + reader.read(widths[reader.read(2)]) + 1
    if stop > total:
      raise UserError('the run lengths of a brush exceed the image: export again.')
    values[place:stop] = reader.read(8) if is_repeated else reader.read_bytes(stop - place)
    place = stop
  return values.reshape(*size, CHANNELS)[..., CHANNELS - 1]


@dataclasses.dataclass(frozen=True)
class Brush:
  """The pixels of a brush with alpha of 128 or more."""

  rle: Sequence[int]
  size: Size

  def paint(self, canvas: Image.Image, label: int) -> None:
    paste(canvas, label, decode_brush(self.rle, self.size) >= HALF)
