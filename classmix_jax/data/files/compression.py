"""Finds out whether the compression of an image changes its values.

Synopsis:

    with Image.open('a.webp') as image:
      describe_lossy(image)    # 'a lossy WebP'; '' for lossless files
"""

import struct
from typing import Any

from PIL import Image

LOSSY_FORMATS = {'JPEG': 'a JPEG', 'MPO': 'a JPEG', 'AVIF': 'an AVIF', 'HEIF': 'a HEIC'}
LOSSY_TIFF = 'a TIFF with lossy compression'
# Values of the tag Compression: JPEG, JPEG 2000, LERC, WebP, JPEG XL.
LOSSY_COMPRESSIONS = (6, 7, 33003, 33004, 33005, 34712, 34887, 34892, 50001, 50002, 52546)
_COMPRESSION = 259


def describe_lossy(image: Image.Image) -> str:
  """Returns the lossy format of an opened, undecoded image, '' if it is lossless.

  AVIF and some compressions of TIFF can be lossless, which their headers do not tell.

  Example: `describe_lossy(Image.open('a.jpg')) == 'a JPEG'`.
  """
  stream: Any = image.fp  # type: ignore[attr-defined]
  if image.format == 'TIFF':
    compression = image.tag_v2.get(_COMPRESSION, 1)  # type: ignore[attr-defined]
    return LOSSY_TIFF if compression in LOSSY_COMPRESSIONS else ''
  if image.format == 'WEBP':
    return 'a lossy WebP' if _has_lossy_chunk(stream) else ''
  if image.format == 'JPEG2000':
    position = stream.tell()
    stream.seek(0)
    head = stream.read(1024)
    stream.seek(position)
    return '' if is_reversible(head) else 'a JPEG 2000'
  return LOSSY_FORMATS.get(image.format or '', '')


def is_reversible(head: bytes) -> bool:
  """Returns whether a JPEG 2000 file has the reversible 5-3 transform, from its first bytes."""
  start = head.find(b'\xff\x52')  # marker of the coding style; the transform is its 12th byte
  return start >= 0 and head[start + 13 : start + 14] == b'\1'


def _has_lossy_chunk(stream: Any) -> bool:
  """Returns whether a WebP file has a chunk 'VP8 '; lossless ones have 'VP8L'."""
  stream.seek(12)  # behind 'RIFF', the size and 'WEBP'
  while len(header := stream.read(8)) == 8:
    name, size = struct.unpack('<4sI', header)
    if name == b'VP8 ':
      return True
    stream.seek(size + size % 2, 1)
  return False
