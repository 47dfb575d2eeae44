"""Checks the format of mask files: compression that changes values, and checksums.

Synopsis:

    verify_mask_file('a.png', decoding)
"""

from classmix_jax.data.files.compression import describe_lossy
from classmix_jax.data.files.decoding import Decoding
from classmix_jax.data.files.image_io import File, open_image
from classmix_jax.data.files.mask_messages import lossy_error


def verify_mask_file(file: File, decoding: Decoding) -> bool:
  """Returns whether the compression of a mask is lossy; raises UserError for wrong checksums.

  PIL ignores the checksums of a PNG's pixels when it decodes, and a flipped bit may be another
  class.

  Raises:
    UserError: a checksum is wrong, or the compression is lossy and `decoding` does not allow it.
  """
  with open_image(file) as image:
    lossy = describe_lossy(image)
    if lossy and not decoding.reads_lossy:
      raise lossy_error(file, lossy, decoding)
    if image.format == 'PNG':
      image.verify()
  return bool(lossy)
