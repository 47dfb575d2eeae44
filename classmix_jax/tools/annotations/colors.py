"""Masks that are pictures in colours, and a table of what the colours mean.

Synopsis:

    export = read(Path('SegmentationClass'), {'road': (128, 64, 128), 'void': (0, 0, 0)})
    picture = next(export.items)     # colours do not overlap
"""

from collections.abc import Mapping
import functools
from pathlib import Path

import numpy as np

from classmix_jax.data.files.colors import Color, pack_color, unpack_color
from classmix_jax.data.files.find_images import find_images
from classmix_jax.data.files.image_io import read_header
from classmix_jax.errors import UserError
from classmix_jax.tools.annotations.annotation import Export, Picture, attempt
from classmix_jax.tools.annotations.class_table import UNLABELED, declared_classes, read_class_table
from classmix_jax.tools.annotations.raster import ColorRegion, packed_colors
from classmix_jax.utils.text import listed, plural

TABLES = ('labelmap.txt', 'classes.txt')


def read(path: Path, classes: Mapping[str, Color | None]) -> Export:
  """Returns the export in a folder of colour masks; classes in the order of the table.

  Args:
    path: a folder of pictures, nested folders too. If it holds SegmentationClass,
      as exports of CVAT and VOC do, the masks are those in there.
    classes: name -> colour; empty is the table in `path`, labelmap.txt or classes.txt.

  Raises:
    UserError: there is no table, or one without colours.

  Example: `read(Path('DIR'), {'a': (0, 0, 0), 'b': (9, 9, 9)}).class_names == ('a', 'b')`.
  """
  table = classes or find_table(path)
  bare = [name for name, color in table.items() if color is None]
  if bare:
    raise UserError(
      f"the table of colours has none for '{bare[0]}': write it behind the name, as in 'road 128 "
      "64 128'."
    )
  folder = path / 'SegmentationClass' if (path / 'SegmentationClass').is_dir() else path
  files = find_images(folder) if folder.is_dir() else {folder.stem: folder}
  names = {color: name for name, color in table.items()}
  items = (
    attempt(str(file), functools.partial(picture, name, file, names))
    for name, file in files.items()
  )
  return Export(declared_classes(table), table, len(files), items)


def find_table(path: Path) -> dict[str, Color | None]:
  """Returns the table in a folder; UserError where there is none."""
  for name in TABLES:
    if (path / name).is_file():
      return read_class_table(str(path / name))
  raise UserError(
    f'{path} holds no {" or ".join(TABLES)}: set --classes to a file that gives every class its '
    "colour, or to 'voc'."
  )


def picture(name: str, file: Path, names: Mapping[Color, str]) -> Picture:
  """Returns one mask with a region per colour; UserError for colours not in the table."""
  if read_header(file).format in ('JPEG', 'MPO'):
    raise UserError('it is a JPEG, whose compression changes colours: export the masks as PNG.')
  packed = packed_colors(file)
  present = set(np.unique(packed).tolist())
  keys = {pack_color(color): color for color in names}
  unknown = sorted(present - keys.keys())
  if unknown:
    raise UserError(unknown_colors(packed, unknown, names))
  shapes = [
    (names[color], ColorRegion(file, color))
    for key, color in keys.items()
    if key in present and names[color] != UNLABELED
  ]
  return Picture(name, str(file), packed.shape, shapes)


def unknown_colors(packed: np.ndarray, unknown: list[int], names: Mapping[Color, str]) -> str:
  """Says which colours the table lacks and where the first pixel lies."""
  pixels = np.isin(packed, unknown)
  row, column = np.argwhere(pixels)[0].tolist()
  triples = [' '.join(map(str, unpack_color(key))) for key in unknown]
  known = [f'{" ".join(map(str, color))} ({name or "background"})' for color, name in names.items()]
  return (
    f'it holds the {plural("colour", unknown)} {listed(triples, 4)} in {pixels.sum()} pixels, '
    f'the first in row {row}, column {column}; expected are {listed(known, 8)}. Add the colour '
    "to the table (as 'void R G B' to leave it out), or export without smoothed edges."
  )
