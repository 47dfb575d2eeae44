"""Writes the masks of an annotation export, classes.txt, and a table of what they hold.

Synopsis:

    convert('labelme', Path('JSON'), Path('DATA/labeled'), background='background')
    # DATA/labeled/masks/NAME.png and DATA/labeled/classes.txt

An existing mask is kept, so the same command goes on where it was interrupted.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
import itertools
import os
from pathlib import Path

import numpy as np
from PIL import Image

from classmix_jax.data.files.colors import Color
from classmix_jax.data.files.decoding import Decoding, label_table
from classmix_jax.data.files.mask_io import read_mask
from classmix_jax.datasets.folder.class_file import read_classes
from classmix_jax.datasets.folder.palette import voc_palette
from classmix_jax.errors import UserError
from classmix_jax.tools.annotations import CONVERTERS
from classmix_jax.tools.annotations.annotation import Export, Picture, Problem
from classmix_jax.tools.annotations.class_table import declared_classes, is_void, read_class_table
from classmix_jax.tools.annotations.raster import rasterize
from classmix_jax.types import VOID
from classmix_jax.utils.atomic_write import write_atomically, write_png
from classmix_jax.utils.paths import inside
from classmix_jax.utils.progress import track
from classmix_jax.utils.text import listed, plural

SHOWN = 10  # problems that are told in full


def convert(
  kind: str,
  source: Path,
  output: Path,
  *,
  classes: str = '',
  background: str = '',
  overwrite: bool = False,
) -> None:
  """Converts an export; launch/convert_labels.py.

  Args:
    kind: a key of `CONVERTERS`.
    source: the export, a file or a folder.
    output: folder for masks/ and classes.txt.
    classes: file of names and colours, or 'voc'; fixes the class ids. Without,
      they are sorted by name (colour masks: in the order of their table).
    background: name of the class of pixels that no region covers; '' makes them
      void. It is class 0 unless `classes` gives it another place.
    overwrite: replace masks and classes.txt that exist.

  Raises:
    UserError: the export cannot be read; or some pictures could not be
      converted, told when all others are finished.

  Example: `convert('coco', Path('annotations.json'), Path('OUT'))`.
  """
  if kind not in CONVERTERS:
    raise UserError(f"--from='{kind}' is not known; choose one of {', '.join(CONVERTERS)}.")
  if not source.exists():
    raise UserError(f'--input={source} does not exist; give the export, a file or a folder.')
  masks, background = output / 'masks', ' '.join(background.split())
  if kind == 'colors' and masks.resolve().is_relative_to(source.resolve()):
    raise UserError(f'--output={output} would write among the masks of --input: choose another.')
  table = read_class_table(classes) if classes else {}
  export = CONVERTERS[kind](source, table)
  items = distinct(track(export.items, 'reading annotations', export.total, 'pictures'))
  if not items:
    raise UserError(f'--input={source} holds no picture to convert; is it a {kind} export?')
  pictures = [item for item in items if isinstance(item, Picture)]
  problems = [item for item in items if isinstance(item, Problem)]
  if pictures:
    names = class_order(declared_classes(table), background, export, pictures)
    given = {name: color for name, color in table.items() if color}
    colors = class_colors(names, {**export.colors, **given})
    write_classes(output / 'classes.txt', names, colors, overwrite)
    problems += paint_all(pictures, masks, names, colors, background, overwrite)
  report(problems, export.total)


def distinct(items: Iterable[Picture | Problem]) -> list[Picture | Problem]:
  """Turns pictures whose name came before into problems."""
  found: dict[str, str] = {}
  kept: list[Picture | Problem] = []
  for item in items:
    if isinstance(item, Picture) and item.name in found:
      sentence = f"its mask would have the name '{item.name}' like that of {found[item.name]}."
      item = Problem(item.source, f'{sentence} Rename one of them.')
    elif isinstance(item, Picture):
      found[item.name] = item.source
    kept.append(item)
  return kept


# ------------------------------------------------------------------------ classes


def class_order(
  fixed: Sequence[str],
  background: str,
  export: Export,
  pictures: Sequence[Picture],
) -> tuple[str, ...]:
  """Returns the class names in the order of their ids.

  Raises:
    UserError: they are fewer than two or too many for 8 bits, or cannot stand in
      a class file.

  Example: `class_order((), 'ground', export, pictures) == ('ground', 'car', 'road')`.
  """
  if is_void(background):
    raise UserError(f'--background={background} is no class; without the option it is void.')
  used = {name for picture in pictures for name, _ in picture.shapes}
  names = list(fixed) or [*export.class_names, *sorted(used - set(export.class_names))]
  names = [name for name in names if not is_void(name)]
  if background and not (fixed and background in fixed):
    names = [background, *(name for name in names if name != background)]
  if not 2 <= len(names) < VOID:
    raise UserError(
      f'there are {len(names)} classes{": " * bool(names)}{listed(names, 3)}; a data set has '
      f'2 to {VOID - 1}. With one class, name what lies around it: --background=NAME.'
    )
  for name in names:
    words = name.split()
    if name.startswith('#') or (len(words) > 3 and all(map(str.isdecimal, words[-3:]))):
      raise UserError(
        f"the class name '{name}' would read as a comment or a colour in classes.txt: rename it "
        'in the export.'
      )
  return tuple(names)


def class_colors(
  names: Sequence[str],
  colors: Mapping[str, Color | None],
) -> tuple[Color | None, ...]:
  """Returns the colour of each class, None where it has none of its own.

  Example:
    >>> class_colors(('a', 'b', 'c'), {'a': (1, 2, 3), 'c': (1, 2, 3)})
    ((1, 2, 3), None, None)
  """
  found: list[Color | None] = []
  for name in names:
    color = colors.get(name)
    found.append(None if color in found else color)
  return tuple(found)


def write_classes(
  path: Path,
  names: Sequence[str],
  colors: Sequence[Color | None],
  overwrite: bool,
) -> None:
  """Writes the class file; keeps one that holds the same names.

  Raises:
    UserError: there is one that holds others.
  """
  if path.exists() and not overwrite:
    present, _ = read_classes(path)
    if present != tuple(names):
      raise UserError(
        f'{path} holds other classes ({listed(present, 4)}) than this export '
        f'({listed(names, 4)}). Set --classes={path} to keep their ids, choose another --output, '
        'or --overwrite all.'
      )
    return
  lines = [
    f'{name} {" ".join(map(str, color))}' if color else name
    for name, color in zip(names, colors, strict=True)
  ]
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, '\n'.join(lines) + '\n')
  except OSError as error:
    raise UserError(f'{path} cannot be written ({error.strerror}): check --output.') from None


# -------------------------------------------------------------------------- masks


def paint_all(
  pictures: Sequence[Picture],
  masks: Path,
  names: Sequence[str],
  colors: Sequence[Color | None],
  background: str,
  overwrite: bool,
) -> list[Problem]:
  """Writes the masks, prints what they hold, and returns what could not be painted."""
  ids = {name: label for label, name in enumerate(names)}
  blank = ids.get(background, VOID)
  palette = mask_palette(colors)
  decoding = Decoding(tuple(names), label_table(len(names)))
  images, pixels = np.zeros(256, np.int64), np.zeros(256, np.int64)
  problems, bare, kept = [], [], 0
  for picture in track(pictures, 'painting masks', len(pictures), 'masks'):
    try:
      path = inside(masks, f'{picture.name}.png')
      if os.path.exists(path) and not overwrite:
        mask = read_mask(path, decoding)
        kept += 1
      elif picture.shapes or background:
        mask = rasterize(picture.size, class_ids(picture, ids), blank)
        save_mask(mask, palette, path)
      else:
        bare.append(picture.name)
        continue
    except UserError as error:
      problems.append(Problem(picture.source, str(error)))
      continue
    present = np.bincount(mask.ravel(), minlength=256)
    images, pixels = images + (present > 0), pixels + present
  print(count_table(names, images, pixels), flush=True)
  written = len(pictures) - len(bare) - len(problems) - kept
  print(f'{written} {plural("mask", range(written))} written to {masks}', flush=True)
  for sentence in remarks(pictures, masks, bare, kept):
    print(f'note: {sentence}', flush=True)
  return problems


def class_ids(picture: Picture, ids: Mapping[str, int]) -> list[tuple[int, object]]:
  """Returns the shapes with class ids; UserError for a class that --classes does not name."""
  unknown = sorted({name for name, _ in picture.shapes if name not in ids and not is_void(name)})
  if unknown:
    raise UserError(
      f"its shapes name '{listed(unknown, 4)}', which the file of --classes does not hold: add a "
      'line to it.'
    )
  return [(ids.get(name, VOID), region) for name, region in picture.shapes]


def mask_palette(colors: Sequence[Color | None]) -> list[int]:
  """Returns the 768 numbers of a palette: the classes' colours, and void in a grey.

  No two classes share a colour, and void has none of theirs (white if it can):
  a reader may then go by index or by colour.

  Example: `mask_palette((None, (128, 0, 0)))[:6] == [0, 0, 0, 128, 0, 0]`.
  """
  own = set(colors)
  spare = (color for color in voc_palette(2 * VOID) if color not in own)
  shown = [color or next(spare) for color in colors]
  grey = next(value for value in range(255, -1, -1) if (value,) * 3 not in shown)
  table = shown + [(0, 0, 0)] * (VOID - len(shown)) + [(grey,) * 3]
  return list(itertools.chain.from_iterable(table))


def save_mask(mask: np.ndarray, palette: Sequence[int], path: Path) -> None:
  """Writes `[H, W]` uint8 as 8-bit palette PNG, so that a crash leaves no half file.

  Raises:
    UserError: the file cannot be written.
  """
  image = Image.fromarray(mask)
  image.putpalette(palette)
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, image)
  except OSError as error:
    raise UserError(f'{path} cannot be written ({error.strerror}): check --output.') from None


# ------------------------------------------------------------------------ printing


def count_table(names: Sequence[str], images: np.ndarray, pixels: np.ndarray) -> str:
  """Returns the lines class id, name, images, share of pixels.

  Args:
    names: name of class 0, 1, ...
    images: `[256]` in how many masks each id occurs.
    pixels: `[256]` in how many pixels.

  Example:
    >>> counts = np.zeros(256, int)
    >>> counts[[0, 255]] = 3, 1
    >>> print(count_table(('road',), counts, counts))
    id  class  images   pixels
     0  road        3   75.00 %
        void        1   25.00 %
  """
  width = max(map(len, [*names, 'class']))
  lines = [f'id  {"class":{width}}  images   pixels']
  for label, name in [*enumerate(names), (VOID, 'void')]:
    share = 100 * pixels[label] / max(pixels.sum(), 1)
    number = '' if label == VOID else label
    lines.append(f'{number:>2}  {name:{width}}  {images[label]:>6}  {share:>6.2f} %')
  return '\n'.join(lines)


def remarks(
  pictures: Sequence[Picture],
  masks: Path,
  bare: Sequence[str],
  kept: int,
) -> Iterator[str]:
  """Yields what the user should know although nothing is wrong."""
  if kept:
    yield f'{kept} of the masks existed and were kept; --overwrite paints them again.'
  own = {str(masks / f'{picture.name}.png') for picture in pictures}
  strange = sorted({str(path) for path in masks.rglob('*.png')} - own)
  if strange:
    yield (
      f'{masks} holds {len(strange)} more, with the ids that they were written with: '
      f'{listed(strange, 3)}.'
    )
  if bare:
    yield (
      f'{len(bare)} pictures have no region and got no mask: {listed(bare, 3)}. Their images '
      'belong in unlabeled/images; or --background=NAME makes them all of that class.'
    )
  skipped = Counter(kind for picture in pictures for kind in picture.skipped)
  if skipped:
    first = next(picture.source for picture in pictures if picture.skipped)
    kinds = ', '.join(f'{count} {kind}' for kind, count in sorted(skipped.items()))
    yield f'shapes without an area were left out: {kinds}; the first in {first}.'


def report(problems: Sequence[Problem], total: int) -> None:
  """Raises a UserError that lists the problems; returns where there are none."""
  if not problems:
    return
  lines = [f'  {problem.source}: {problem.sentence}' for problem in problems[:SHOWN]]
  if len(problems) > SHOWN:
    lines.append(f'  and {len(problems) - SHOWN} more')
  raise UserError(
    f'{len(problems)} of {total} pictures could not be converted, the others are finished:\n'
    + '\n'.join(lines)
  )
