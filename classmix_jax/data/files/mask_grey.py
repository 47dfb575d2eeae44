"""Values of masks of any depth and type as integers or as grey values 0..255.

Synopsis:

    to_grey(np.array([[0, 65535]], np.uint16), None, 16, 'a.png')    # [[0, 255]]
    whole_numbers(np.array([[0., 1.]]), decoding, 'a.tif')           # [[0, 1]] int32
"""

import numpy as np

from classmix_jax.data.files.decoding import Decoding
from classmix_jax.data.files.open_image import File
from classmix_jax.errors import UserError

CHROMA = 48  # largest difference between the channels of a grey pixel in a JPEG, of 255


def to_bytes(values: np.ndarray) -> np.ndarray:
  """Scales integers of 16 bits to 0..255 unless all are below 256; floats up to 1 alike."""
  values = np.nan_to_num(values.astype(np.float64))
  highest = values.max(initial=0)
  scale = 1 / 257 if highest > 255 else 1
  return np.clip(np.round(values * scale), 0, 255).astype(np.uint8)


def to_grey(raw: np.ndarray, palette: np.ndarray | None, bits: int, file: File) -> np.ndarray:
  """Returns grey values 0..255, which a threshold needs; missing values (NaN) are -1.

  Values of 1, 2 and 4 bits are spread over 0..255. Values above 255 are taken as 16 bits, and
  fractions as shares of 255.

  Args:
    raw: `[H, W]` or `[H, W, 3]`.
    palette: colours of the values, `[256, 3]`, or None.
    bits: of a value in the file.
    file: name in messages.

  Raises:
    UserError: the mask is in colour.
  """
  if palette is not None:
    raw = palette[raw]
  if raw.ndim == 3:
    if int((raw.max(-1).astype(int) - raw.min(-1)).max()) > CHROMA:
      raise UserError(
        f'{file} is in colour, but config.data.mask_threshold compares grey values: set it to 0, '
        'and --config.data.colors and --config.data.color_distance instead.',
        'masks in colour',
      )
    return np.round(raw.astype(np.float32).mean(-1)).astype(np.uint8)
  if bits < 8:
    return (raw * (255 // (2**bits - 1))).astype(np.uint8)
  if raw.dtype.kind == 'f':
    missing = ~np.isfinite(raw)
    values = np.where(missing, 0, raw)
    grey = to_bytes(values * 255 if 0 < values.max() <= 1 else values)
    return np.where(missing, -1, grey.astype(np.int32)) if missing.any() else grey
  return raw if raw.dtype == np.uint8 else to_bytes(raw)


def whole_numbers(values: np.ndarray, decoding: Decoding, file: File) -> np.ndarray:
  """Returns floats as int32 ids; values that are none become -1 if they may be void.

  Raises:
    UserError: a value is a fraction or missing (NaN).
  """
  finite = np.where(np.isfinite(values), values, 0.5).astype(np.float64)
  whole = (finite == np.round(finite)) & (np.abs(finite) < 2**31)
  if not whole.all() and not decoding.others_are_void:
    raise UserError(
      f'{file} holds {values[~whole][0]:g}, which is no class id: export the masks with whole '
      'numbers; for the probabilities of two classes set --config.data.mask_threshold=128, and '
      'for missing data --config.data.others=void.',
      'masks of fractions',
    )
  return np.where(whole, finite, -1).astype(np.int32)
