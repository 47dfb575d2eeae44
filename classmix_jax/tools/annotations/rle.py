"""COCO's run lengths: polygons, compressed and plain run lengths, by pycocotools.

Synopsis:

    square = polygon_runs([[(1, 1), (3, 1), (3, 3), (1, 3)]], (6, 8))
    square.area                                          # 4
    stored = stored_runs({'size': [6, 8], 'counts': '72O0C'}, (6, 8))
"""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

from PIL import Image

from classmix_jax.errors import UserError
from classmix_jax.tools.annotations.annotation import Point
from classmix_jax.tools.annotations.raster import paste
from classmix_jax.types import Size


def mask_module() -> Any:
  """Returns `pycocotools.mask`; UserError with the command to install it where it lacks."""
  try:
    from pycocotools import mask
  except ImportError:
    raise UserError(
      'Polygons of COCO and CVAT are filled by pycocotools, which is not installed: '
      "pip install '.[labels]'"
    ) from None
  return mask


@dataclasses.dataclass(frozen=True)
class Runs:
  """A region of a picture as compressed run lengths, column by column.

  Attributes:
    size: (height, width) of the picture.
    counts: the run lengths in the alphabet of COCO; they add up to the picture.
  """

  size: Size
  counts: bytes

  @property
  def area(self) -> int:
    """Number of pixels."""
    return int(mask_module().area(self._object()))

  def paint(self, canvas: Image.Image, label: int) -> None:
    paste(canvas, label, mask_module().decode(self._object()) > 0)

  def _object(self) -> dict[str, Any]:
    return {'size': list(self.size), 'counts': self.counts}


def polygon_runs(polygons: Sequence[Sequence[Point]], size: Size) -> Runs:
  """Returns the union of polygons, each of three or more points.

  A pixel belongs to a polygon when about half of it lies inside; the first
  pixel lies between the coordinates 0 and 1.

  Raises:
    UserError: pycocotools is not installed.

  Example: `polygon_runs([[(1, 1), (3, 1), (3, 3), (1, 3)]], (6, 8)).area == 4`.
  """
  mask = mask_module()
  flat = [[number for point in polygon for number in point] for polygon in polygons]
  merged = mask.merge(mask.frPyObjects(flat, *size))
  return Runs(size, merged['counts'])


def stored_runs(stored: Mapping[str, Any], size: Size) -> Runs:
  """Returns run lengths that are stored as {'size': [H, W], 'counts': text or list}.

  Raises:
    UserError: they are of another size, malformed, or do not fill the picture
      (pycocotools would return what lay in memory); or pycocotools is not installed.

  Example: `stored_runs({'size': [2, 3], 'counts': [1, 2, 3]}, (2, 3)).area == 2`.
  """
  counts = stored.get('counts')
  if stored.get('size') != list(size):
    raise UserError(
      f'run lengths have the size {stored.get("size")}, the picture has {list(size)} (height, '
      'width): export the annotation again.'
    )
  lengths = decompress(counts) if isinstance(counts, str) else counts
  if not isinstance(lengths, list) or not all(type(n) is int and n >= 0 for n in lengths):
    raise UserError('run lengths are no list of counts and no text of COCO: export again.')
  if sum(lengths) != size[0] * size[1]:
    raise UserError(
      f'run lengths add up to {sum(lengths)} pixels, the picture has {size[0] * size[1]}: '
      'export the annotation again.'
    )
  if isinstance(counts, str):
    return Runs(size, counts.encode())
  plain = {'size': list(size), 'counts': lengths}
  return Runs(size, mask_module().frPyObjects(plain, *size)['counts'])


def decompress(text: str) -> list[int]:
  """Returns the run lengths in COCO's alphabet, to check them before pycocotools decodes.

  A character carries 6 bits (its code less 48): five of a number, lowest first,
  and whether more follow; the last one also carries the sign. From the fourth
  number on it is the difference to the number two places before.

  Raises:
    UserError: the text is cut off or holds other characters.

  Example:
    >>> decompress('123'), decompress('P24O')  # 32 + 2 * 32 for the first of the second
    ([1, 2, 3], [64, 4, -1])
  """
  lengths: list[int] = []
  number = shift = 0
  for letter in text:
    bits = ord(letter) - 48
    if not 0 <= bits < 64:
      raise UserError(f'run lengths hold the character {letter!r}: export the annotation again.')
    number |= (bits & 31) << shift
    shift += 5
    if bits & 32 and shift < 60:  # no picture needs longer numbers
      continue
    if bits & 16:
      number -= 1 << shift
    lengths.append(number + (lengths[-2] if len(lengths) > 2 else 0))
    number = shift = 0
  if shift:
    raise UserError('run lengths are cut off: export the annotation again.')
  return lengths
