"""Reads colour masks: images whose colours are classes, with a table of the colours.

Synopsis:

    export = read(Path('SegmentationClass'), Options({'road': (128, 64, 128), 'void': (0, 0, 0)}))
    image = next(export.items)       # colours do not overlap
"""

from collections.abc import Mapping
import functools
from pathlib import Path

import numpy as np

from classmix_jax.data.class_files.discovery import find_class_file
from classmix_jax.data.files.colors import Color, pack_color, unpack_color
from classmix_jax.data.files.find_images import find_images
from classmix_jax.data.files.image_io import read_header
from classmix_jax.errors import UserError
from classmix_jax.tools.annotations.annotation import (
  AnnotatedImage,
  Export,
  Options,
  Shape,
  attempt,
)
from classmix_jax.tools.annotations.class_table import UNANNOTATED, list_classes, read_class_table
from classmix_jax.tools.annotations.detect import Sample
from classmix_jax.tools.annotations.raster import ColorRegion, read_packed_colors
from classmix_jax.utils.text import listed, plural

TABLES = ('labelmap.txt', 'classes.txt')


def matches(sample: Sample) -> bool:
  """Returns whether a sample is a directory with a table of colours or masks of VOC's layout."""
  return any((sample.path / name).exists() for name in (*TABLES, 'SegmentationClass'))


def read(path: Path, options: Options) -> Export:
  """Reads a directory of colour masks; the classes are in the order of the table.

  Args:
    path: a directory of masks, possibly nested. If it has a directory SegmentationClass,
      as exports of CVAT and VOC do, the masks are read from there.
    options: `classes` is the table of colours; if empty, it is labelmap.txt or classes.txt in
      `path`.

  Raises:
    UserError: there is no table, or a class in it has no colour.

  Example: `read(Path('DIR'), Options({'a': (0, 0, 0), 'b': (9, 9, 9)})).class_names == ('a', 'b')`.
  """
  table = options.classes or find_table(path)
  colorless = [name for name, color in table.items() if color is None]
  if colorless:
    raise UserError(
      f"the table of colours has none for '{colorless[0]}': write it behind the name, as in "
      "'road 128 64 128'."
    )
  directory = path / 'SegmentationClass' if (path / 'SegmentationClass').is_dir() else path
  files = find_images(directory) if directory.is_dir() else {directory.stem: directory}
  names = {color: name for name, color in table.items() if color is not None}
  items = (
    attempt(
      str(file), functools.partial(parse_image, name, file, names), functools.partial(str, name)
    )
    for name, file in files.items()
  )
  return Export(list_classes(table), table, len(files), items)


def find_table(path: Path) -> dict[str, Color | None]:
  """Reads the table of colours in a directory; raises UserError if there is none."""
  file = find_class_file(path, least=1, option='--classes')
  if file is not None:
    return read_class_table(str(file))
  raise UserError(
    f'{path} has no {", ".join(TABLES)} or the like: set --classes to a file that gives every '
    "class its colour, or to 'voc'."
  )


def parse_image(name: str, file: Path, names: Mapping[Color, str]) -> AnnotatedImage:
  """Reads one mask with a region per colour; raises UserError if a colour is not in the table."""
  if lossy := read_header(file).lossy:
    raise UserError(f'it is {lossy}, whose compression changes colours: export the masks as PNG.')
  packed = read_packed_colors(file)
  present = set(np.unique(packed).tolist())
  keys = {pack_color(color): color for color in names}
  unknown = sorted(present - keys.keys())
  if unknown:
    raise UserError(describe_unknown_colors(packed, unknown, names))
  shapes = [
    Shape(names[color], ColorRegion(file, color))
    for key, color in keys.items()
    if key in present and names[color] != UNANNOTATED
  ]
  return AnnotatedImage(name, str(file), packed.shape, shapes)


def describe_unknown_colors(
  packed: np.ndarray, unknown: list[int], names: Mapping[Color, str]
) -> str:
  """Returns a sentence with the colours that the table lacks and their first pixel."""
  pixels = np.isin(packed, unknown)
  row, column = np.argwhere(pixels)[0].tolist()
  triples = [' '.join(map(str, unpack_color(key))) for key in unknown]
  known = [f'{" ".join(map(str, color))} ({name or "background"})' for color, name in names.items()]
  return (
    f'it has the {plural("colour", unknown)} {listed(triples, 4)} in {pixels.sum()} pixels, '
    f'the first in row {row}, column {column}; expected {listed(known, 8)}. Add the colour '
    "to the table (as 'void R G B' to leave it out), or export without smoothed edges."
  )
