"""Reads TIFF files of any number of bands, bits and pages, with tifffile.

Synopsis:

    layout = read_tiff_layout('tile.tif')    # None if PIL reads all of the file
    pixels = read_tiff('tile.tif')           # [H, W, bands], in the file's own dtype
"""

from collections.abc import Iterator
import contextlib
import re
from typing import Any, NamedTuple

import numpy as np

from classmix_jax.data.files.compression import LOSSY_COMPRESSIONS, LOSSY_TIFF
from classmix_jax.data.files.open_image import (
  File,
  convert_errors,
  max_pixels,
  open_stream,
  too_large,
)
from classmix_jax.errors import UserError
from classmix_jax.types import Size

MAGIC = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')  # the last two of BigTIFF
MAX_BYTES = 2**32  # of one decoded file
ALPHA = (1, 2)  # associated and unassociated, of the tag ExtraSamples
SMALLER_COPY_OR_MASK = 1 | 4  # of the tag NewSubfileType
GDAL_METADATA, GDAL_NODATA = 42112, 42113
# (photometric interpretation, samples, alpha) of 8 bits or fewer that PIL reads.
READ_BY_PIL = {
  (0, 1, False),
  (1, 1, False),
  (1, 2, True),
  (2, 3, False),
  (2, 4, True),
  (3, 1, False),
  (5, 4, False),
  (6, 3, False),
  (8, 3, False),  # CIELAB, which `read_image` refuses by name
}
RGB = 2
PLAIN = (0, 1, 2)  # photometric interpretations: white is zero, black is zero, RGB


class Layout(NamedTuple):
  """How the values of an image are stored.

  Attributes:
    size: (height, width) after the rotation in its orientation tag.
    format: 'TIFF', 'PNG', ...
    dtype: NumPy's type of a value.
    bits: of a value.
    bands: values of a pixel, transparency included.
    alpha: whether the last band is transparency.
    pages: number of pages of equal size, whose bands are counted one after the other.
    names: of the bands, () if the file has none.
    nodata: the value of pixels without data, or None.
    orientation: of EXIF, 1 to 8.
    lossy: lossy format, such as 'a JPEG 2000'; '' if the compression keeps all values.
  """

  size: Size
  format: str
  dtype: np.dtype
  bits: int
  bands: int
  alpha: bool = False
  pages: int = 1
  names: tuple[str, ...] = ()
  nodata: float | None = None
  orientation: int = 1
  lossy: str = ''

  def __str__(self) -> str:
    """Returns for example '4 bands of uint16'."""
    kind = str(self.dtype) if self.bits in (8 * self.dtype.itemsize, 1) else f'{self.bits} bits'
    return f'{self.bands} {"band" if self.bands == 1 else "bands"} of {kind}'


def read_tiff_layout(file: File) -> Layout | None:
  """Reads how the values of a TIFF are stored; None if PIL reads all of them, as 8 bits.

  Raises:
    UserError: the file is damaged or far too large, or has values that are no real numbers.

  Example: `read_tiff_layout('tile.tif').bands`.
  """
  with _open_tiff(file) as pages:
    return None if _is_read_by_pil(pages) else _layout(pages, file)


def read_tiff(file: File) -> np.ndarray:
  """Reads a TIFF as `[H, W, bands]` in its own dtype, not yet turned by its orientation.

  Raises:
    UserError: as `read_tiff_layout`.

  Example: `read_tiff('tile.tif').dtype`.
  """
  with _open_tiff(file) as pages:
    _layout(pages, file)
    return np.concatenate([_bands_last(page) for page in pages], axis=-1)


@contextlib.contextmanager
def _open_tiff(file: File) -> Iterator[list[Any]]:
  """Yields the pages that have the size and type of the first one."""
  import tifffile

  with convert_errors(file), tifffile.TiffFile(open_stream(file)) as tiff:
    first: Any = tiff.pages[0]
    kind = (first.shape, first.dtype)
    pages: list[Any] = list(tiff.pages)
    others = [
      page
      for page in pages[1:]
      if (page.shape, page.dtype) == kind and not page.subfiletype & SMALLER_COPY_OR_MASK
    ]
    yield [first, *others]


def _is_read_by_pil(pages: list[Any]) -> bool:
  page = pages[0]
  return (
    len(pages) == 1
    and page.bitspersample <= 8
    and page.sampleformat == 1  # unsigned integers
    and (int(page.photometric), page.samplesperpixel, _has_alpha(page)) in READ_BY_PIL
    and (GDAL_NODATA not in page.tags or page.photometric not in PLAIN)
  )


def _has_alpha(page: Any) -> bool:
  if page.photometric == RGB and page.samplesperpixel == 4 and not page.extrasamples:
    return True  # OpenCV leaves out the tag, and PIL reads such files as RGBA
  return bool(page.extrasamples) and page.extrasamples[-1] in ALPHA


def _layout(pages: list[Any], file: File) -> Layout:
  page = pages[0]
  height, width = page.imagelength, page.imagewidth
  if not height * width:
    raise ValueError('it has no pixels')  # which `convert_errors` turns into a sentence
  if height * width > max_pixels():
    raise too_large(file)
  if page.dtype is None or page.dtype.kind not in 'biuf' or page.imagedepth != 1:
    raise UserError(
      f'{file} has values of the type {page.dtype}; expected are integers or floats: export the '
      'file again.',
      'types of values',
    )
  if page.photometric not in PLAIN:
    kind = getattr(page.photometric, 'name', page.photometric)
    raise UserError(
      f'{file} has pixels of type {kind} with {page.bitspersample} bits: export it as grey or RGB.',
      f'images with pixels of type {kind}',
    )
  bands = page.samplesperpixel * len(pages)
  if height * width * bands * page.dtype.itemsize > MAX_BYTES:
    raise UserError(
      f'{file} has {bands} bands of {width}x{height} pixels, more than {MAX_BYTES:,} bytes: cut it '
      'into parts, or export fewer bands.'
    )
  orientation = int(page.tags.valueof(274, default=1))
  is_turned = 5 <= orientation <= 8
  return Layout(
    size=(width, height) if is_turned else (height, width),
    format='TIFF',
    dtype=page.dtype,
    bits=page.bitspersample,
    bands=bands,
    alpha=len(pages) == 1 and _has_alpha(page),
    pages=len(pages),
    names=_band_names(page, bands),
    nodata=_nodata(page),
    orientation=orientation if 1 <= orientation <= 8 else 1,
    lossy=LOSSY_TIFF if int(page.compression) in LOSSY_COMPRESSIONS else '',
  )


def _band_names(page: Any, bands: int) -> tuple[str, ...]:
  """Returns the descriptions of the bands that GDAL writes, () unless all bands have one."""
  text = page.tags.valueof(GDAL_METADATA, default='')
  pattern = r'sample="(\d+)"[^>]*role="description"[^>]*>([^<]*)<'
  names = {int(band): name.strip() for band, name in re.findall(pattern, str(text))}
  return tuple(names[band] for band in range(bands)) if names.keys() == set(range(bands)) else ()


def _nodata(page: Any) -> float | None:
  text = page.tags.valueof(GDAL_NODATA, default=None)
  with contextlib.suppress(TypeError, ValueError):
    return float(text.strip('\0 ') if isinstance(text, str) else text)
  return None


def _bands_last(page: Any) -> np.ndarray:
  array = page.asarray()
  if array.ndim == 2:
    return array[..., None]
  return np.moveaxis(array, 0, -1) if page.axes == 'SYX' else array
