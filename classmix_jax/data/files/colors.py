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


def voc_palette(count: int) -> tuple[Color, ...]:
  """Returns the first colours of the PASCAL VOC colour map.

  The bits of the class id are dealt to red, green and blue in turn, and become the high bits of
  each: id 0bhgfedcba has red 0badg00000 ..., as in VOCdevkit's VOClabelcolormap.m.

  Example: `voc_palette(3) == ((0, 0, 0), (128, 0, 0), (0, 128, 0))`.
  """

  def channel(label: int, offset: int) -> int:
    return sum((label >> (3 * bit + offset) & 1) << (7 - bit) for bit in range(3))

  return tuple((channel(label, 0), channel(label, 1), channel(label, 2)) for label in range(count))
