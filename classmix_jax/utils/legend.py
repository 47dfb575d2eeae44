"""The legend of a figure: a square, the id and the name of every class, in columns.

Synopsis:

    legend = Legend(class_names, palette)
    legend.draw(draw, top=300, width=640)         # legend.height(640) pixels
"""

from collections.abc import Sequence
from typing import NamedTuple

from PIL import ImageDraw

from classmix_jax.utils.fonts import LINE, Typeface, find_typeface

SQUARE = 10  # pixels
GAP = 4  # pixels between a square and its text, and at the left of each entry
MAX_TEXT = 220  # width of an entry's text in pixels; longer names are shortened
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
  """

  def __init__(
    self,
    class_names: Sequence[str],
    palette: Sequence[Sequence[int]],
    void: Sequence[int] | None = None,
  ):
    texts = [f'{label} {name}' for label, name in enumerate(class_names)]
    colors = [tuple(color) for color in palette]
    if void is not None:
      texts, colors = [*texts, 'void'], [*colors, tuple(void)]
    self._typeface: Typeface = find_typeface(texts)
    self._colors = colors
    self.texts = [self._typeface.shorten(text, MAX_TEXT) for text in texts]
    widest = max(map(self._typeface.width, self.texts), default=0)
    self._entry_width = GAP + SQUARE + GAP + widest + 2 * GAP

  def least_width(self) -> int:
    """Returns the width in pixels of a legend that is not higher than `MAX_ROWS` entries."""
    columns = -(-len(self.texts) // MAX_ROWS)
    return min(self._entry_width * columns, max(MAX_WIDTH, self._entry_width))

  def boxes(self, width: int) -> list[Box]:
    """Returns the places of the entries in a legend of this width, column by column."""
    columns = max(1, width // self._entry_width)
    rows = max(1, -(-len(self.texts) // columns))
    corners = (
      (self._entry_width * (index // rows), LINE * (index % rows))
      for index in range(len(self.texts))
    )
    return [Box(left, top, left + self._entry_width, top + LINE) for left, top in corners]

  def height(self, width: int) -> int:
    """Returns the height in pixels of a legend of this width."""
    return max((box.bottom for box in self.boxes(width)), default=0)

  def draw(self, draw: ImageDraw.ImageDraw, top: int, width: int) -> None:
    """Draws the legend over `width` pixels, from the row `top` on."""
    for text, color, box in zip(self.texts, self._colors, self.boxes(width), strict=True):
      left, upper = box.left + GAP, top + box.top + (LINE - SQUARE) // 2
      corners = (left, upper, left + SQUARE - 1, upper + SQUARE - 1)
      draw.rectangle(corners, fill=color, outline=_outline(color))
      self._typeface.draw(draw, (left + SQUARE + GAP, top + box.top), text)


def _outline(color: Sequence[int]) -> tuple[int, ...]:
  """Returns grey for the edge of a light square, which is invisible on white, else its colour."""
  return (150, 150, 150) if min(color) > 200 else tuple(color)
