"""Parses file names and values that several annotation formats share.

Synopsis:

    file = find_annotation_file(Path('export'), '.json')
    name = parse_image_name(read_json_file(file)['imagePath'])   # 'city/a' for 'city/a.jpg'
"""

from collections.abc import Sequence
import json
import math
from pathlib import Path, PurePosixPath, PureWindowsPath
import re
from typing import Any
import unicodedata

from PIL import Image

from classmix_jax.data.files.find_images import EXTENSIONS
from classmix_jax.errors import UserError
from classmix_jax.tools.annotations.annotation import Point
from classmix_jax.types import Size
from classmix_jax.utils.text import listed

# Of images in annotation files; they may be converted to other formats for training.
NAME_EXTENSIONS = (*EXTENSIONS, '.heic', '.heif', '.avif', '.jfif', '.jp2', '.gif', '.ppm')
MAX_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 0)  # PIL refuses to read larger masks
_WHOLE = re.compile(r'([-+]?[0-9]{1,18})(\.0*)?')
MAX_COORDINATE = 1e6  # in pixels; rasterisers allocate memory in proportion to the distance


# --------------------------------------------------------------------- file names


def parse_relative_path(text: object) -> PurePosixPath:
  """Parses a file name in an annotation as a relative path without '..'.

  Backslashes are separators too, because exports are also made on Windows.

  Raises:
    UserError: it is not text, is absolute, or has '..' or control characters.

  Example:
    >>> parse_relative_path('city\\\\./a.jpg')
    PurePosixPath('city/a.jpg')
  """
  if not isinstance(text, str) or not text.strip():
    raise UserError(f'the file name is {text!r}; expected a path such as city/a.jpg.')
  path = PurePosixPath(text.replace('\\', '/'))
  has_control = any(
    ord(letter) < 32 or 0xD800 <= ord(letter) < 0xE000  # control characters, lone surrogates
    for letter in text
  )
  if has_control or path.is_absolute() or PureWindowsPath(text).drive or '..' in path.parts:
    raise UserError(
      f'the file name {text!r} may lead out of the directory and is refused; expected a '
      "relative path without '..', such as city/a.jpg; correct it in the annotation file."
    )
  if not path.name:
    raise UserError(f'the file name {text!r} names a directory; expected a file.')
  return path


def parse_image_name(text: object) -> str:
  """Parses the name of an image: its path without extension, as in `find_images`.

  Raises:
    UserError: see `parse_relative_path`.

  Example:
    >>> parse_image_name('city/a.1.JPG'), parse_image_name('frame.7')
    ('city/a.1', 'frame.7')
  """
  path = parse_relative_path(text)
  path = path.with_suffix('') if path.suffix.lower() in NAME_EXTENSIONS else path
  return unicodedata.normalize('NFC', str(path))


def find_annotation_file(path: Path, extension: str) -> Path:
  """Returns the annotation file: `path` itself, or the only file with `extension` below it.

  Raises:
    UserError: there are no or several such files.

  Example: `find_annotation_file(Path('export'), '.xml')` is `export/annotations.xml`.
  """
  if path.is_file():
    return path
  files = sorted(path.rglob(f'*{extension}'))
  if len(files) == 1:
    return files[0]
  raise UserError(
    f'{path} has {len(files)} files *{extension}{": " * bool(files)}{listed(files, 3)}; set '
    f'--input to the one with the annotations.'
  )


def read_json_file(path: Path) -> Any:
  """Returns the content of a JSON file.

  Raises:
    UserError: the file is unreadable, or is not JSON.

  Example: `read_json_file(Path('a.json'))['shapes']`.
  """
  try:
    return json.loads(path.read_text(encoding='utf-8-sig'))
  except OSError as error:
    raise UserError(f'it cannot be read ({error.strerror}): check the file.') from None
  except UnicodeDecodeError:
    raise UserError('it is not text in UTF-8: save it in this encoding.') from None
  except (ValueError, RecursionError, MemoryError) as error:
    raise UserError(f'it is not JSON ({error}): export the file again.') from None


# ------------------------------------------------------------------------- values


def parse_class_name(value: object) -> str:
  """Parses a class name and normalises its spaces; the number 3 becomes 'class_3'.

  Raises:
    UserError: it is neither text nor a number, or is empty.

  Example:
    >>> parse_class_name(' traffic  light'), parse_class_name(3.0)
    ('traffic light', 'class_3')
  """
  if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
    value = f'{value:g}'
  if not isinstance(value, str) or not value.strip():
    raise UserError(f'a class name is {value!r}; expected text; correct the annotation.')
  name = ' '.join(value.split())
  return f'class_{name}' if parse_whole(name) is not None else name  # a class file has no numbers


def parse_whole(value: object) -> int | None:
  """Returns a whole number that is written as 3, 3.0 or '3'; None for anything else.

  Example:
    >>> parse_whole(3.0), parse_whole(' 3'), parse_whole(3.5), parse_whole(True)
    (3, 3, None, None)
  """
  if isinstance(value, str):
    match = _WHOLE.fullmatch(value.strip())
    return int(match[1]) if match else None
  if isinstance(value, float):
    return int(value) if value.is_integer() else None  # False for NaN and infinity
  return value if type(value) is int else None


def parse_size(height: object, width: object) -> Size:
  """Parses the size of an image as (height, width).

  Raises:
    UserError: a side is not a positive whole number, or there are too many pixels.

  Example:
    >>> parse_size(360, 480.0)
    (360, 480)
  """
  rows, columns = parse_whole(height), parse_whole(width)
  if not rows or not columns or rows < 1 or columns < 1:
    raise UserError(
      f'the size is {width!r} x {height!r} (width x height); expected positive integers; '
      'export the annotation again.'
    )
  if rows * columns > MAX_PIXELS:
    raise UserError(
      f'the size is {columns} x {rows}, more than {MAX_PIXELS} pixels; correct it, or cut the '
      'image into parts.'
    )
  return rows, columns


def parse_points(values: object) -> tuple[Point, ...]:
  """Parses pairs of numbers as points.

  Raises:
    UserError: they are not pairs of finite numbers.

  Example:
    >>> parse_points([[1, 2.5], [3, 4]])
    ((1.0, 2.5), (3.0, 4.0))
  """
  if not isinstance(values, list | tuple) or not all(
    isinstance(pair, list | tuple) and len(pair) == 2 for pair in values
  ):
    raise UserError(f'the points are {str(values)[:60]}; expected pairs [x, y].')
  return tuple((parse_coordinate(x), parse_coordinate(y)) for x, y in values)


def check_pixels(points: Sequence[Point]) -> None:
  """Raises UserError if the corners of a region are fractions of the image instead of pixels.

  Example: `check_pixels([(1, 1), (3, 1), (3, 3)]) is None`.
  """
  is_fraction = all(0 <= number <= 1 for point in points for number in point)
  if len(points) > 2 and is_fraction and any(number % 1 for point in points for number in point):
    raise UserError(
      f'all corners of a shape are between 0 and 1: {listed(points, 3)}; expected pixels, not '
      'fractions of the image: export the annotation again.'
    )


def parse_coordinate(value: object) -> float:
  """Parses a coordinate in pixels as float.

  Raises:
    UserError: it is not a number, is not finite, or is beyond `MAX_COORDINATE`.

  Example:
    >>> parse_coordinate(3)
    3.0
  """
  number = float(value) if type(value) is int or type(value) is float else math.nan
  if not abs(number) <= MAX_COORDINATE:  # True for NaN
    raise UserError(f'a coordinate is {value!r}; expected a number of pixels.')
  return number
