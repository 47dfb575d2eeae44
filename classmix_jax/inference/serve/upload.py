"""Reads an uploaded image; refuses what is no image or too large, before it is decoded.

Synopsis:

    image = read_upload(request_body, WHOLE, max_pixels=24_000_000)    # [H, W, 3] uint8
"""

import numpy as np

from classmix_jax.data.files.image_io import read_header, read_image
from classmix_jax.data.files.open_image import Encoded, File
from classmix_jax.data.files.pixel_io import read_layout
from classmix_jax.data.files.reading import Reading, choose_bands
from classmix_jax.errors import UserError

ACCEPTED = 'PNG, JPEG, TIFF, WebP, BMP, GIF, PPM, JPEG 2000, AVIF or HEIC'
MAX_DECODED = 2**30  # bytes of a decoded image: 24 million pixels of 12 bands of 16 bits fit
TOO_MANY_PIXELS = 'files with too many pixels'  # the kind of `open_image.too_large`
# The beginning of common files that are no images, for the message.
OTHER_FILES = {b'%PDF': 'a PDF', b'PK\x03\x04': 'a ZIP archive', b'<': 'SVG, HTML or XML'}


class Refusal(UserError):
  """A request that is not answered, with the HTTP status of the reply.

  Attributes:
    status: 400 to 499.
  """

  def __init__(self, status: int, sentence: str):
    super().__init__(sentence)
    self.status = status


def read_upload(data: bytes, reading: Reading, max_pixels: int) -> np.ndarray:
  """Reads an encoded image as `[H, W, 3]` uint8 RGB, like the files of `predict`.

  Args:
    data: content of the file.
    reading: bands and range of the run.
    max_pixels: of an image. Its size and bands are checked before any pixel is decoded.

  Raises:
    Refusal: 400 if there are no data, 413 if the image has too many pixels, 415 if the data are
      no image that is read, or damaged.

  Example: `read_upload(Path('photo.jpg').read_bytes(), WHOLE, 10**7).shape == (180, 240, 3)`.
  """
  if not data:
    raise Refusal(400, 'the request has no image: send the content of an image file as its body.')
  file = Encoded(data, 'the image', f'Send {ACCEPTED}.')
  for magic, name in OTHER_FILES.items():
    if data[:64].lstrip(b'\xef\xbb\xbf \r\n\t').startswith(magic):
      raise Refusal(415, f'{file} is {name}, not pixels. {file.remedy}')
  try:
    height, width = read_header(file).size
    if height * width > max_pixels:
      raise Refusal(
        413,
        f'{file} has {width} x {height} pixels, and {max_pixels / 1e6:g} million are accepted: '
        'make it smaller, or start the server with a larger --max_megapixels.',
      )
    check_bands(file, reading)
    return read_image(file, reading=reading)
  except Refusal:
    raise
  except UserError as error:
    raise Refusal(413 if error.kind == TOO_MANY_PIXELS else 415, str(error)) from None


def check_bands(file: File, reading: Reading) -> None:
  """Checks the bands of a deep image, of which all are decoded to read three.

  Raises:
    Refusal: 413 if they are too many to decode.
    UserError: `reading` does not fit them.
  """
  layout = read_layout(file)
  if layout is None:
    return
  choose_bands(layout, reading, file)
  height, width = layout.size
  decoded = height * width * layout.bands * layout.dtype.itemsize
  if decoded > MAX_DECODED:
    raise Refusal(
      413,
      f'{file} has {layout}, {decoded // 2**20} MB, and {MAX_DECODED // 2**20} MB are accepted: '
      'make it smaller, or save the bands that the run reads.',
    )
