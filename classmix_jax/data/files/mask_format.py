"""Checks the format of mask files: compression that changes values, checksums, channels.

Synopsis:

    is_lossy = verify_mask_file('a.png', decoding)
"""

from classmix_jax.data.files.decoding import Decoding
from classmix_jax.data.files.image_io import read_header
from classmix_jax.data.files.mask_messages import lossy_error
from classmix_jax.data.files.open_image import File, open_image
from classmix_jax.data.files.tiff_io import Layout
from classmix_jax.errors import UserError


def verify_mask_file(file: File, decoding: Decoding) -> bool:
  """Returns whether the compression of a mask is lossy; raises UserError for wrong checksums.

  PIL ignores the checksums of a PNG's pixels when it decodes, and a flipped bit may be another
  class.

  Raises:
    UserError: a checksum is wrong, or the compression is lossy and `decoding` does not allow it.
  """
  header = read_header(file)
  if header.lossy and not decoding.reads_lossy:
    raise lossy_error(file, header.lossy, decoding)
  if header.format == 'PNG':
    with open_image(file) as image:
      image.verify()
  return bool(header.lossy)


def check_channels(file: File, layout: Layout) -> None:
  """Raises UserError if a mask has several pages, or channels that are no ids or colours."""
  if layout.pages > 1:
    raise UserError(
      f'{file} has {layout.pages} pages, but a mask has one: save the page of class ids as PNG.',
      'masks with several pages',
    )
  if layout.bands > 4 or layout.bands == 2 and not layout.alpha:
    raise UserError(
      f'{file} has {layout.bands} channels, but masks have one (class ids) or three (colours): if '
      'each channel is a class, save the number of the highest channel of each pixel as grey PNG.',
      'masks with many channels',
    )
