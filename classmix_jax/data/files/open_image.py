"""Opens image files with PIL; every failure becomes a UserError that names the file.

Synopsis:

    with open_image('images/a.jpg') as image:
      image.load()
    with convert_errors(file):
      decode(read_bytes(file))    # with another library
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import importlib
import io
import logging
import os
from pathlib import Path
import stat
import struct
import zlib

from PIL import Image

from classmix_jax.errors import UserError

# PIL reads many more, and starts other programs for some (Ghostscript for EPS).
PIL_FORMATS = ('PNG', 'JPEG', 'TIFF', 'WEBP', 'BMP', 'GIF', 'PPM', 'JPEG2000', 'AVIF')
HEIF_BRANDS = (b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx', b'mif1', b'msf1')


# The exceptions that decoders raise for a damaged file depend on the format and on the damage.
_DECODING_ERRORS = (
  OSError,
  SyntaxError,
  ValueError,
  EOFError,
  LookupError,
  TypeError,
  AttributeError,
  ArithmeticError,
  RuntimeError,
  struct.error,
  zlib.error,
)
# Both log what they also raise.
for _name in ('tifffile', 'PIL.TiffImagePlugin'):
  logging.getLogger(_name).setLevel(logging.CRITICAL)


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


@contextlib.contextmanager
def open_image(file: File) -> Iterator[Image.Image]:
  """Opens an image; converts exceptions, also from inside the block, to UserError.

  Raises:
    UserError: the file is missing, not an image, damaged, an animation, far too large, or may not
      be read.

  Example: `with open_image('a.png') as image: image.load()`.
  """
  with convert_errors(file):
    formats = (*PIL_FORMATS, *_heif_format(file))
    with Image.open(open_stream(file), formats=formats) as image:
      # MPO, which phones write for JPEG, has a second image for other purposes.
      if image.format in ('GIF', 'PNG', 'WEBP', 'AVIF') and getattr(image, 'is_animated', False):
        raise UserError(
          f'{file} is an animation: save the frames that you need as images.', 'animations'
        )
      yield image


@contextlib.contextmanager
def convert_errors(file: File) -> Iterator[None]:
  """Converts the exceptions of decoders inside the block to UserError.

  Example: `with convert_errors(file): decode(read_bytes(file))`.
  """
  try:
    yield
  except FileNotFoundError:
    raise UserError(
      f'{file} does not exist: restore the file or take it off the list.', 'missing files'
    ) from None
  except PermissionError:
    raise UserError(
      f'{file} may not be read: change its permissions.', 'files without permission'
    ) from None
  except Image.DecompressionBombError:
    raise too_large(file) from None
  except _DECODING_ERRORS as error:
    if isinstance(error, OSError) and error.errno:  # of the file system, not of PIL
      raise UserError(
        f'{file} cannot be read ({error.strerror}): replace the file.', 'files that cannot be read'
      ) from None
    unidentified = isinstance(error, Image.UnidentifiedImageError)
    kind = 'files that are not images' if unidentified else 'damaged files'
    raise UserError(_undecodable_message(file, error), kind) from error


def too_large(file: File) -> UserError:
  """Returns the error for an image with too many pixels."""
  return UserError(
    f'{file} has more than {max_pixels():,} pixels: cut it into parts, or remove it.',
    'files with too many pixels',
  )


def max_pixels() -> int:
  """Returns the number of pixels that an image may have; PIL's limit against bombs."""
  return 2 * (Image.MAX_IMAGE_PIXELS or 0)


def read_bytes(file: File, count: int = -1) -> bytes:
  """Reads the first `count` bytes of a file, all if it is negative."""
  stream = open_stream(file)
  if isinstance(stream, io.BytesIO):
    return stream.read(count)
  with open(stream, 'rb') as opened:
    return opened.read(count)


def open_stream(file: File) -> io.BytesIO | str | Path:
  """Returns what a decoder opens; refuses what might never end, such as a pipe."""
  if isinstance(file, Encoded):
    return io.BytesIO(file.data)
  mode = os.stat(file).st_mode
  if not stat.S_ISREG(mode):
    kind = 'a directory' if stat.S_ISDIR(mode) else 'no regular file'
    raise UserError(
      f'{file} is {kind}, expected is an image: rename or remove it.', 'entries that are no files'
    )
  return file


def _heif_format(file: File) -> tuple[str, ...]:
  """Returns the name of the format HEIF for such a file, after its plugin is registered."""
  head = read_bytes(file, 12)
  if head[4:8] != b'ftyp' or head[8:12] not in HEIF_BRANDS:
    return ()
  try:
    importlib.import_module('pillow_heif').register_heif_opener()
  except ImportError:
    raise UserError(
      f"{file} is in the format HEIC: pip install 'classmix_jax[heic]', or convert it to JPEG.",
      'files in the format HEIC',
    ) from None
  return ('HEIF',)


def _undecodable_message(file: File, error: Exception) -> str:
  unidentified = isinstance(error, Image.UnidentifiedImageError)
  reason = 'not an image that can be identified' if unidentified else error
  if isinstance(file, Encoded):
    return f'{file} does not decode ({reason}; {len(file.data)} bytes). {file.remedy}'
  return (
    f'{file} does not decode ({reason}; {os.path.getsize(file)} bytes): copy or export the '
    'file again, or remove it.'
  )
