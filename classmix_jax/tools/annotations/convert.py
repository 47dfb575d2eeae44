"""Converts an annotation export to masks and classes.txt, and prints what they contain.

Synopsis:

    convert('labelme', Path('JSON'), Path('DATA'), background='background')
    # DATA/masks/NAME.png and DATA/classes.txt

Masks with the right pixels are kept, so the same command resumes an interrupted conversion.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from classmix_jax.data.files.colors import Color
from classmix_jax.errors import UserError
from classmix_jax.tools.annotations import CONVERTERS
from classmix_jax.tools.annotations.annotation import AnnotatedImage, Export, Options, Problem
from classmix_jax.tools.annotations.class_file import (
  choose_background,
  choose_colors,
  order_classes,
  rename_background,
  write_class_file,
)
from classmix_jax.tools.annotations.class_table import list_classes, read_class_table
from classmix_jax.tools.annotations.detect import describe_guess, detect_kind, read_sample
from classmix_jax.tools.annotations.mask_files import find_masks, find_others
from classmix_jax.tools.annotations.paint import paint_masks
from classmix_jax.tools.annotations.summary import (
  describe_additions,
  describe_background,
  describe_unmatched,
  format_count_table,
  format_problems,
  list_notes,
)
from classmix_jax.utils.progress import track
from classmix_jax.utils.text import plural

MAX_LINE_WIDTH = 1000  # pixels


def convert(
  kind: str,
  source: Path,
  output: Path,
  *,
  classes: str = '',
  background: str = '',
  line_width: int = 0,
  images: Path | None = None,
  attribute: str = '',
  overwrite: bool = False,
) -> None:
  """Converts an export; see launch/convert_labels.py.

  Args:
    kind: a key of `CONVERTERS`; '' detects it.
    source: the export, a file or a directory.
    output: directory for masks/ and classes.txt.
    classes: file of names and colours, 'voc' or 'coco'; fixes the class ids. By default they follow
      the sorted names (colour masks: the order of their table).
    background: class of pixels outside all regions; '' makes them void, unless a class has
      labelme's name for the background. It is class 0 unless `classes` has it at another place.
    line_width: width of lines and points in pixels; 0 makes them void.
    images: directory of the images, for their names and for sizes that the export lacks.
    attribute: attribute of the regions with the class (VIA).
    overwrite: replaces edited masks and classes.txt.

  Raises:
    UserError: the export is unreadable; or some images could not be converted, after all
      others are finished.

  Example: `convert('coco', Path('annotations.json'), Path('OUT'))`.
  """
  kind = choose_kind(kind, source)
  if kind == 'colors' and (output / 'masks').resolve().is_relative_to(source.resolve()):
    raise UserError(f'--output={output} would write among the masks of --input: choose another.')
  if not 0 <= line_width <= MAX_LINE_WIDTH:
    raise UserError(f'--line-width={line_width} is not between 0 and {MAX_LINE_WIDTH} pixels.')
  table = read_class_table(classes) if classes else {}
  try:
    export = CONVERTERS[kind].read(source, Options(table, images, attribute))
    items = reject_duplicates(track(export.items, 'reading annotations', export.total))
    if not items:
      raise UserError(f'--input={source} has no image to convert; is it a {kind} export?')
  except UserError as error:
    guess = describe_guess(read_sample(source), kind, CONVERTERS)
    raise UserError(f'{error} {guess}'.rstrip()) from None
  annotated = [item for item in items if isinstance(item, AnnotatedImage)]
  problems = [item for item in items if isinstance(item, Problem)]
  stale: list[str] = []
  if annotated:
    try:
      failures, stale = write_outputs(
        annotated, export, output, table, background, line_width, overwrite, images
      )
    except UserError as error:  # classes may be missing because their images failed
      text = format_problems(problems, export.strays, export.total, is_written=False)
      raise UserError(f'{error}\n{text}'.rstrip()) from None
    problems += failures
  stale += list_masks(output / 'masks', [problem.name for problem in problems if problem.name])
  if problems or export.strays or stale:
    guess = '' if annotated else describe_guess(read_sample(source), kind, CONVERTERS)
    text = format_problems(problems, export.strays, export.total, stale)
    raise UserError(f'{text}\n  {guess}'.rstrip())


def choose_kind(kind: str, source: Path) -> str:
  """Returns the key of the converter: `kind`, or the detected one if it is ''.

  Raises:
    UserError: there is no such converter or no such source, or the format is not detected.
  """
  names = ', '.join(CONVERTERS)
  if kind and kind not in CONVERTERS:
    raise UserError(f"--from='{kind}' is not known; choose one of {names}.")
  if not source.exists():
    raise UserError(f'--input={source} does not exist; give the export, a file or a directory.')
  if kind:
    return kind
  sample = read_sample(source)
  kind = detect_kind(sample, CONVERTERS)
  if not kind:
    guess = describe_guess(sample, '', CONVERTERS)
    raise UserError(
      f'--input={source} is of no known format: {names}. {guess or "Set --from to one of them."}'
    )
  print(f'{source} is read as {CONVERTERS[kind].title} (--from={kind})', flush=True)
  return kind


def write_outputs(
  images: Sequence[AnnotatedImage],
  export: Export,
  output: Path,
  table: Mapping[str, Color | None],
  background: str,
  line_width: int,
  overwrite: bool,
  directory: Path | None,
) -> tuple[list[Problem], list[str]]:
  """Writes classes.txt and the masks, and prints a summary.

  Returns:
    The problems of painting, and the masks of an earlier conversion of images that get none now.

  Raises:
    UserError: classes.txt exists with other names, or cannot be written.
  """
  used = {shape.name for image in images for shape in image.shapes}
  fixed = list_classes(table)
  background = choose_background(' '.join(background.split()), fixed, used)
  images = [rename_shapes(image, background) for image in images]
  names = order_classes(fixed, background, export, images)
  table_colors = {rename_background(name, background): color for name, color in table.items()}
  known_colors = {name: color for name, color in table_colors.items() if color}
  colors = choose_colors(names, {**export.colors, **known_colors})
  masks = output / 'masks'
  others = find_others(masks, (image.name for image in images))
  write_class_file(output / 'classes.txt', names, colors, overwrite, others)
  counts, problems = paint_masks(images, masks, names, colors, background, line_width, overwrite)
  print(format_count_table(names, counts.images, counts.pixels), flush=True)
  maskless = [*counts.outcomes.get('maskless', ()), *counts.outcomes.get('unplaced', ())]
  stale, edited = find_masks(masks, maskless)
  written = [*counts.outcomes.get('written', ()), *counts.outcomes.get('changed', ())]
  print(f'{len(written)} {plural("mask", written)} written to {masks}', flush=True)
  notes = [
    *export.notes,
    *describe_background(background, used, names, counts),
    *list_notes(images, masks, counts, line_width),
    *describe_additions(edited),
    *describe_unmatched([image.name for image in images], directory),
  ]
  for sentence in notes:
    print(f'note: {sentence}', flush=True)
  return problems, [str(masks / f'{name}.png') for name in stale]


def list_masks(masks: Path, names: Sequence[str]) -> list[str]:
  """Returns the paths of the masks of these names that exist."""
  paths = [masks / f'{name}.png' for name in names if '..' not in Path(name).parts]
  return [str(path) for path in paths if path.is_file()]


def rename_shapes(image: AnnotatedImage, background: str) -> AnnotatedImage:
  """Returns the image with one name for the background in its shapes."""
  shapes = [
    shape._replace(name=rename_background(shape.name, background)) for shape in image.shapes
  ]
  return image._replace(shapes=shapes)


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
