"""Finds out whether the compression of an image changes its values.

Synopsis:

    with Image.open('a.webp') as image:
      describe_lossy(image)    # 'a lossy WebP'; '' for lossless files
"""

import struct
from typing import Any

from PIL import Image

LOSSY_FORMATS = {
  'JPEG': 'a JPEG',
  'MPO': 'a JPEG',
  'JPEG2000': 'a JPEG 2000',
  'AVIF': 'an AVIF',
  'HEIF': 'a HEIC',
}
LOSSY_TIFF = ('jpeg', 'tiff_jpeg', 'webp')  # PIL's names of compressions


def describe_lossy(image: Image.Image) -> str:
  """Returns the lossy format of an image that is opened and not yet decoded, '' if it is lossless.

  JPEG 2000, AVIF and WebP in a TIFF can be lossless, which their headers do not tell.

  Example: `describe_lossy(Image.open('a.jpg')) == 'a JPEG'`.
  """
  if image.format == 'TIFF':
    return 'a TIFF with lossy compression' if image.info.get('compression') in LOSSY_TIFF else ''
  if image.format == 'WEBP':
    return 'a lossy WebP' if _has_lossy_chunk(image.fp) else ''
  return LOSSY_FORMATS.get(image.format or '', '')


def _has_lossy_chunk(stream: Any) -> bool:
  """Returns whether a WebP file has a chunk 'VP8 '; lossless ones have 'VP8L'."""
  stream.seek(12)  # behind 'RIFF', the size and 'WEBP'
  while len(header := stream.read(8)) == 8:
    name, size = struct.unpack('<4sI', header)
    if name in (b'VP8 ', b'ANMF'):  # the frames of an animation are not looked at
      return True
    stream.seek(size + size % 2, 1)
  return False
