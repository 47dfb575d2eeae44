"""Figures: coloured labels, overlays, and grids of images with captions and legend.

Synopsis:

    rows = [[image, colorize(label, palette), colorize(prediction, palette)]]
    grid(rows, ('image', 'ground truth', 'prediction')).save('predictions.png')
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from classmix_jax.utils.fonts import LINE, find_typeface
from classmix_jax.utils.legend import SQUARE, Legend

# The first is that of PASCAL VOC.
VOID_COLORS = ((224, 224, 192), (128, 128, 128), (255, 255, 255), (255, 0, 255))
COLOR_DISTANCE = 32  # in one channel at least, between void and every class
STRIPE = 3  # pixels, width of the stripes of padding
MARGIN = 4  # pixels between the cells of a grid
MAX_SIDE = 640  # pixels of a thumbnail
VISIBLE = 96  # pixels, the least longer side of an image in a figure
CAPTION = LINE  # height in pixels of a line of the captions


def to_bytes(image: np.ndarray) -> np.ndarray:
  """Converts float 0..1 to uint8 0..255; returns uint8 unchanged."""
  if image.dtype == np.uint8:
    return image
  return np.clip(np.asarray(image, np.float32) * 255 + 0.5, 0, 255).astype(np.uint8)


def void_color(palette: Sequence[Sequence[int]]) -> tuple[int, int, int]:
  """Returns the colour of void pixels: the first of `VOID_COLORS` that no class has.

  Example:
    >>> void_color([(0, 0, 0), (128, 0, 0)]), void_color([(220, 220, 200)])
    ((224, 224, 192), (128, 128, 128))
  """

  def distance(color: Sequence[int]) -> int:
    rows = np.abs(np.asarray(palette, int).reshape(-1, 3) - color)
    return int(rows.max(axis=1).min(initial=255))

  for color in VOID_COLORS:
    if distance(color) >= COLOR_DISTANCE:
      return color
  return max(VOID_COLORS, key=distance)


def colorize(label: np.ndarray, palette: Sequence[Sequence[int]]) -> np.ndarray:
  """Maps class ids `[..., H, W]` to colours `[..., H, W, 3]` uint8, others to `void_color`."""
  table = np.array([*palette, void_color(palette)], np.uint8)
  known = (label >= 0) & (label < len(palette))
  return table[np.where(known, label, len(palette))]


def hatch(height: int, width: int) -> np.ndarray:
  """Returns the pattern of padding, `[height, width, 3]` uint8: grey diagonal stripes.

  A class and void are plain, so no colour of theirs is mistaken for it.
  """
  stripe = np.add.outer(np.arange(height), np.arange(width)) // STRIPE % 2
  return np.where(stripe[..., None], np.uint8(255), np.uint8(184)) * np.ones(3, np.uint8)


def hatch_padding(image: np.ndarray, valid: np.ndarray) -> np.ndarray:
  """Draws padding on images `[..., H, W, 3]` uint8 where `valid`, `[..., H, W]`, is False."""
  return np.where(valid[..., None], image, hatch(*valid.shape[-2:]))


def overlay(image: np.ndarray, color: np.ndarray, opacity: float = 0.5) -> np.ndarray:
  """Blends a colour map over an image, both `[H, W, 3]` uint8."""
  return to_bytes((image * (1 - opacity) + color * opacity) / 255.0)


def thumbnail(image: np.ndarray, least_side: int = 1, most_side: int = MAX_SIDE) -> np.ndarray:
  """Takes every n-th row and column of `[H, W, ...]`, for sides of at most `most_side` pixels.

  An image whose longer side is below `least_side` pixels is enlarged: each pixel n times.
  """
  longer = max(image.shape[:2])
  step, times = -(-longer // most_side), -(-least_side // longer)
  return image[::step, ::step].repeat(times, axis=0).repeat(times, axis=1)


def grid(
  rows: Sequence[Sequence[np.ndarray]],
  captions: Sequence[str],
  class_names: Sequence[str] = (),
  palette: Sequence[Sequence[int]] = (),
  *,
  void: bool = False,
  padding: bool = False,
) -> Image.Image:
  """Arranges images in rows and columns, with captions and a legend of the classes.

  Args:
    rows: `[H, W, 3]` images, uint8 or float 0..1, in cells as large as the largest image.
    captions: one per column, broken into lines that fit.
    class_names: of the legend; may be empty.
    palette: one colour per class name.
    void: whether the legend has the colour of void, too.
    padding: whether the legend has the pattern of padding, too.
  """
  cells = [[to_bytes(np.asarray(image)) for image in row] for row in rows]
  typeface, words = find_typeface(captions), [word for text in captions for word in text.split()]
  height = max(image.shape[0] for row in cells for image in row) + MARGIN
  # A caption may be broken between words, so no column is narrower than one.
  width = max(image.shape[1] for row in cells for image in row)
  width = max([width, *map(typeface.width, words)]) + MARGIN
  lines = [typeface.wrap(caption, width - 2 * MARGIN) for caption in captions]
  top = CAPTION * max(map(len, lines))
  legend = Legend(
    class_names,
    palette,
    void_color(palette) if void else None,
    hatch(SQUARE, SQUARE) if padding else None,
  )
  total = max(MARGIN + width * len(captions), legend.least_width())
  bottom = top + height * len(cells)
  canvas = Image.new('RGB', (total, bottom + legend.height(total)), 'white')
  draw = ImageDraw.Draw(canvas)
  for column, caption in enumerate(lines):
    for line, text in enumerate(caption):
      typeface.draw(draw, (MARGIN + width * column, CAPTION * line), text)
  for y, row in enumerate(cells):
    for x, image in enumerate(row):
      canvas.paste(Image.fromarray(image), (MARGIN + width * x, top + height * y))
  legend.draw(canvas, bottom, total)
  return canvas
