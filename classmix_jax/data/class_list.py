"""Formats the classes of a data set as a table: id, name, colour and share of the pixels.

Synopsis:

    print(format_class_list(dataset.class_names, dataset.palette, check.pixels))
"""

from collections.abc import Sequence

from classmix_jax.data.files.colors import Color, hex_color
from classmix_jax.utils.text import align_columns, display_width

MAX_ROWS = 24  # classes that are listed
MAX_WIDTH = 100  # columns of the terminal
MAX_NAME = 32  # of a name, in columns
ROWS_OF_BLOCK = 8  # tables of more rows are folded


def format_class_list(names: Sequence[str], palette: Sequence[Color], pixels: Sequence[int]) -> str:
  """Returns a table of the classes, folded if it is long; the first 24 of more.

  Args:
    names: name of class 0, 1, ...
    palette: their colours.
    pixels: pixels of class 0, 1, ..., and of void.

  Example:
    >>> print(format_class_list(('road', '汽车'), ((128, 64, 128), (0, 0, 142)), (9, 0, 1)))
    id  name  colour   share
     0  road  #804080   90 %
     1  汽车  #00008e      -
        void            10 %
  """
  total = max(sum(pixels), 1)
  rows = [
    (str(label), shorten(name), hex_color(color), format_share(count, total))
    for label, (name, color, count) in enumerate(
      zip(names[:MAX_ROWS], palette, pixels, strict=False)
    )
  ]
  if len(names) > MAX_ROWS:
    rest = sum(pixels[MAX_ROWS:-1])
    rows.append(('', f'{len(names) - MAX_ROWS} more', '', format_share(rest, total)))
  if pixels[-1]:
    rows.append(('', 'void', '', format_share(pixels[-1], total)))
  return fold([('id', 'name', 'colour', 'share'), *rows])


def format_share(part: int, whole: int) -> str:
  """Returns a percentage of two digits, '-' for nothing.

  Example:
    >>> format_share(1, 3), format_share(1, 10), format_share(1, 800), format_share(0, 9)
    ('33 %', '10 %', '0.12 %', '-')
  """
  if not part:
    return '-'
  share = 100 * part / whole
  digits = 0 if share >= 9.95 else 1 if share >= 0.995 else 2
  return f'{share:.{digits}f} %'


def shorten(name: str) -> str:
  """Returns a name that fits its column."""
  while display_width(name) > MAX_NAME:
    name = name.rstrip('…')[:-1] + '…'
  return name


def fold(rows: Sequence[tuple[str, ...]]) -> str:
  """Returns an aligned table whose rows below the header stand in up to three blocks."""
  header, *body = rows
  for blocks in (3, 2, 1):
    height = -(-len(body) // blocks)
    parts = [body[start : start + height] for start in range(0, len(body), height)]
    text = join_blocks(header, parts, height)
    if blocks == 1 or (
      len(body) > ROWS_OF_BLOCK * (blocks - 1) and display_width(text.splitlines()[0]) <= MAX_WIDTH
    ):
      break
  return text


def join_blocks(
  header: tuple[str, ...], blocks: Sequence[Sequence[tuple[str, ...]]], height: int
) -> str:
  """Returns tables side by side, each with the header."""
  empty = ('',) * len(header)
  rows = [
    [cell for block in blocks for cell in ([header, *block] + [empty] * (height - len(block)))[row]]
    for row in range(height + 1)
  ]
  right = [4 * block + column for block in range(len(blocks)) for column in (0, 3)]
  return align_columns(rows, right=right)
