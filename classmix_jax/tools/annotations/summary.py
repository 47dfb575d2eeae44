"""Formats the result of a conversion for the terminal.

Synopsis:

    print(format_count_table(names, counts.images, counts.pixels))
    notes = list(list_notes(images, Path('OUT/masks'), counts, line_width=0))
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from classmix_jax.data.class_files.words import is_background
from classmix_jax.data.files.find_images import find_images
from classmix_jax.tools.annotations.annotation import AnnotatedImage, Problem
from classmix_jax.tools.annotations.mask_files import find_others
from classmix_jax.tools.annotations.paint import VOID_WIDTH, MaskCounts, is_certain
from classmix_jax.tools.annotations.raster import Line
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


def describe_background(
  background: str, used: Collection[str], names: Sequence[str], counts: MaskCounts
) -> Iterator[str]:
  """Yields sentences about classes with a name of the background.

  Args:
    background: class of the pixels outside all regions, or ''.
    used: the names of shapes, as in the export.
    names: name of class 0, 1, ...
    counts: see `MaskCounts`.
  """
  others = sorted(name for name in used if is_background(name) and name != background)
  if background and others:
    yield f"shapes of '{listed(others, 3)}' are of the class '{background}'."
  elif background in used and is_background(background):
    yield f"'{background}' is the class of shapes of this name and of pixels outside all shapes."
  for name in names:
    if not background and is_background(name) and counts.pixels[VOID]:
      yield (
        f"pixels outside all shapes are void; --background={name} makes them '{name}' like its "
        'shapes.'
      )


def list_notes(
  images: Sequence[AnnotatedImage], masks: Path, counts: MaskCounts, line_width: int
) -> Iterator[str]:
  """Yields sentences on anything unexpected that is not an error."""
  yield from describe_existing(counts, masks)
  if others := find_others(masks, (image.name for image in images)):
    yield (
      f'{masks} has {len(others)} more masks, whose ids were not checked: {listed(others, 3)}.'
    )
  blank = counts.outcomes.get('blank', ())
  if blank:
    yield (
      f'{len(blank)} images have no shape, so that their masks are background everywhere: '
      f'{listed(blank, 3)}. Remove these masks if the images were not annotated.'
    )
  maskless = counts.outcomes.get('maskless', ())
  unannotated = {image.name for image in images if not image.is_annotated}
  without = [name for name in maskless if name in unannotated]
  empty = [name for name in maskless if name not in unannotated]
  if without:
    yield (
      f'{len(without)} images are not annotated and got no mask: {listed(without, 3)}. Training '
      'uses them as unlabelled images.'
    )
  if unplaced := counts.outcomes.get('unplaced', ()):
    yield (
      f'{len(unplaced)} images have objects without a place and got no mask, because these would '
      f'be background: {listed(unplaced, 3)}. Annotate the objects again, or remove them.'
    )
  if empty:
    yield (
      f'{len(empty)} images have no region and got no mask: {listed(empty, 3)}. Training uses them '
      'as unlabelled images; or --background=NAME makes them all of that class.'
    )
  yield from describe_shapes(images, line_width, counts.invisible)


def describe_existing(counts: MaskCounts, masks: Path) -> Iterator[str]:
  """Yields sentences on the masks that existed before."""
  same, changed, edited = (counts.outcomes.get(key, ()) for key in ('same', 'changed', 'edited'))
  if same:
    yield f'{count_masks(same, "existed and is", "existed and are")} up to date.'
  if changed:
    yield (
      f'{count_masks(changed, "was", "were")} painted again, because the annotations or the '
      f'options changed: {listed(changed, 3)}.'
    )
  if edited:
    yield (
      f'{count_masks(edited, "existed and was", "existed and were")} kept, although the '
      f'annotations differ: {listed(edited, 3)}. They were edited, or not written by this program; '
      '--overwrite replaces all masks.'
    )


def describe_additions(edited: Sequence[str]) -> Iterator[str]:
  """Yields a sentence on masks that this program did not write, of images that get none."""
  if edited:
    yield (
      f'{count_masks(edited, "was", "were")} kept, although this export has no region there: '
      f'{listed(edited, 3)}. They were edited, or not written by this program.'
    )


def describe_unmatched(names: Sequence[str], directory: Path | None) -> Iterator[str]:
  """Yields a sentence on names that no image has; `directory` is --images, None without it."""
  present = find_images(directory) if directory else {}
  missing = [name for name in names if name not in present]
  if directory and missing:
    yield (
      f'{directory} has no image for {len(missing)} of {len(names)} names: {listed(missing, 3)}. '
      'Training needs an image of the same name for each mask.'
    )


def count_masks(names: Sequence[str], singular: str, plural: str) -> str:
  """Returns the number of masks with a verb.

  Example:
    >>> count_masks(['a'], 'was', 'were'), count_masks(['a', 'b'], 'was', 'were')
    ('1 mask was', '2 masks were')
  """
  return f'1 mask {singular}' if len(names) == 1 else f'{len(names)} masks {plural}'


def describe_shapes(
  images: Sequence[AnnotatedImage], line_width: int, invisible: Sequence[str]
) -> Iterator[str]:
  """Yields sentences on the shapes that are void or left out; `invisible` as in MaskCounts."""
  uncertain = [
    (shape.kind, isinstance(shape.region, Line) and bool(shape.name), image.source)
    for image in images
    for shape in image.shapes
    if not is_certain(shape, line_width)
  ]
  lines = [(kind, source) for kind, is_line, source in uncertain if is_line]
  others = [(kind, source) for kind, is_line, source in uncertain if not is_line]
  skipped = [(kind, image.source) for image in images for kind in image.skipped]
  unplaced = [(kind, image.source) for image in images for kind in image.unplaced]
  if lines:
    yield (
      f'shapes without an area are void, {VOID_WIDTH} pixels wide: {_count_kinds(lines)}. '
      '--line-width=N paints them N pixels wide, of their class.'
    )
  if others:
    yield f'shapes without a certain outline or class are void: {_count_kinds(others)}.'
  if skipped:
    yield f'annotations of whole images were left out: {_count_kinds(skipped)}.'
  if unplaced:
    yield f'objects without a place in the image were left out: {_count_kinds(unplaced)}.'
  if invisible:
    yield (
      f'{len(invisible)} shapes have no pixel in their images, because they lie outside or are '
      f'empty; the first in {invisible[0]}.'
    )


def _count_kinds(kinds: Sequence[tuple[str, str]]) -> str:
  """Returns the number of each kind and the source of the first."""
  counts = Counter(kind for kind, _ in kinds)
  texts = [f'{count} {kind}' for kind, count in sorted(counts.items())]
  return f'{", ".join(texts)}; the first in {kinds[0][1]}'


def format_problems(
  problems: Sequence[Problem],
  strays: Sequence[Problem],
  total: int,
  stale: Sequence[str] = (),
  is_written: bool = True,
) -> str:
  """Returns the error message with the number of problems and the first ten of them.

  Args:
    problems: of images.
    strays: of annotations that belong to no image.
    total: number of images in the export.
    stale: masks that exist, of images that get none now.
    is_written: whether the masks of the other images are written.
  """
  lines = []
  if problems:
    rest = ', the others are finished' if is_written and len(problems) < total else ''
    lines.append(f'{len(problems)} of {total} images could not be converted{rest}:')
    lines += _list_problems(problems)
  if strays:
    lines.append('Annotations belong to no image:')
    lines += _list_problems(strays)
  if stale:
    causes = 'is outdated: its image gets', 'are outdated: their images get'
    lines.append(
      f'{count_masks(stale, *causes)} none now, but training would still use '
      f'{listed(stale, 3)}. Correct the annotations and convert again, or remove what is outdated.'
    )
  return '\n'.join(lines)


def _list_problems(problems: Sequence[Problem]) -> list[str]:
  lines = [f'  {problem.source}: {problem.sentence}' for problem in problems[:MAX_PROBLEMS]]
  rest = len(problems) - MAX_PROBLEMS
  return lines + ([f'  and {rest} more'] if rest > 0 else [])
