"""Finds the images of an export, to read sizes that the export lacks.

Synopsis:

    files = index_images(Path('IMAGES'))
    name, path = find_image(files, 'C:/data/street/a.jpg')   # ('street/a', IMAGES/street/a.jpg)
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
import re
import unicodedata
from urllib.parse import unquote

from classmix_jax.data.files.find_images import EXTENSIONS, find_images
from classmix_jax.data.files.image_io import read_header
from classmix_jax.data.files.open_image import File
from classmix_jax.errors import UserError
from classmix_jax.tools.annotations.parsing import (
  NAME_EXTENSIONS,
  parse_image_name,
  parse_size,
)
from classmix_jax.types import Size
from classmix_jax.utils.text import listed

UPLOAD_PREFIX = re.compile(r'^[0-9a-f]{8}-(?=.)')  # of files that were uploaded to Label Studio
NO_SIDE = (None, 0)  # heights and widths of images whose size an export lacks
ImageIndex = Mapping[str, Sequence[tuple[str, Path]]]  # last part of a name -> (name, path)


def index_images(directory: Path | None, is_required: bool = True) -> ImageIndex:
  """Indexes the images below a directory by the last part of their names.

  Args:
    directory: see --images; None gives an empty index.
    is_required: whether a directory without images is an error.

  Raises:
    UserError: there is no such directory, or it has no images.

  Example: `index_images(Path('IMAGES'))['a'] == [('street/a', Path('IMAGES/street/a.jpg'))]`.
  """
  if directory is None:
    return {}
  if not directory.is_dir():
    raise UserError(f'--images={directory} is no directory; set it to the images of the export.')
  index: dict[str, list[tuple[str, Path]]] = {}
  for name, path in find_images(directory).items():
    index.setdefault(name.rpartition('/')[2], []).append((name, path))
  if not index and is_required:
    raise UserError(f'--images={directory} has no images; expected {", ".join(EXTENSIONS)}.')
  return index


def split_name(text: str) -> list[str]:
  """Splits a path, also of Windows, into its parts; the last one has no extension of images.

  Example:
    >>> split_name('C:\\\\\\\\data\\\\\\\\a.b.JPG')
    ['C:', 'data', 'a.b']
  """
  parts = unicodedata.normalize('NFC', text).replace('\\', '/').split('/')
  stem, dot, extension = parts[-1].rpartition('.')
  if f'{dot}{extension}'.lower() in NAME_EXTENSIONS:
    parts[-1] = stem
  return [part for part in parts if part not in ('', '.', '..')]


def find_image(index: ImageIndex, text: str) -> tuple[str, Path] | None:
  """Returns (name, path) of the image whose path ends like `text`; None if there is none.

  Args:
    index: see `index_images`.
    text: path or URL of the image in the export; its directories only choose among several
      images of one name.

  Raises:
    UserError: several images fit equally well.

  Example: `find_image(index_images(Path('IMAGES')), '/home/street/a.jpg')[0] == 'street/a'`.
  """
  parts = split_name(text)
  if index and (not parts or parts[-1] not in index):
    parts = split_name(unquote(text.partition('?')[0]))  # of a URL
  if index and parts and parts[-1] not in index:
    parts[-1] = UPLOAD_PREFIX.sub('', parts[-1])
  candidates = index.get(parts[-1], ()) if parts else ()
  if len(candidates) < 2:
    return candidates[0] if candidates else None
  lengths = [_common_end(parts, name.split('/')) for name, _ in candidates]
  best = [candidates[i] for i, length in enumerate(lengths) if length == max(lengths)]
  exact = [candidate for candidate in best if candidate[0] == '/'.join(parts)]
  if len(exact or best) > 1:
    raise UserError(
      f'--images has {len(best)} images of the name {parts[-1]}: '
      f'{listed((path for _, path in best), 3)}; set it to the directory of this export.'
    )
  return (exact or best)[0]


def _common_end(first: Sequence[str], second: Sequence[str]) -> int:
  """Returns the number of equal parts at the end."""
  pairs = zip(reversed(first), reversed(second), strict=False)
  return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


def name_image(text: object, images: ImageIndex) -> str:
  """Returns the name of an image: of its file in `images`, or else the path in the export.

  Args:
    text: path of the image in the export.
    images: see `index_images`.

  Raises:
    UserError: the path is invalid or a URL, or several files fit.
  """
  match = find_image(images, str(text))
  if match:
    return match[0]
  if '://' in str(text):
    raise UserError(
      f'the file name {text!r} is a URL: set --images to the directory of the images.'
    )
  try:
    return parse_image_name(text)
  except UserError as error:
    raise UserError(f'{error} Or set --images to the directory of the images.') from None


def complete_size(height: object, width: object, images: ImageIndex, text: str) -> Size:
  """Parses the size in an export, or reads it from the image if the export lacks it.

  Args:
    height: in the export; None if it has none.
    width: likewise.
    images: see `index_images`.
    text: path of the image in the export.

  Raises:
    UserError: the size is invalid or not that of the image, or there is neither.
  """
  match = find_image(images, text)
  if height not in NO_SIDE and width not in NO_SIDE:
    return parse_checked_size(height, width, match[1]) if match else parse_size(height, width)
  if match is None:
    raise UserError(
      f'the size is {width} x {height} (width x height), and there is no image {text}: set '
      '--images to the directory of the images.'
    )
  return read_size(match[1])


def parse_checked_size(height: object, width: object, file: File) -> Size:
  """Parses the size in an export as (height, width), and compares it with that of the image.

  Raises:
    UserError: the size is invalid, or another one; images turned by their EXIF tag have two.
  """
  size = parse_size(height, width)
  header = read_header(file)
  if size != header.size and not (header.orientation >= 5 and size == header.size[::-1]):
    raise UserError(
      f'the size is {size[1]} x {size[0]} (width x height), but {file} is {header.size[1]} x '
      f'{header.size[0]}: use the image that was annotated, or correct the size if the shapes fit '
      'this image.'
    )
  return size


def read_size(file: File) -> Size:
  """Reads the size of an image as (height, width), turned by its EXIF tag.

  Raises:
    UserError: the image is unreadable, or has too many pixels.

  Example: `read_size(Path('a.jpg')) == (360, 480)`.
  """
  return parse_size(*read_header(file).size)
