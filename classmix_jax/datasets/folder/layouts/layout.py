"""What a layout describes: which directories hold the images and masks of each part.

Synopsis:

    Layout(train=(Part(root / 'images', root / 'masks'),), unlabeled=(root / 'more',))
"""

from pathlib import Path
from typing import NamedTuple


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
    class_file: file of class names that the format has; None for the usual places.
    marked: whether a file or a directory of one program identifies the format. Such a layout is
      preferred to others that match as well.
    notes: sentences about how the directory is read.
  """

  train: tuple[Part, ...]
  val: tuple[Part, ...] = ()
  test: tuple[Part, ...] = ()
  unlabeled: tuple[Path, ...] = ()
  class_file: Path | None = None
  marked: bool = False
  notes: tuple[str, ...] = ()
