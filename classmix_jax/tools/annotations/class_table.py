"""Reads tables of classes and colours: classes.txt, CVAT's labelmap.txt, PASCAL VOC, COCO.

Synopsis:

    table = read_class_table('labelmap.txt')   # {'': (0, 0, 0), 'car': (255, 96, 55)}
    table = read_class_table('voc')            # {'background': (0, 0, 0), ..., 'void': ...}
    table = read_class_table('coco')           # {'background': (0, 0, 0), 'person': ..., ...}
"""

from collections.abc import Mapping
import os
from pathlib import Path

from classmix_jax.data.class_files.class_table import color_table
from classmix_jax.data.class_files.reader import read_class_file
from classmix_jax.data.class_files.words import is_background, is_void
from classmix_jax.data.files.colors import Color
from classmix_jax.datasets.coco import classes as coco
from classmix_jax.datasets.pascal_voc import classes as pascal_voc

UNANNOTATED = ''  # class name of pixels outside all regions
VOC_VOID = (224, 224, 192)  # the border around objects
NAMED_TABLES: Mapping[str, Mapping[str, Color]] = {
  'voc': {**dict(zip(pascal_voc.CLASS_NAMES, pascal_voc.PALETTE, strict=True)), 'void': VOC_VOID},
  'coco': dict(zip(coco.CLASS_NAMES, coco.PALETTE, strict=True)),
}


def read_class_table(source: str) -> dict[str, Color | None]:
  """Returns name -> colour in the order of the ids, void last; None if it has no colour.

  Args:
    source: a key of `NAMED_TABLES`, or a file in a format of `data/class_files`. 'background' in
      CVAT's labelmap.txt is `UNANNOTATED`.

  Raises:
    UserError: as `read_class_file`, or two classes have the same colour.

  Example: `read_class_table('voc')['cat'] == (64, 0, 0)`.
  """
  if source in NAMED_TABLES:
    return dict(NAMED_TABLES[source])
  path = Path(os.path.expanduser(source))
  table = read_class_file(path, least=1, option='--classes')
  color_table(table, path)  # raises UserError if two are equal
  # CVAT paints pixels outside all regions in the colour of its background.
  names = (
    UNANNOTATED if table.kind == 'labelmap' and is_background(name) else name
    for name in table.names
  )
  classes = dict(zip(names, table.colors, strict=True))
  return classes | dict(zip(table.void_names, table.void_colors, strict=True))


def list_classes(table: Mapping[str, Color | None]) -> tuple[str, ...]:
  """Returns the names in a table without void and unannotated, in its order.

  Example:
    >>> list_classes({'': (0, 0, 0), 'car': None, 'void': (9, 9, 9)})
    ('car',)
  """
  return tuple(name for name in table if name != UNANNOTATED and not is_void(name))
