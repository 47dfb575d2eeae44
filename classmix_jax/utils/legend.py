"""The legend of a figure: a square, the id and the name of every class, in columns.

Synopsis:

    legend = Legend(class_names, palette)
    legend.draw(canvas, top=300, width=640)       # legend.height(640) pixels
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from classmix_jax.utils.fonts import LINE, Typeface, find_typeface

SQUARE = 10  # pixels
GAP = 4  # pixels between a square, an id and a name, and at the left of each entry
LIGHT, EDGE = 200, (150, 150, 150)  # least channel of light colours, and the edge around them
MAX_NAME = 200  # width of a name in pixels; longer ones are shortened
MAX_ROWS = 30  # entries below each other before a figure is widened
MAX_WIDTH = 1280  # pixels


class Box(NamedTuple):
  """Place of an entry in pixels, relative to the upper left of the legend."""

  left: int
  top: int
  right: int
  bottom: int


class Legend:
  """Entries that are as wide as the longest of them, arranged in columns.

  Args:
    class_names: name of class 0, 1, ...
    palette: one colour for each class.
    void: colour of void, or None for a legend without void.
    padding: pattern of padding, `[SQUARE, SQUARE, 3]` uint8, or None for a legend without it.
  """

  def __init__(
    self,
    class_names: Sequence[str],
    palette: Sequence[Sequence[int]],
    void: Sequence[int] | None = None,
    padding: np.ndarray | None = None,
  ):
    names, fills = [*class_names], [fill_square(color) for color in palette]
    ids = [str(label) for label in range(len(names))]
    if void is not None:
      names, ids, fills = [*names, 'void'], [*ids, ''], [*fills, fill_square(void)]
    if padding is not None:
      names, ids, fills = [*names, 'padding'], [*ids, ''], [*fills, padding]
    self._typeface: Typeface = find_typeface([*ids, *names])
    self._fills, self._ids = fills, ids
    self.names = [self._typeface.shorten(name, MAX_NAME) for name in names]
    widest_id, widest_name = (
      max(map(self._typeface.width, texts), default=0) for texts in (ids, self.names)
    )
    self._name_left = GAP + SQUARE + GAP + widest_id + GAP
    self._entry_width = self._name_left + widest_name + 2 * GAP

  def least_width(self) -> int:
    """Returns the width in pixels of a legend that is not higher than `MAX_ROWS` entries."""
    columns = -(-len(self.names) // MAX_ROWS)
    return min(self._entry_width * columns, max(MAX_WIDTH, self._entry_width))

  def boxes(self, width: int) -> list[Box]:
    """Returns the places of the entries in a legend of this width, column by column."""
    columns = max(1, width // self._entry_width)
    rows = max(1, -(-len(self.names) // columns))
    corners = (
      (self._entry_width * (index // rows), LINE * (index % rows))
      for index in range(len(self.names))
    )
    return [Box(left, top, left + self._entry_width, top + LINE) for left, top in corners]

  def height(self, width: int) -> int:
    """Returns the height in pixels of a legend of this width."""
    return max((box.bottom for box in self.boxes(width)), default=0)

  def draw(self, canvas: Image.Image, top: int, width: int) -> None:
    """Draws the legend over `width` pixels, from the row `top` on."""
    draw = ImageDraw.Draw(canvas)
    entries = zip(self.names, self._ids, self._fills, self.boxes(width), strict=True)
    for name, label, fill, box in entries:
      left, upper = box.left + GAP, top + box.top + (LINE - SQUARE) // 2
      canvas.paste(Image.fromarray(fill), (left, upper))
      if fill.min() > LIGHT:  # invisible on white without an edge
        corners = (left, upper, left + SQUARE - 1, upper + SQUARE - 1)
        draw.rectangle(corners, outline=EDGE)
      right = box.left + self._name_left - GAP  # of the id
      self._typeface.draw(draw, (right - self._typeface.width(label), top + box.top), label)
      self._typeface.draw(draw, (box.left + self._name_left, top + box.top), name)


def fill_square(color: Sequence[int]) -> np.ndarray:
  """Returns a plain square of a legend, `[SQUARE, SQUARE, 3]` uint8."""
  return np.full((SQUARE, SQUARE, 3), color, np.uint8)
