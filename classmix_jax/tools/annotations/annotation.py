"""Data structures shared by the converters: images with regions, problems, exports.

Synopsis:

    export = CONVERTERS['labelme'](Path('DIR'), {})    # Export
    for item in export.items:                          # AnnotatedImage or Problem
      print(item.source)
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from PIL import Image

from classmix_jax.data.files.colors import Color
from classmix_jax.errors import UserError
from classmix_jax.types import Size

Point = tuple[float, float]  # (x, y); the first pixel lies between 0 and 1


class Region(Protocol):
  """A part of an image that can be painted."""

  def paint(self, canvas: Image.Image, label: int) -> None:
    """Paints class `label` on a grey canvas of the size of the image."""


class AnnotatedImage(NamedTuple):
  """An image with its annotated regions.

  Attributes:
    name: path of the image below images/, with '/' and without extension.
    source: location of the annotation, for messages.
    size: (height, width).
    shapes: (class name, region) in painting order: later regions cover earlier ones.
    skipped: kinds of the shapes that were skipped because they have no area.
  """

  name: str
  source: str
  size: Size
  shapes: Sequence[tuple[str, Region]]
  skipped: Sequence[str] = ()


class Problem(NamedTuple):
  """An image that cannot be converted.

  Attributes:
    source: location of the annotation.
    sentence: the reason and the remedy.
  """

  source: str
  sentence: str


class Export(NamedTuple):
  """An annotation export.

  Attributes:
    class_names: the classes that the export declares, in the order of their ids. Classes that
      occur only in shapes follow, sorted.
    colors: the colours of some classes.
    total: number of items.
    items: images and problems, read one by one.
  """

  class_names: Sequence[str]
  colors: Mapping[str, Color | None]
  total: int
  items: Iterator[AnnotatedImage | Problem]


def attempt(source: str, read: Callable[[], AnnotatedImage]) -> AnnotatedImage | Problem:
  """Returns `read()`, or a Problem if it raises UserError.

  Args:
    source: location of the annotation.
    read: reads one image.

  Example: `attempt('a.json', functools.partial(parse_image, file, root))`.
  """
  try:
    return read()
  except UserError as error:
    return Problem(source, str(error))
