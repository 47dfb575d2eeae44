"""Figures: coloured labels, overlays, and grids of images with captions and legend.

Synopsis:

    rows = [[image, colorize(label, palette), colorize(prediction, palette)]]
    grid(rows, ('image', 'truth', 'prediction')).save('predictions.png')
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

VOID_COLOR = (0, 0, 0)
MARGIN = 4  # pixels between the cells of a grid
MAX_WIDTH = 640  # pixels of a thumbnail
CAPTION = 14  # height in pixels of the captions and of a line of the legend
ENTRY = 90  # width in pixels of an entry of the legend


def to_bytes(image: np.ndarray) -> np.ndarray:
  """Converts float 0..1 to uint8 0..255; returns uint8 unchanged."""
  if image.dtype == np.uint8:
    return image
  return np.clip(np.asarray(image, np.float32) * 255 + 0.5, 0, 255).astype(np.uint8)


def colorize(label: np.ndarray, palette: Sequence[Sequence[int]]) -> np.ndarray:
  """Maps class ids `[..., H, W]` to colours `[..., H, W, 3]` uint8; void becomes black."""
  table = np.zeros((256, 3), np.uint8)
  table[:] = VOID_COLOR
  table[: len(palette)] = palette
  return table[np.asarray(label).astype(np.uint8)]


def overlay(image: np.ndarray, color: np.ndarray, opacity: float = 0.5) -> np.ndarray:
  """Blends a colour map over an image, both `[H, W, 3]` uint8."""
  return to_bytes((image * (1 - opacity) + color * opacity) / 255.0)


def thumbnail(image: np.ndarray) -> np.ndarray:
  """Takes every n-th row and column of `[H, W, ...]`, for a width of at most `MAX_WIDTH`."""
  step = -(-image.shape[1] // MAX_WIDTH)
  return image[::step, ::step]


def legend_height(class_names: Sequence[str], width: int) -> int:
  """Returns the height in pixels of the legend below a grid of this width."""
  columns = max(1, width // ENTRY)
  return CAPTION * -(-len(class_names) // columns)


def draw_legend(
  draw: ImageDraw.ImageDraw,
  top: int,
  width: int,
  class_names: Sequence[str],
  palette: Sequence[Sequence[int]],
) -> None:
  """Draws one coloured square and name per class, in rows from `top` on."""
  columns = max(1, width // ENTRY)
  for index, (name, color) in enumerate(zip(class_names, palette, strict=True)):
    left = MARGIN + ENTRY * (index % columns)
    upper = top + CAPTION * (index // columns)
    draw.rectangle((left, upper + 2, left + 9, upper + 11), fill=tuple(color))
    draw.text((left + 13, upper), name[:12], fill='black')


def grid(
  rows: Sequence[Sequence[np.ndarray]],
  captions: Sequence[str],
  class_names: Sequence[str] = (),
  palette: Sequence[Sequence[int]] = (),
) -> Image.Image:
  """Arranges images in rows and columns, with captions and a legend of the classes.

  Args:
    rows: `[H, W, 3]` images, uint8 or float 0..1, in cells as large as the largest image.
    captions: one per column.
    class_names: of the legend; may be empty.
    palette: one colour per class name.
  """
  cells = [[to_bytes(np.asarray(image)) for image in row] for row in rows]
  height = max(image.shape[0] for row in cells for image in row) + MARGIN
  width = max(image.shape[1] for row in cells for image in row) + MARGIN
  total = MARGIN + width * len(captions)
  bottom = CAPTION + height * len(cells)
  canvas = Image.new('RGB', (total, bottom + legend_height(class_names, total)), 'white')
  draw = ImageDraw.Draw(canvas)
  for column, caption in enumerate(captions):
    draw.text((MARGIN + width * column, 1), caption, fill='black')
  for y, row in enumerate(cells):
    for x, image in enumerate(row):
      canvas.paste(Image.fromarray(image), (MARGIN + width * x, CAPTION + height * y))
  draw_legend(draw, bottom, total, class_names, palette)
  return canvas
