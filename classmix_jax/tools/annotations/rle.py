"""Encodes regions as COCO run lengths with pycocotools.

Synopsis:

    square = encode_polygons([[(1, 1), (3, 1), (3, 3), (1, 3)]], (6, 8))
    square.area                                          # 4
    stored = parse_runs({'size': [6, 8], 'counts': '72O0C'}, (6, 8))
"""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

from PIL import Image

from classmix_jax.errors import UserError
from classmix_jax.tools.annotations.annotation import Point, Shape
from classmix_jax.tools.annotations.parsing import parse_whole
from classmix_jax.tools.annotations.raster import Line, paste
from classmix_jax.types import Size


def import_mask_module() -> Any:
  """Returns the module `pycocotools.mask`; raises UserError if it is not installed."""
  try:
    from pycocotools import mask
  except ImportError:
    raise UserError(
      'Shapes of this format are filled by pycocotools, which is not installed: '
      "pip install 'classmix_jax[labels]'"
    ) from None
  return mask


@dataclasses.dataclass(frozen=True)
class Runs:
  """A region of an image as compressed run lengths by columns.

  Attributes:
    size: (height, width) of the image.
    counts: the run lengths in COCO's alphabet, which add up to the image.
  """

  size: Size
  counts: bytes

  @property
  def area(self) -> int:
    """Number of pixels of the region."""
    return int(import_mask_module().area(self._to_dict()))

  def paint(self, canvas: Image.Image, label: int) -> None:
    paste(canvas, label, import_mask_module().decode(self._to_dict()) > 0)

  def _to_dict(self) -> dict[str, Any]:
    return {'size': list(self.size), 'counts': self.counts}


def encode_polygons(polygons: Sequence[Sequence[Point]], size: Size) -> Runs:
  """Encodes the union of polygons, each with three or more points.

  A pixel belongs to a polygon if about half of it is inside. The first pixel is between the
  coordinates 0 and 1.

  Raises:
    UserError: pycocotools is not installed.

  Example: `encode_polygons([[(1, 1), (3, 1), (3, 3), (1, 3)]], (6, 8)).area == 4`.
  """
  mask = import_mask_module()
  flat = [[number for point in polygon for number in point] for polygon in polygons]
  merged = mask.merge(mask.frPyObjects(flat, *size))
  return Runs(size, merged['counts'])


def build_shape(name: str, points: Sequence[Point], size: Size, kind: str = '') -> Shape:
  """Builds the shape of an outline: a region, or a line if it has no pixel.

  An outline of one or two points has no area, and one that is thinner than a pixel may have no
  pixel that is half inside.

  Args:
    name: the class.
    points: one or more corners.
    size: (height, width) of the image.
    kind: of regions whose class is not certain, see `Shape`.

  Raises:
    UserError: pycocotools is not installed.

  Example: `isinstance(build_shape('crack', [(1, 1), (9, 1), (9, 1.1)], (6, 12)).region, Line)`.
  """
  if len(points) < 3:
    return Shape(name, Line(tuple(points)), kind or 'polygon of fewer than three points')
  region = encode_polygons([points], size)
  if region.area or is_outside(points, size):
    return Shape(name, region, kind)
  return Shape(name, Line((*points, points[0])), kind or 'polygon thinner than a pixel')


def is_outside(points: Sequence[Point], size: Size) -> bool:
  """Returns whether the box around points has no pixel of an image of size (height, width)."""
  xs, ys = zip(*points, strict=True)
  return max(xs) <= 0 or min(xs) >= size[1] or max(ys) <= 0 or min(ys) >= size[0]


def parse_runs(stored: Mapping[str, Any], size: Size) -> Runs:
  """Parses run lengths in the form {'size': [H, W], 'counts': text or list}.

  Raises:
    UserError: they have another size, are malformed, or do not cover the image, in which case
      pycocotools (2.0) would return uninitialized memory; or pycocotools is not installed.

  Example: `parse_runs({'size': [2, 3], 'counts': [1, 2, 3]}, (2, 3)).area == 2`.
  """
  counts = stored.get('counts')
  if stored.get('size') != list(size):
    raise UserError(
      f'run lengths have the size {stored.get("size")}, the image has {list(size)} (height, '
      'width): export the annotation again.'
    )
  lengths = decompress(counts) if isinstance(counts, str) else parse_counts(counts)
  if min(lengths, default=-1) < 0:
    raise UserError('run lengths are neither a list of counts nor text of COCO: export again.')
  if sum(lengths) != size[0] * size[1]:
    raise UserError(
      f'run lengths add up to {sum(lengths)} pixels, the image has {size[0] * size[1]}: '
      'export the annotation again.'
    )
  if isinstance(counts, str):
    return Runs(size, counts.encode())
  plain = {'size': list(size), 'counts': lengths}
  return Runs(size, import_mask_module().frPyObjects(plain, *size)['counts'])


def parse_counts(counts: object) -> list[int]:
  """Returns run lengths that are a list of whole numbers; otherwise a list with -1."""
  values = [parse_whole(count) for count in counts] if isinstance(counts, list) else [None]
  return [-1 if value is None else value for value in values]


def decompress(text: str) -> list[int]:
  """Decodes run lengths in COCO's alphabet, to check them before pycocotools decodes them.

  The code of a character minus 48 has 6 bits: five bits of a number, lowest first, and a
  continuation bit. In the last character of a number the highest of the five is the sign. From the
  fourth number on, it is the difference to the number two places before.

  Raises:
    UserError: the text is truncated or has other characters.

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
    if bits & 32 and shift < 60:  # no image needs longer numbers
      continue
    if bits & 16:
      number -= 1 << shift
    lengths.append(number + (lengths[-2] if len(lengths) > 2 else 0))
    number = shift = 0
  if shift:
    raise UserError('run lengths are cut off: export the annotation again.')
  return lengths
