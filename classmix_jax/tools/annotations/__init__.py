"""Annotation exports of other programs, turned into masks that `datasets/folder.py` reads.

A converter is a function `(path, classes) -> Export`: where the export lies and
the table of --classes (name -> colour, empty without), to pictures with their
regions in the order of painting. To add one: a file here and a line in `CONVERTERS`.
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
