"""Recognizes annotations that are no masks, to name the command that converts them.

Synopsis:

    describe_annotations([root], root)    # 'DIR/a.json is ...: run python launch/...', or ''
"""

from collections.abc import Iterable, Iterator
import itertools
import os
from pathlib import Path
import re
from typing import NamedTuple

from classmix_jax.utils.file_ends import read_ends

NUM_FILES = 40  # annotation files that are looked at
NUM_BYTES = 100_000  # at the beginning and at the end of each


class Format(NamedTuple):
  """A format of annotations: a key of `CONVERTERS`, and expressions that its files contain."""

  converter: str
  title: str
  extension: str
  expressions: tuple[bytes, ...]
  source: str  # what is converted: the 'file', its 'directory', or the 'project' with meta.json


FORMATS = (
  Format('labelme', 'labelme', '.json', (rb'"shapes"\s*:', rb'"imagePath"\s*:'), 'directory'),
  Format('coco', 'COCO', '.json', (rb'"annotations"\s*:', rb'"categories"\s*:'), 'file'),
  Format('cvat', 'CVAT', '.xml', (rb'<annotations>', rb'<image\s'), 'file'),
  Format(
    'via', 'VGG Image Annotator', '.json', (rb'"regions"\s*:', rb'"shape_attributes"'), 'file'
  ),
  Format('label_studio', 'Label Studio', '.json', (rb'"from_name"\s*:', rb'"to_name"\s*:'), 'file'),
  Format('supervisely', 'Supervisely', '.json', (rb'"objects"\s*:', rb'"size"\s*:'), 'project'),
)


def describe_annotations(places: Iterable[Path], output: Path) -> str:
  """Returns a sentence on annotations and the command to convert them, '' if none are known.

  Args:
    places: directories, the most likely first.
    output: directory for the converted masks.

  Example: `describe_annotations([root], root)` may be 'DIR/a.json is an annotation of ...'.
  """
  files = itertools.chain.from_iterable(map(_annotation_files, places))
  texts: set[Path] = set()
  for path in itertools.islice(dict.fromkeys(files), NUM_FILES):
    if path.suffix.lower() == '.txt' and _is_yolo(path):
      texts.add(path.parent)
    content = _read_ends(path)
    for form in FORMATS:
      if path.suffix.lower() != form.extension:
        continue
      if all(re.search(expression, content) for expression in form.expressions):
        source = {'file': path, 'directory': path.parent}.get(form.source) or _project(path)
        place = source if (source / 'meta.json').is_file() else output
        return (
          f'{path} is an annotation of {form.title}, not a mask: run python '
          f'launch/convert_labels.py --from={form.converter} --input={source} --output={place}, '
          f'which writes {place / "masks"}.'
        )
  if texts:
    return (
      f'{min(texts)} holds text files as labels of YOLO, which are no masks: export masks, or '
      'polygons as COCO for launch/convert_labels.py.'
    )
  return ''


def _project(path: Path) -> Path:
  """Returns the nearest directory above a file with meta.json, else that of the file."""
  return next((p for p in path.parents if (p / 'meta.json').is_file()), path.parent)


def _annotation_files(root: Path) -> Iterator[Path]:
  for parent, directories, files in os.walk(root):
    directories[:] = sorted(name for name in directories if name[0] != '.')
    for name in sorted(files):
      if name.lower().endswith(('.json', '.xml', '.txt')) and name[0] != '.':
        yield Path(parent, name)


def _read_ends(path: Path) -> bytes:
  """Returns the beginning and the end of a file, b'' if it is unreadable."""
  try:
    return read_ends(path, NUM_BYTES) if path.is_file() else b''
  except OSError:
    return b''


def _is_yolo(path: Path) -> bool:
  """Returns whether the first line is a class id and at least four fractions."""
  words = _read_ends(path).splitlines()[:1]
  numbers = words[0].split() if words else []
  return len(numbers) >= 5 and all(re.fullmatch(rb'[\d.]+(?:e-?\d+)?', word) for word in numbers)
