"""Converts an annotation export to masks and classes.txt, and prints what they contain.

Synopsis:

    convert('labelme', Path('JSON'), Path('DATA/labeled'), background='background')
    # DATA/labeled/masks/NAME.png and DATA/labeled/classes.txt

Existing masks are kept, so the same command resumes an interrupted conversion.
"""

from collections.abc import Iterable
from pathlib import Path

from classmix_jax.errors import UserError
from classmix_jax.tools.annotations import CONVERTERS
from classmix_jax.tools.annotations.annotation import AnnotatedImage, Problem
from classmix_jax.tools.annotations.class_file import (
  choose_colors,
  order_classes,
  write_class_file,
)
from classmix_jax.tools.annotations.class_table import list_classes, read_class_table
from classmix_jax.tools.annotations.paint import paint_masks
from classmix_jax.tools.annotations.summary import (
  format_count_table,
  format_problems,
  list_notes,
)
from classmix_jax.utils.progress import track
from classmix_jax.utils.text import plural


def convert(
  kind: str,
  source: Path,
  output: Path,
  *,
  classes: str = '',
  background: str = '',
  overwrite: bool = False,
) -> None:
  """Converts an export; see launch/convert_labels.py.

  Args:
    kind: a key of `CONVERTERS`.
    source: the export, a file or a directory.
    output: directory for masks/ and classes.txt.
    classes: file of names and colours, 'voc' or 'coco'; fixes the class ids. By default they follow
      the sorted names (colour masks: the order of their table).
    background: class of pixels outside all regions; '' makes them void. It is class 0 unless
      `classes` has it at another place.
    overwrite: replaces existing masks and classes.txt.

  Raises:
    UserError: the export is unreadable; or some images could not be converted, after all
      others are finished.

  Example: `convert('coco', Path('annotations.json'), Path('OUT'))`.
  """
  if kind not in CONVERTERS:
    raise UserError(f"--from='{kind}' is not known; choose one of {', '.join(CONVERTERS)}.")
  if not source.exists():
    raise UserError(f'--input={source} does not exist; give the export, a file or a directory.')
  masks, background = output / 'masks', ' '.join(background.split())
  if kind == 'colors' and masks.resolve().is_relative_to(source.resolve()):
    raise UserError(f'--output={output} would write among the masks of --input: choose another.')
  table = read_class_table(classes) if classes else {}
  export = CONVERTERS[kind](source, table)
  items = reject_duplicates(track(export.items, 'reading annotations', export.total))
  if not items:
    raise UserError(f'--input={source} has no image to convert; is it a {kind} export?')
  images = [item for item in items if isinstance(item, AnnotatedImage)]
  problems = [item for item in items if isinstance(item, Problem)]
  if images:
    names = order_classes(list_classes(table), background, export, images)
    table_colors = {name: color for name, color in table.items() if color}
    colors = choose_colors(names, {**export.colors, **table_colors})
    write_class_file(output / 'classes.txt', names, colors, overwrite)
    counts, unpaintable = paint_masks(images, masks, names, colors, background, overwrite)
    problems += unpaintable
    print(format_count_table(names, counts.images, counts.pixels), flush=True)
    print(
      f'{counts.written} {plural("mask", range(counts.written))} written to {masks}', flush=True
    )
    for sentence in list_notes(images, masks, counts):
      print(f'note: {sentence}', flush=True)
  if problems:
    raise UserError(format_problems(problems, export.total))


def reject_duplicates(
  items: Iterable[AnnotatedImage | Problem],
) -> list[AnnotatedImage | Problem]:
  """Replaces images whose name has occurred before by problems."""
  sources: dict[str, str] = {}
  result: list[AnnotatedImage | Problem] = []
  for item in items:
    if isinstance(item, AnnotatedImage) and item.name in sources:
      sentence = f"its mask would have the name '{item.name}' like that of {sources[item.name]}."
      item = Problem(item.source, f'{sentence} Rename one of them.')
    elif isinstance(item, AnnotatedImage):
      sources[item.name] = item.source
    result.append(item)
  return result
