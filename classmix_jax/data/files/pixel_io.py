"""Reads the values of images as they are stored: any bands, in the type of the file.

Synopsis:

    layout = read_layout('tile.tif')     # None if PIL's 8-bit pixels are all that the file has
    pixels = read_pixels('tile.tif')     # [H, W, 4] uint16

TIFF files of more than 8 bits or other bands than grey, RGB or RGBA are read with tifffile, PNG
and JPEG 2000 files of more than 8 bits with imagecodecs: PIL drops their lower bits.
"""

import math
import struct

import numpy as np
from PIL import Image

from classmix_jax.data.files.compression import is_reversible
from classmix_jax.data.files.open_image import File, convert_errors, open_image, read_bytes
from classmix_jax.data.files.tiff_io import MAGIC, Layout, read_tiff, read_tiff_layout

DEEP_GREY_MODES = ('I', 'I;16', 'I;16L', 'I;16B', 'I;16N')  # of PIL: more than 8 bits
HEAD_BYTES = 1024  # in which the depth of a PNG or JPEG 2000 file is found

PNG_MAGIC = b'\x89PNG\r\n\x1a\n'
_EXIF_ORIENTATION, _TIFF_BITS = 0x0112, 258  # tags
_ORIENTED = {'exif', 'XML:com.adobe.xmp'}  # PIL's names of what may hold the orientation
_PNG_BANDS = {0: 1, 2: 3, 4: 2, 6: 4}  # by colour type; 4 and 6 have transparency


def read_layout(file: File) -> Layout | None:
  """Reads how the values of an image are stored; None if PIL reads them all, as 8 bits.

  Raises:
    UserError: the file is missing, not an image, damaged, far too large, or may not be read.

  Example: `read_layout('photo.jpg') is None`.
  """
  with convert_errors(file):
    head = read_bytes(file, HEAD_BYTES)
  if head[:4] in MAGIC:
    return read_tiff_layout(file)
  bits, bands, alpha = _deep_bands(head)
  if bits <= 8 and head[:2] not in (b'P5', b'Pf', b'PF'):
    return None
  with open_image(file) as image:
    size, orientation = image.size[::-1], read_orientation(image)
    kind, mode = image.format or '', image.mode
    has_key = kind == 'PNG' and 'transparency' in image.info
  if bits > 8:
    dtype: np.dtype = np.dtype(np.uint16)
    if has_key and not alpha:  # imagecodecs makes a band of the transparent colour
      bands, alpha = bands + 1, True
  elif mode in (*DEEP_GREY_MODES, 'F'):
    dtype = np.dtype(np.float32 if mode == 'F' else np.uint16 if mode != 'I' else np.int32)
    bits, bands, alpha = 8 * dtype.itemsize, 1, False
  else:
    return None
  is_turned = 5 <= orientation <= 8
  size = size[::-1] if is_turned else size
  lossy = 'a JPEG 2000' if kind == 'JPEG2000' and not is_reversible(head) else ''
  return Layout(size, kind, dtype, bits, bands, alpha, orientation=orientation, lossy=lossy)


def read_pixels(file: File) -> np.ndarray:
  """Reads the values of an image as `[H, W]`, or `[H, W, bands]` if it has several.

  The orientation in the file is applied. Palette images give indices, not colours.

  Args:
    file: path or bytes of an image.

  Raises:
    UserError: as `read_layout`.

  Example: `read_pixels('ids.tif').dtype` may be uint16.
  """
  layout = read_layout(file)
  if layout is None:
    with open_image(file) as image:
      pixels, orientation = np.asarray(image), read_orientation(image)
  else:
    pixels, orientation = _decode(file, layout), layout.orientation
  pixels = turn_pixels(pixels, orientation)
  return pixels[..., 0] if pixels.shape[2:] == (1,) else pixels


def orientation_of_tiff(image: Image.Image) -> int:
  """Returns the orientation of a TIFF, 1 to 8, which PIL applies to size and pixels."""
  orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
  return orientation if orientation in range(1, 9) else 1


def sample_bits(file: File) -> int:
  """Returns the bits of the grey values in a PNG or TIFF, 8 for other files.

  PIL spreads values of 2 and 4 bits over 0..255.
  """
  with convert_errors(file):
    head = read_bytes(file, HEAD_BYTES)
  if head[:8] == PNG_MAGIC and head[25:26] in (b'\0', b'\4'):
    return head[24]
  if head[:4] not in MAGIC:
    return 8
  with open_image(file) as image:
    bits = image.tag_v2.get(_TIFF_BITS, (8,))  # type: ignore[attr-defined]
    return bits[0] if isinstance(bits, tuple) else bits


def read_orientation(image: Image.Image) -> int:
  """Returns the EXIF orientation that a decoded image still needs, 1 to 8; 1 is upright."""
  if image.format == 'TIFF':
    return 1  # PIL applies it when it decodes
  if image.format == 'PNG' and not _ORIENTED & image.info.keys():
    return 1  # getexif() would decode the image to look behind the pixels
  orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
  return orientation if orientation in range(1, 9) else 1


def _decode(file: File, layout: Layout) -> np.ndarray:
  """Returns `[H, W, bands]` of an image that PIL would reduce to 8 bits, or to fewer bands."""
  with convert_errors(file):
    if layout.format == 'TIFF':
      pixels = read_tiff(file)
    elif layout.format in ('PNG', 'JPEG2000'):
      import imagecodecs

      decode = imagecodecs.png_decode if layout.format == 'PNG' else imagecodecs.jpeg2k_decode
      pixels = decode(read_bytes(file))
    else:  # PGM and PFM
      with open_image(file) as image:
        pixels = np.asarray(image)
    size = layout.size[::-1] if layout.orientation >= 5 else layout.size
    if not pixels.size or pixels.size != math.prod(size) * layout.bands:
      raise ValueError(f'values of the shape {pixels.shape}, not {layout} of {size}')
    return pixels.reshape(*size, layout.bands)


def _deep_bands(head: bytes) -> tuple[int, int, bool]:
  """Returns (bits, bands, alpha) of a PNG or JPEG 2000 file, (0, 0, False) for other files."""
  if head[:8] == PNG_MAGIC and len(head) > 25:
    return head[24], _PNG_BANDS.get(head[25], 1), head[25] >= 4
  start = head.find(b'\xff\x4f\xff\x51')  # markers of a JPEG 2000 codestream and its size
  if head[:4] in (b'\0\0\0\x0c', b'\xff\x4f\xff\x51') and 0 <= start <= len(head) - 43:
    bands, precision = struct.unpack_from('>HB', head, start + 40)
    return (precision & 127) + 1, bands, bands in (2, 4)
  return 0, 0, False


def turn_pixels(pixels: np.ndarray, orientation: int) -> np.ndarray:
  """Applies an EXIF orientation to `[H, W, ...]`."""
  if orientation in (5, 6, 7, 8):
    pixels = pixels.swapaxes(0, 1)
  if orientation in (2, 3, 6, 7):
    pixels = pixels[:, ::-1]
  if orientation in (3, 4, 7, 8):
    pixels = pixels[::-1]
  return pixels
