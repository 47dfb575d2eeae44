"""Images and masks from files or bytes, with PIL and NumPy alone.

Synopsis:

    image = read_image('images/a.jpg', size=(180, 240))    # [180, 240, 3] uint8
    decoding = Decoding(('road', 'car'), label_table(2, {7: 1}))
    label = read_mask('masks/a.png', decoding, size=(180, 240))  # [180, 240] uint8
    image = read_image(Encoded(data, 'image 3 of X', 'Prepare X again.'))
"""

import numpy as np
from PIL import Image

from classmix_jax.datasets.decoding import RAW_VALUES, Decoding, Raw, check_palette, decode, pack
from classmix_jax.datasets.opening import File, Size, load, verify
from classmix_jax.types import UserError

_DEEP_GREY = ('I', 'I;16', 'I;16L', 'I;16B', 'I;16N')


def read_image(file: File, size: Size | None = None) -> np.ndarray:
  """Returns a picture as `[H, W, 3]` uint8 RGB.

  EXIF orientation is applied; grey is repeated; a palette is looked up; alpha
  is dropped; 16-bit grey is scaled from 0..65535 to 0..255.

  Args:
    file: path or bytes of a picture in one of `FORMATS`.
    size: (height, width) to resize to, bilinear with antialiasing; None keeps.

  Raises:
    UserError: the file is missing, damaged or of a pixel type without a fixed range.

  Example: `read_image('a.png', size=(180, 240)).shape == (180, 240, 3)`.
  """
  image = _to_rgb(load(file), file)
  if size is not None:
    image = image.resize(size[::-1], Image.Resampling.BILINEAR)
  return np.array(image)


def _to_rgb(image: Image.Image, file: File) -> Image.Image:
  if image.mode in _DEEP_GREY:
    deep = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
    return Image.fromarray(((deep + 128) // 257).astype(np.uint8)).convert('RGB')
  if image.mode in ('P', 'PA'):
    return image.convert('RGBA').convert('RGB')  # P -> RGB warns where there is transparency
  if image.mode in ('1', 'L', 'LA', 'RGB', 'RGBA', 'RGBX', 'CMYK', 'YCbCr', 'HSV'):
    return image if image.mode == 'RGB' else image.convert('RGB')  # convert() copies
  raise UserError(
      f"{file} has pixels of type '{image.mode}', whose range is not known: save it as an 8-bit "
      'PNG or JPEG.')


def read_mask(file: File, decoding: Decoding, size: Size | None = None) -> np.ndarray:
  """Returns a mask as `[H, W]` uint8 class ids, 255 where void.

  Grey (1, 8 or 16 bits) and palette pictures hold ids (the index, not the
  colour), looked up in `decoding.table`. RGB pictures are looked up in
  `decoding.colors`; without colours an RGB picture whose three channels are
  equal is read as grey.

  Args:
    file: path or bytes of a picture in a lossless format.
    decoding: what the pixels mean.
    size: (height, width) to resize to, by nearest pixel so that ids survive.

  Raises:
    UserError: the file is missing or damaged (PNG: by its checksums too), is a JPEG, or holds
      values or colours that `decoding` does not know; says which and what to set.

  Example: `read_mask('a.png', Decoding(('road', 'car'), label_table(2)))`.
  """
  verify(file)
  image = load(file)
  if size is not None:
    image = image.resize(size[::-1], Image.Resampling.NEAREST)
  if image.mode in ('P', 'PA'):
    check_palette(image, decoding, file)
  return decode(_raw_pixels(image, file), decoding, file)


def _raw_pixels(image: Image.Image, file: File) -> np.ndarray:
  """Returns what a mask holds: `[H, W]` ids or `[H, W, 3]` colours."""
  if image.mode in ('RGB', 'RGBA', 'RGBX'):
    return np.asarray(image.convert('RGB'))
  if image.mode in ('1', 'L', 'P', 'LA', 'PA', *_DEEP_GREY):
    return np.asarray(image.getchannel(0) if image.mode in ('LA', 'PA') else image)
  raise UserError(f"{file} has pixels of type '{image.mode}': save masks as 8-bit PNG.")


def raw_values(file: File, decoding: Decoding) -> dict[Raw, int]:
  """Returns what a mask holds, known to `decoding` or not: id or colour -> number of pixels.

  Raises:
    UserError: the file is missing, damaged or of a pixel type that masks do not have.

  Example: `raw_values('a.png', Decoding(('road', 'car'), label_table(2)))` may be
    `{0: 90, 255: 10}`.
  """
  verify(file)
  raw = _raw_pixels(load(file), file)
  if raw.ndim == 3 and not decoding.colors and (raw == raw[..., :1]).all():
    raw = raw[..., 0]  # as `decode` reads it
  if raw.ndim == 2:
    return _count(raw.astype(np.int64))
  return {
      (key >> 16, key >> 8 & 255, key & 255): pixels for key, pixels in _count(pack(raw)).items()}


def _count(keys: np.ndarray) -> dict[int, int]:
  if keys.min() >= 0 and keys.max() < RAW_VALUES:
    pixels = np.bincount(keys.ravel())  # unlike `unique` it does not sort
    values = np.flatnonzero(pixels)
    return dict(zip(values.tolist(), pixels[values].tolist(), strict=True))
  values, pixels = np.unique(keys, return_counts=True)
  return dict(zip(values.tolist(), pixels.tolist(), strict=True))
