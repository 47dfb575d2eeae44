"""Reads tables of classes and colours: classes.txt, CVAT's labelmap.txt, PASCAL VOC, COCO.

Synopsis:

    table = read_class_table('labelmap.txt')   # {'': (0, 0, 0), 'car': (255, 96, 55)}
    table = read_class_table('voc')            # {'background': (0, 0, 0), ..., 'void': ...}
    table = read_class_table('coco')           # {'background': (0, 0, 0), 'person': ..., ...}
"""

from collections.abc import Mapping
import os
from pathlib import Path
import re

from classmix_jax.data.files.colors import Color
from classmix_jax.datasets.coco import classes as coco
from classmix_jax.datasets.folder.class_file import split_color
from classmix_jax.datasets.pascal_voc import classes as pascal_voc
from classmix_jax.errors import UserError

UNANNOTATED = ''  # class name of pixels outside all regions
VOID_NAMES = ('void', '__ignore__')  # labelme's examples use the second
RESERVED_BACKGROUNDS = ('_background_', '__background__')  # of labelme and of TensorFlow
BACKGROUND_NAMES = ('background', *RESERVED_BACKGROUNDS)

VOC_VOID = (224, 224, 192)  # the border around objects
NAMED_TABLES: Mapping[str, Mapping[str, Color]] = {
  'voc': {**dict(zip(pascal_voc.CLASS_NAMES, pascal_voc.PALETTE, strict=True)), 'void': VOC_VOID},
  'coco': dict(zip(coco.CLASS_NAMES, coco.PALETTE, strict=True)),
}

SAMPLE = "'road 128 64 128' as in classes.txt, or 'road:128,64,128::' as in labelmap.txt"
# NAME:R,G,B:PARTS:ACTIONS; the colour is optional.
_LABELMAP = re.compile(r'([^:]+):\s*(?:(\d+)\s*,\s*(\d+)\s*,\s*(\d+))?\s*:[^:]*:[^:]*')


def is_void(name: str) -> bool:
  """Returns whether a class of this name is void, that is, excluded from training and metrics.

  Example:
    >>> is_void('Void'), is_void('road')
    (True, False)
  """
  return name.lower() in VOID_NAMES


def is_background(name: str) -> bool:
  """Returns whether a class of this name is what no region covers, in the words of programs.

  Example:
    >>> is_background('_background_'), is_background('ground')
    (True, False)
  """
  return name.lower() in BACKGROUND_NAMES


def read_class_table(source: str) -> dict[str, Color | None]:
  """Returns name -> colour in the order of a file; the colour is None if a line has none.

  Args:
    source: a key of `NAMED_TABLES`, or a file of lines 'NAME', 'NAME R G B' or
      'NAME:R,G,B:PARTS:ACTIONS'. 'background' in a line of the last kind is `UNANNOTATED`: CVAT
      paints pixels outside all regions in its colour. Empty lines and lines that start with # are
      skipped.

  Raises:
    UserError: the file is missing or is not text, a name or colour is repeated, or a
      colour is invalid.

  Example: `read_class_table('voc')['cat'] == (64, 0, 0)`.
  """
  if source in NAMED_TABLES:
    return dict(NAMED_TABLES[source])
  path = Path(os.path.expanduser(source))
  try:
    lines = path.read_text(encoding='utf-8-sig').splitlines()
  except OSError as error:
    raise UserError(
      f'{path} cannot be read ({error.strerror}); give a file with lines {SAMPLE}.'
    ) from None
  except UnicodeDecodeError:
    raise UserError(f'{path} is not text in UTF-8: save it in this encoding.') from None
  table: dict[str, Color | None] = {}
  for number, line in enumerate(lines, start=1):
    if line.strip() and not line.strip().startswith('#'):
      name, color = parse_line(line.strip(), f'{path}, line {number}')
      if name in table:
        raise UserError(f"{path}, line {number} repeats '{name or 'background'}': remove it.")
      if color is not None and color in table.values():
        raise UserError(f'{path}, line {number} repeats a colour: colours must differ.')
      table[name] = color
  return table


def parse_line(line: str, where: str) -> tuple[str, Color | None]:
  """Parses a line as name and colour.

  Args:
    line: without surrounding spaces.
    where: file and line number, for messages.

  Example:
    >>> parse_line('traffic light 250 170 30', ''), parse_line('car:1,2,3::', '')
    (('traffic light', (250, 170, 30)), ('car', (1, 2, 3)))
    >>> parse_line('road', ''), parse_line('background:0,0,0::', '')
    (('road', None), ('', (0, 0, 0)))
  """
  labelmap = _LABELMAP.fullmatch(line)
  if not labelmap:
    return split_color(line, where)
  name, color = split_color(' '.join(filter(None, labelmap.groups())), where)
  return UNANNOTATED if name == 'background' else name, color


def list_classes(table: Mapping[str, Color | None]) -> tuple[str, ...]:
  """Returns the names in a table without void and unannotated, in its order.

  Example:
    >>> list_classes({'': (0, 0, 0), 'car': None, 'void': (9, 9, 9)})
    ('car',)
  """
  return tuple(name for name in table if name != UNANNOTATED and not is_void(name))
