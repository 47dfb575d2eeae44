"""Formats the result of a conversion for the terminal.

Synopsis:

    print(format_count_table(names, counts.images, counts.pixels))
    notes = list(list_notes(images, Path('OUT/masks'), counts))
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from classmix_jax.tools.annotations.annotation import AnnotatedImage, Problem
from classmix_jax.tools.annotations.paint import MaskCounts
from classmix_jax.types import VOID
from classmix_jax.utils.text import display_width, listed, pad

MAX_PROBLEMS = 10  # problems that are printed


def format_count_table(names: Sequence[str], images: np.ndarray, pixels: np.ndarray) -> str:
  """Returns a table of class id, name, number of masks and percentage of pixels.

  Args:
    names: name of class 0, 1, ...
    images: `[256]` number of masks with each id.
    pixels: `[256]` number of pixels of each id.

  Example:
    >>> counts = np.zeros(256, int)
    >>> counts[[0, 255]] = 3, 1
    >>> print(format_count_table(('road',), counts, counts))
    id  class  images   pixels
     0  road        3   75.00 %
        void        1   25.00 %
  """
  width = max(map(display_width, [*names, 'class']))
  lines = [f'id  {pad("class", width)}  images   pixels']
  for label, name in [*enumerate(names), (VOID, 'void')]:
    percentage = 100 * pixels[label] / max(pixels.sum(), 1)
    number = '' if label == VOID else label
    lines.append(f'{number:>2}  {pad(name, width)}  {images[label]:>6}  {percentage:>6.2f} %')
  return '\n'.join(lines)


def list_notes(images: Sequence[AnnotatedImage], masks: Path, counts: MaskCounts) -> Iterator[str]:
  """Yields sentences on anything unexpected that is not an error."""
  if counts.existing:
    yield f'{counts.existing} of the masks existed and were kept; --overwrite paints them again.'
  expected = {str(masks / f'{image.name}.png') for image in images}
  others = sorted({str(path) for path in masks.rglob('*.png')} - expected)
  if others:
    yield (
      f'{masks} has {len(others)} more masks, whose ids were not checked: {listed(others, 3)}.'
    )
  if counts.maskless:
    yield (
      f'{len(counts.maskless)} images have no region and got no mask: '
      f'{listed(counts.maskless, 3)}. They belong in unlabeled/images; or --background=NAME makes '
      'them all of that class.'
    )
  skipped = Counter(kind for image in images for kind in image.skipped)
  if skipped:
    first = next(image.source for image in images if image.skipped)
    kinds = ', '.join(f'{count} {kind}' for kind, count in sorted(skipped.items()))
    yield f'shapes without an area were left out: {kinds}; the first in {first}.'


def format_problems(problems: Sequence[Problem], total: int) -> str:
  """Returns the error message with the number of problems and the first ten of them.

  Args:
    problems: at least one.
    total: number of images in the export.
  """
  lines = [f'  {problem.source}: {problem.sentence}' for problem in problems[:MAX_PROBLEMS]]
  if len(problems) > MAX_PROBLEMS:
    lines.append(f'  and {len(problems) - MAX_PROBLEMS} more')
  return (
    f'{len(problems)} of {total} images could not be converted, the others are finished:\n'
    + '\n'.join(lines)
  )
