"""Colours: as triples, as one integer each, and as hex text."""

from collections.abc import Sequence

import numpy as np

Color = tuple[int, int, int]  # (red, green, blue), 0..255


def pack_colors(rgb: np.ndarray) -> np.ndarray:
  """Packs `[..., 3]` uint8 colours into `[...]` int32, 0xRRGGBB; keeps the order of triples."""
  red, green, blue = np.moveaxis(rgb.astype(np.int32), -1, 0)
  return red << 16 | green << 8 | blue


def pack_color(color: Color) -> int:
  """Packs one colour into an integer.

  Example: `hex(pack_color((1, 2, 3))) == '0x10203'`.
  """
  red, green, blue = color
  return red << 16 | green << 8 | blue


def unpack_color(packed: int) -> Color:
  """Returns the colour of a packed integer.

  Example: `unpack_color(0x10203) == (1, 2, 3)`.
  """
  return packed >> 16, packed >> 8 & 255, packed & 255


def hex_color(color: Sequence[int]) -> str:
  """Formats a colour as hex text.

  Example: `hex_color((128, 64, 255)) == '#8040ff'`.
  """
  return '#{:02x}{:02x}{:02x}'.format(*color)
