"""Files of pictures -> PIL: what is opened, and what is said of a file that does not open.

Synopsis:

    image = load('images/a.jpg')                              # decoded, turned as its EXIF says
    image = load(Encoded(data, 'image 3 of X', 'Prepare X again.'))
    height, width = read_header('images/a.jpg').size
"""

from collections.abc import Iterator
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

from classmix_jax.errors import UserError

Size = tuple[int, int]  # (height, width)

# PIL knows many more, some of which start other programs (EPS runs Ghostscript).
FORMATS = ('PNG', 'JPEG', 'TIFF', 'WEBP', 'BMP', 'GIF', 'PPM')
LOSSY = ('JPEG', 'MPO')

_ORIENTATION = 0x0112  # EXIF tag
# What PIL raises for a damaged file depends on the format and on where the damage is.
_BROKEN = (
  OSError,
  SyntaxError,
  ValueError,
  EOFError,
  IndexError,
  KeyError,
  TypeError,
  OverflowError,
  struct.error,
  zlib.error,
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
      'parts, or remove it.'
    ) from None
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


def load(file: File) -> Image.Image:
  """Returns the decoded picture, turned as its EXIF orientation says.

  Raises:
    UserError: it is missing, may not be read, is no picture or a damaged or far too large one.
  """
  with _opened(file) as image:
    image.load()
    ImageOps.exif_transpose(image, in_place=True)  # without it the picture would be copied
    return image


def verify(file: File) -> None:
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
  """Returns what a picture says of itself without decoding it; UserError as from `load`."""
  with _opened(path) as image:
    width, height = image.size
    turned = 5 <= _orientation(image) <= 8  # others are no orientation
    size = (width, height) if turned else (height, width)
    return Header(size, image.format or '', image.mode, turned)


def read_palette(path: str | Path) -> list[tuple[int, int, int]]:
  """Returns the colours of a palette picture, [] where it has none; from the header alone."""
  with _opened(path) as image:
    flat = (image.mode == 'P' and image.getpalette('RGB')) or []
  return [tuple(flat[start : start + 3]) for start in range(0, len(flat), 3)]


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


def lossy(file: File) -> str:
  """Returns what is said of a mask whose format loses ids."""
  return f'{file} is a JPEG, whose compression changes class ids: export the masks as PNG.'


def _undecodable(file: File, error: Exception) -> str:
  unidentified = isinstance(error, Image.UnidentifiedImageError)
  reason = 'not a picture that can be identified' if unidentified else error
  if isinstance(file, Encoded):
    return f'{file} does not decode ({reason}; {len(file.data)} bytes). {file.remedy}'
  return (
    f'{file} does not decode ({reason}; {os.path.getsize(file)} bytes): copy or export the '
    'file again, or remove it.'
  )


_DEEP_GREY = ('I', 'I;16', 'I;16L', 'I;16B', 'I;16N')


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
  image = _to_rgb(load(file), file)
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
    'PNG or JPEG.'
  )
