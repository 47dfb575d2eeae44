"""What a layout describes: which directories hold the images and masks of each part.

Synopsis:

    Layout(train=(Part(root / 'images', root / 'masks'),), unlabeled=(root / 'more',))
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from classmix_jax.data.class_files.class_table import ClassTable
from classmix_jax.data.files.colors import Color


class Part(NamedTuple):
  """Directories of images and of their masks.

  Attributes:
    images: directory of images, also in nested directories.
    masks: directory of masks. If it is that of the images, masks lie beside the images and differ
      by their names or extensions.
    names: file of image names, one a line, that belong to the part; None for all images.
    exclude: directories below `images` that do not belong to the part.
    prefix: beginning of the names of the examples, for a part that is one of several.
  """

  images: Path
  masks: Path
  names: Path | None = None
  exclude: tuple[Path, ...] = ()
  prefix: str = ''


class Layout(NamedTuple):
  """The parts of a data set.

  Attributes:
    train: parts for training; images without a mask are used without labels.
    val: parts for validation; empty if some of the labelled images are to be set aside.
    test: parts that are not used.
    unlabeled: directories of images without labels.
    classes: classes of the format; None if they are in a file of class names.
    class_file: file that `classes` is from.
    colors: colour in masks -> class id, beside those of the classes.
    marked: whether a file or a directory of one program identifies the format. Such a layout is
      preferred to others that match as well.
    notes: sentences about how the directory is read.
  """

  train: tuple[Part, ...]
  val: tuple[Part, ...] = ()
  test: tuple[Part, ...] = ()
  unlabeled: tuple[Path, ...] = ()
  classes: ClassTable | None = None
  class_file: Path | None = None
  colors: Mapping[Color, int] = MappingProxyType({})
  marked: bool = False
  notes: tuple[str, ...] = ()
