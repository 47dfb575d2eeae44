"""Opens image files with PIL; every failure becomes a UserError that names the file.

Synopsis:

    image = read_image('images/a.jpg', size=(180, 240))             # [180, 240, 3] uint8
    image = read_image(Encoded(data, 'image 3 of X', 'Prepare X again.'))
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

from classmix_jax.data.files.colors import Color
from classmix_jax.data.files.compression import describe_lossy
from classmix_jax.errors import UserError
from classmix_jax.types import Size

# PIL reads many more, and starts other programs for some (Ghostscript for EPS).
PIL_FORMATS = ('PNG', 'JPEG', 'TIFF', 'WEBP', 'BMP', 'GIF', 'PPM')
DEEP_GREY_MODES = ('I', 'I;16', 'I;16L', 'I;16B', 'I;16N')  # of PIL: more than 8 bits

_ORIENTATION = 0x0112  # EXIF tag
_ORIENTED = {'exif', 'XML:com.adobe.xmp'}  # PIL's names of what may hold it
_TRANSPOSITIONS = {
  2: Image.Transpose.FLIP_LEFT_RIGHT,
  3: Image.Transpose.ROTATE_180,
  4: Image.Transpose.FLIP_TOP_BOTTOM,
  5: Image.Transpose.TRANSPOSE,
  6: Image.Transpose.ROTATE_270,
  7: Image.Transpose.TRANSVERSE,
  8: Image.Transpose.ROTATE_90,
}
# The exceptions that PIL raises for a damaged file depend on the format and on the damage.
_DECODING_ERRORS = (
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
  """An encoded image in memory; readers take it in place of a path.

  Attributes:
    data: content of the image's file.
    where: its name in messages.
    remedy: the remedy in messages, if it does not decode.
  """

  data: bytes
  where: str
  remedy: str

  def __str__(self) -> str:
    return self.where


File = str | Path | Encoded


class Header(NamedTuple):
  """Properties of an image that are known without decoding it.

  Attributes:
    size: (height, width) after the rotation in its EXIF tag.
    format: PIL's name of the format, e.g. 'PNG'.
    mode: PIL's name of the pixel type, e.g. 'RGB'.
    orientation: of EXIF, 1 to 8; 5 to 8 swap height and width.
    lossy: lossy format, such as 'a JPEG'; '' if the compression keeps all values.
  """

  size: Size
  format: str
  mode: str
  orientation: int = 1
  lossy: str = ''


@contextlib.contextmanager
def open_image(file: File) -> Iterator[Image.Image]:
  """Opens an image; converts the exceptions of PIL, also from inside the block, to UserError."""
  try:
    with Image.open(_stream(file), formats=PIL_FORMATS) as image:
      yield image
  except FileNotFoundError:
    raise UserError(
      f'{file} does not exist: restore the file or take it off the list.', 'missing files'
    ) from None
  except PermissionError:
    raise UserError(
      f'{file} may not be read: change its permissions.', 'files without permission'
    ) from None
  except Image.DecompressionBombError:
    raise UserError(
      f'{file} has more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels: cut it into parts, or '
      'remove it.',
      'files with too many pixels',
    ) from None
  except _DECODING_ERRORS as error:
    if isinstance(error, OSError) and error.errno:  # of the file system, not of PIL
      raise UserError(
        f'{file} cannot be read ({error.strerror}): replace the file.', 'files that cannot be read'
      ) from None
    unidentified = isinstance(error, Image.UnidentifiedImageError)
    kind = 'files that are not images' if unidentified else 'damaged files'
    raise UserError(_undecodable_message(file, error), kind) from error


def _stream(file: File) -> io.BytesIO | str | Path:
  """Returns the argument of `Image.open`; refuses what might never end, such as a pipe."""
  if isinstance(file, Encoded):
    return io.BytesIO(file.data)
  mode = os.stat(file).st_mode
  if not stat.S_ISREG(mode):
    kind = 'a directory' if stat.S_ISDIR(mode) else 'no regular file'
    raise UserError(
      f'{file} is {kind}, expected is an image: rename or remove it.', 'entries that are no files'
    )
  return file


def _undecodable_message(file: File, error: Exception) -> str:
  unidentified = isinstance(error, Image.UnidentifiedImageError)
  reason = 'not an image that can be identified' if unidentified else error
  if isinstance(file, Encoded):
    return f'{file} does not decode ({reason}; {len(file.data)} bytes). {file.remedy}'
  return (
    f'{file} does not decode ({reason}; {os.path.getsize(file)} bytes): copy or export the '
    'file again, or remove it.'
  )


def load_image(file: File) -> Image.Image:
  """Decodes an image and applies its EXIF orientation.

  Raises:
    UserError: the file is missing, not an image, damaged, far too large, or may not be read.
  """
  with open_image(file) as image:
    image.load()
    ImageOps.exif_transpose(image, in_place=True)  # otherwise it copies every image
    return image


def read_header(file: File) -> Header:
  """Reads the properties of an image without decoding it; raises UserError as `load_image`."""
  with open_image(file) as image:
    width, height = image.size
    orientation = _orientation(image)
    # PIL has applied that of a TIFF to the size already.
    swaps = orientation >= 5 and image.format != 'TIFF'
    size = (width, height) if swaps else (height, width)
    return Header(size, image.format or '', image.mode, orientation, describe_lossy(image))


def _orientation(image: Image.Image) -> int:
  if image.format == 'PNG' and not _ORIENTED & image.info.keys():
    return 1  # getexif() would decode the image to look behind the pixels
  orientation = image.getexif().get(_ORIENTATION, 1)
  return orientation if orientation in range(1, 9) else 1


def turn_image(image: Image.Image, orientation: int) -> Image.Image:
  """Applies an EXIF orientation, 1 to 8, to an image that has none of its own."""
  method = _TRANSPOSITIONS.get(orientation)
  return image if method is None else image.transpose(method)


def read_palette(file: File) -> list[Color]:
  """Reads the colours of a palette image from its header; [] for other images."""
  with open_image(file) as image:
    flat = (image.mode == 'P' and image.getpalette('RGB')) or []
  return list(zip(flat[::3], flat[1::3], flat[2::3], strict=True))


def read_image(file: File, size: Size | None = None) -> np.ndarray:
  """Reads an image as `[H, W, 3]` uint8 RGB.

  EXIF orientation is applied, grey becomes three equal channels, palette indices become colours,
  alpha is dropped, and 16-bit grey is scaled from 0..65535 to 0..255.

  Args:
    file: path or bytes of an image in one of `PIL_FORMATS`.
    size: (height, width) to resize to, bilinearly with antialiasing; None keeps the size.

  Raises:
    UserError: the file is missing, damaged or of a pixel type without a fixed range.

  Example: `read_image('a.png', size=(180, 240)).shape == (180, 240, 3)`.
  """
  image = _to_rgb(load_image(file), file)
  if size is not None:
    image = image.resize(size[::-1], Image.Resampling.BILINEAR)
  return np.array(image)


def _to_rgb(image: Image.Image, file: File) -> Image.Image:
  if image.mode in DEEP_GREY_MODES:
    deep = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
    return Image.fromarray(((deep + 128) // 257).astype(np.uint8)).convert('RGB')
  if image.mode in ('P', 'PA'):
    return image.convert('RGBA').convert('RGB')  # P -> RGB warns about transparency
  if image.mode in ('1', 'L', 'LA', 'RGB', 'RGBA', 'RGBX', 'CMYK', 'YCbCr', 'HSV'):
    return image if image.mode == 'RGB' else image.convert('RGB')  # convert() copies
  raise UserError(
    f"{file} has pixels of type '{image.mode}', whose range is not known: save it as an 8-bit "
    'PNG or JPEG.',
    f"images with pixels of type '{image.mode}'",
  )
