"""Data structures shared by the converters: options, images with shapes, problems, exports.

Synopsis:

    export = CONVERTERS['labelme'](Path('DIR'), Options())    # Export
    for item in export.items:                                 # AnnotatedImage or Problem
      print(item.source)
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import functools
from pathlib import Path
from typing import NamedTuple, Protocol

from PIL import Image

from classmix_jax.data.files.colors import Color
from classmix_jax.errors import UserError
from classmix_jax.types import Size

Point = tuple[float, float]  # (x, y); the first pixel lies between 0 and 1


class Options(NamedTuple):
  """What a converter reads besides the export.

  Attributes:
    classes: name -> colour of the classes in --classes; empty without the flag.
    images: directory of the annotated images, for their names and for sizes that the export lacks;
      None without the flag.
    attribute: the attribute of regions that holds the class (VIA); '' without the flag.
  """

  classes: Mapping[str, Color | None] = {}
  images: Path | None = None
  attribute: str = ''


class Region(Protocol):
  """A part of an image that can be painted."""

  def paint(self, canvas: Image.Image, label: int) -> None:
    """Paints class `label` on a grey canvas of the size of the image."""


class Shape(NamedTuple):
  """A region of a class, or a place whose class is not certain.

  Attributes:
    name: the class; '' if the shape has none.
    region: the pixels.
    kind: '' for regions. Otherwise the kind of shape, in words: a line, which has a class only
      with a width, or a shape whose outline or class is not known. Such pixels are void, so that
      they are not painted as background.
  """

  name: str
  region: Region
  kind: str = ''


class AnnotatedImage(NamedTuple):
  """An image with its annotated shapes.

  Attributes:
    name: path of the image below images/, with '/' and without extension.
    source: location of the annotation, for messages.
    size: (height, width); None if the export lacks it and the image has no shapes.
    shapes: in painting order: later regions cover earlier ones.
    skipped: kinds of the annotations of the image as a whole.
    unplaced: kinds of the annotations of objects whose place is missing. The image gets no mask
      with a background, because these objects would be painted as background.
    is_annotated: False if no annotation of the image exists, not even an empty one.
  """

  name: str
  source: str
  size: Size | None
  shapes: Sequence[Shape]
  skipped: Sequence[str] = ()
  unplaced: Sequence[str] = ()
  is_annotated: bool = True


class Problem(NamedTuple):
  """An image, or another part of an export, that cannot be converted.

  Attributes:
    source: location of the annotation.
    sentence: the reason and the remedy.
    name: of the image, as in `AnnotatedImage`; '' if it is not known.
  """

  source: str
  sentence: str
  name: str = ''


class Export(NamedTuple):
  """An annotation export.

  Attributes:
    class_names: the classes that the export declares, in the order of their ids. Classes that
      occur only in shapes follow, sorted.
    colors: the colours of some classes.
    total: number of images.
    items: images and problems, read one by one.
    notes: sentences about the export as a whole.
    strays: problems of annotations that belong to no image.
  """

  class_names: Sequence[str]
  colors: Mapping[str, Color | None]
  total: int
  items: Iterator[AnnotatedImage | Problem]
  notes: Sequence[str] = ()
  strays: Sequence[Problem] = ()


def attempt(
  source: str, read: Callable[[], AnnotatedImage], find_name: Callable[[], str]
) -> AnnotatedImage | Problem:
  """Returns `read()`, or a Problem if it raises UserError.

  Args:
    source: location of the annotation.
    read: reads one image.
    find_name: returns the name of the image; it may raise UserError too.

  Example: `attempt('a.json', functools.partial(parse_image, file), functools.partial(name, file))`.
  """
  try:
    return read()
  except UserError as error:
    return create_problem(source, str(error), find_name)


def parse_files(
  files: Iterable[Path],
  parse: Callable[[Path], AnnotatedImage],
  find_name: Callable[[Path], str],
) -> Iterator[AnnotatedImage | Problem]:
  """Yields the image of each annotation file, or a Problem if `parse` raises UserError.

  Args:
    files: one for each image.
    parse: reads the image of a file.
    find_name: returns the name of its image; it may raise UserError too.
  """
  for file in files:
    read, name = functools.partial(parse, file), functools.partial(find_name, file)
    yield attempt(str(file), read, name)


def create_problem(source: str, sentence: str, find_name: Callable[[], str]) -> Problem:
  """Creates a Problem with the name of the image, or '' if `find_name` raises UserError."""
  try:
    return Problem(source, sentence, find_name())
  except UserError:
    return Problem(source, sentence)
