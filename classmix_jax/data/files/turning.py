"""Images that are turned by their EXIF orientation, and whether their masks are, too.

Synopsis:

    fits_either_way(read_header('a.jpg'), read_header('a.png'))
    turned_warning(3, 20, 'labelled', decoding)

Photos of phones hold the pixels as the sensor has them, and a tag by which viewers turn them. So do
annotation tools of today; masks of others, and of scripts, fit the pixels as they are stored.
"""

from classmix_jax.data.files.decoding import Decoding
from classmix_jax.data.files.image_io import Header
from classmix_jax.types import Size


def turned_size(image: Header, mask: Header) -> Size:
  """Returns the size of a mask if it is turned with its image; one with its own tag is not."""
  return mask.size[::-1] if image.orientation >= 5 and mask.orientation == 1 else mask.size


def fits_either_way(image: Header | None, mask: Header | None) -> bool:
  """Returns whether the sizes leave open if a mask is turned as its image is.

  Upside-down images (orientation 3) are an example, and square ones of any orientation but 1.
  """
  if image is None or mask is None or image.orientation == mask.orientation:
    return False
  return image.size == mask.size == turned_size(image, mask)


def turned_warning(count: int, total: int, title: str, decoding: Decoding) -> list[str]:
  """Returns a sentence on images that are turned by EXIF, if they need attention.

  Args:
    count: number of images whose masks fit either way.
    total: number of images that were read.
    title: 'labelled' or 'val'.
    decoding: of the masks.
  """
  if not count or decoding.turns_masks:
    return []
  return [
    f'{count} of {total} {title} images are turned by their EXIF tag and their masks fit either '
    'way: the images are turned and the masks are not. Look at contact_sheet.png of '
    f'launch/check_data.py; if the masks lie wrong, {advise_turning(decoding)}'
  ]


def advise_turning(decoding: Decoding) -> str:
  """Returns the remedy for masks that were drawn on the pixels as they are stored."""
  if decoding.turns_masks or decoding.advice:
    return 'turn the mask alike or remove the tag.'
  return 'set --config.data.turn_masks=True to turn the masks with their images.'
