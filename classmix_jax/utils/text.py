"""Formats lists and plurals in sentences, and tables of the terminal.

Synopsis:

    f'the {plural("colour", colors)} {listed(colors, 4)}'
    print(align_columns([('class', 'share'), *rows], right=[1]))
"""

from collections.abc import Iterable, Sequence

import wcwidth


def plural(noun: str, items: Sequence[object]) -> str:
  """Returns the noun, with an 's' unless there is one item."""
  return noun if len(items) == 1 else f'{noun}s'


def describe_error(error: BaseException) -> str:
  """Returns the whole text of a library's error as one line, or its type if it has none.

  Of tensorstore's, the request behind it is left out.

  Example:
    >>> describe_error(OSError('no space  left')), describe_error(KeyError())
    ('no space left', 'KeyError')
  """
  text = str(error).split(' [tensorstore_spec=')[0]
  return ' '.join(text.split()) or type(error).__name__


def are(items: Sequence[object]) -> str:
  """Returns 'is' for one item, 'are' for any other number."""
  return 'is' if len(items) == 1 else 'are'


def have(items: Sequence[object]) -> str:
  """Returns 'has' for one item, 'have' for any other number."""
  return 'has' if len(items) == 1 else 'have'


def listed(items: Iterable[object], most: int) -> str:
  """Returns 'a, b, c', or 'a, b and 5 more' for more than `most` items.

  Example:
    >>> listed('abcd', 2)
    'a, b and 2 more'
  """
  texts = [str(item) for item in items]
  if len(texts) <= most:
    return ', '.join(texts)
  return f'{", ".join(texts[:most])} and {len(texts) - most} more'


def display_width(text: str) -> int:
  """Returns the width of a text in columns of the terminal; Chinese characters take two.

  Example:
    >>> display_width('sky'), display_width('天空')
    (3, 4)
  """
  return wcwidth.width(text)


def pad(text: str, width: int, *, right: bool = False) -> str:
  """Fills a text with spaces to a display width, behind it, or before it if `right`.

  Example:
    >>> pad('天空', 6) + '|', pad('9 %', 5, right=True)
    ('天空  |', '  9 %')
  """
  spaces = ' ' * (width - display_width(text))
  return spaces + text if right else text + spaces


def align_columns(rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> str:
  """Formats rows of cells as aligned columns; those in `right` are right-aligned.

  Example:
    >>> align_columns([('class', 'share'), ('road', '9 %')], right=[1])
    'class  share\\nroad     9 %'
  """
  widths = [max(map(display_width, column)) for column in zip(*rows, strict=True)]
  lines = []
  for row in rows:
    cells = [
      pad(cell, width, right=index in right)
      for index, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    lines.append('  '.join(cells).rstrip())
  return '\n'.join(lines)
