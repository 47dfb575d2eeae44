"""What an annotation file becomes before it is painted: pictures, their shapes, and problems.

Synopsis:

    export = CONVERTERS['labelme'](Path('DIR'), {})    # Export
    for item in export.items:                          # Picture or Problem
      print(item.source)
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import json
import math
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple, Protocol
import unicodedata

from PIL import Image

from classmix_jax.data.files.colors import Color
from classmix_jax.data.files.find_images import EXTENSIONS
from classmix_jax.errors import UserError
from classmix_jax.types import Size
from classmix_jax.utils.text import listed

Point = tuple[float, float]  # (x, y); the first pixel lies between 0 and 1

MOST_PIXELS = 2 * Image.MAX_IMAGE_PIXELS  # PIL refuses to read a mask beyond
FARTHEST = 1e6  # no coordinate lies so far away, and rasterisers allocate by distance


class Region(Protocol):
  """A part of a picture that knows how to paint itself."""

  def paint(self, canvas: Image.Image, label: int) -> None:
    """Paints class `label` on a grey picture of the picture's size."""


class Picture(NamedTuple):
  """One annotated picture.

  Attributes:
    name: of the picture below images/, with '/' and without extension.
    source: where the annotation stands, for messages.
    size: (height, width).
    shapes: (class name, region) in the order of painting: later ones lie on top.
    skipped: kinds of the shapes that were left out because they have no area.
  """

  name: str
  source: str
  size: Size
  shapes: Sequence[tuple[str, Region]]
  skipped: Sequence[str] = ()


class Problem(NamedTuple):
  """A picture that cannot be converted: where it stands, and one sentence."""

  source: str
  sentence: str


class Export(NamedTuple):
  """An annotation export.

  Attributes:
    class_names: those that the export declares, in the order of their ids;
      classes that only shapes name come after them, sorted.
    colors: the colours of some classes.
    total: number of items.
    items: pictures and problems, read one by one.
  """

  class_names: Sequence[str]
  colors: Mapping[str, Color | None]
  total: int
  items: Iterator[Picture | Problem]


def attempt(source: str, read: Callable[[], Picture]) -> Picture | Problem:
  """Returns `read()`, or the Problem that its UserError tells.

  Example: `attempt('a.json', lambda: read_picture('a.json'))`.
  """
  try:
    return read()
  except UserError as error:
    return Problem(source, str(error))


# --------------------------------------------------------------------- file names


def inner_path(text: object) -> PurePosixPath:
  """Returns a file name of an annotation as a path that stays inside its folder.

  Backslashes separate folders too: exports are also made on Windows.

  Raises:
    UserError: no text, an absolute path, or one with '..' or control characters.

  Example:
    >>> inner_path('city\\\\./a.jpg')
    PurePosixPath('city/a.jpg')
  """
  if not isinstance(text, str) or not text.strip():
    raise UserError(f'the file name is {text!r}, expected is a path as in city/a.jpg.')
  path = PurePosixPath(text.replace('\\', '/'))
  control = any(ord(letter) < 32 or 0xD800 <= ord(letter) < 0xE000 for letter in text)
  if control or path.is_absolute() or PureWindowsPath(text).drive or '..' in path.parts:
    raise UserError(
      f'the file name {text!r} may lead out of the folder and is refused: expected is a '
      "relative path without '..', as in city/a.jpg; correct it in the annotation file."
    )
  if not path.name:
    raise UserError(f'the file name {text!r} names a folder, expected is a file.')
  return path


def picture_name(text: object) -> str:
  """Returns the name of a picture: its path without the extension, as `find_images` has it.

  Raises:
    UserError: the file name is none, or may lead out of the folder.

  Example:
    >>> picture_name('city/a.1.JPG'), picture_name('frame.7')
    ('city/a.1', 'frame.7')
  """
  path = inner_path(text)
  path = path.with_suffix('') if path.suffix.lower() in EXTENSIONS else path
  return unicodedata.normalize('NFC', str(path))


def annotation_file(path: Path, extension: str) -> Path:
  """Returns the annotation file: `path` itself, or the only such file below a folder.

  Raises:
    UserError: there is none, or there are several.

  Example: `annotation_file(Path('export'), '.xml')` is `export/annotations.xml`.
  """
  if path.is_file():
    return path
  found = sorted(path.rglob(f'*{extension}'))
  if len(found) == 1:
    return found[0]
  raise UserError(
    f'{path} holds {len(found)} files *{extension}{": " * bool(found)}{listed(found, 3)}; set '
    f'--input to the one with the annotations.'
  )


def read_json(path: Path) -> Any:
  """Returns the content of a JSON file.

  Raises:
    UserError: the file cannot be read, or is no JSON.

  Example: `read_json(Path('a.json'))['shapes']`.
  """
  try:
    return json.loads(path.read_text(encoding='utf-8-sig'))
  except OSError as error:
    raise UserError(f'it cannot be read ({error.strerror}): check the file.') from None
  except (ValueError, RecursionError) as error:
    raise UserError(f'it is not JSON ({error}): export the file again.') from None


# ------------------------------------------------------------------------- values


def class_name(value: object) -> str:
  """Returns the name of a class with single spaces.

  Raises:
    UserError: it is no text, or empty.

  Example:
    >>> class_name(' traffic  light')
    'traffic light'
  """
  if not isinstance(value, str) or not value.strip():
    raise UserError(f'a class name is {value!r}, expected is text; correct the annotation.')
  return ' '.join(value.split())


def checked_size(height: object, width: object) -> Size:
  """Returns (height, width) if they are the sides of a picture.

  Raises:
    UserError: they are no positive integers, or too many pixels.

  Example:
    >>> checked_size(360, 480)
    (360, 480)
  """
  if not all(type(side) is int and side > 0 for side in (height, width)):
    raise UserError(
      f'the size is {width!r} x {height!r} (width x height), expected are positive integers; '
      'export the annotation again.'
    )
  if height * width > MOST_PIXELS:
    raise UserError(
      f'the size is {width} x {height}, more than {MOST_PIXELS} pixels; correct it, or cut the '
      'picture into parts.'
    )
  return height, width


def points_of(values: object) -> tuple[Point, ...]:
  """Returns pairs of numbers as points.

  Raises:
    UserError: they are no pairs of finite numbers.

  Example:
    >>> points_of([[1, 2.5], [3, 4]])
    ((1.0, 2.5), (3.0, 4.0))
  """
  if not isinstance(values, list | tuple) or not all(
    isinstance(pair, list | tuple) and len(pair) == 2 for pair in values
  ):
    raise UserError(f'the points are {str(values)[:60]}, expected are pairs [x, y].')
  return tuple((coordinate(x), coordinate(y)) for x, y in values)


def coordinate(value: object) -> float:
  """Returns a number as float.

  Raises:
    UserError: it is no number, not finite, or farther than any picture.

  Example:
    >>> coordinate(3)
    3.0
  """
  number = type(value) in (int, float) and math.isfinite(value) and abs(value) <= FARTHEST
  if not number:
    raise UserError(f'a coordinate is {value!r}, expected is a number of pixels.')
  return float(value)
