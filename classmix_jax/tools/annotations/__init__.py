"""Converts annotation exports of other programs to masks that `datasets/folder.py` reads.

A converter is a function `(path, classes) -> Export`. Its arguments are the path of the export and
the table of --classes (name -> colour, empty without the flag). The export yields images with their
regions in painting order. To add a converter: a file here and a line in `CONVERTERS`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from classmix_jax.data.files.colors import Color
from classmix_jax.tools.annotations import coco, colors, cvat, labelme
from classmix_jax.tools.annotations.annotation import Export

CONVERTERS: Mapping[str, Callable[[Path, Mapping[str, Color | None]], Export]] = {
  'coco': coco.read,
  'labelme': labelme.read,
  'cvat': cvat.read,
  'colors': colors.read,
}
