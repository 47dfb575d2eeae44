"""Detects which program wrote an export, from the content of its first files.

Synopsis:

    sample = read_sample(Path('export.json'))
    detect_kind(sample, CONVERTERS)            # 'label_studio', or '' if no converter matches
"""

from collections.abc import Callable, Iterator, Mapping
import itertools
from pathlib import Path
from typing import Any, NamedTuple

from classmix_jax.errors import UserError
from classmix_jax.tools.annotations.annotation import Export, Options
from classmix_jax.tools.annotations.parsing import read_json_file

MAX_FILES = 5  # that are read below a directory
HEAD = 65536  # bytes of a file that is not JSON

# Keys of the JSON of programs that have no converter -> the remedy.
OTHER_JSON: Mapping[frozenset[str], str] = {
  frozenset(('project', 'config', 'attribute', 'metadata')): (
    'It looks like a project of VIA 3: export it from there as COCO.'
  ),
  frozenset(('categories', 'items')): 'It looks like Datumaro: export it as COCO.',
}
OTHER_TEXT: Mapping[str, str] = {
  '<annotation>': 'It looks like PASCAL VOC XML, which holds boxes only: export polygons or masks.',
}


class Sample(NamedTuple):
  """The beginning of an export.

  Attributes:
    path: the export.
    contents: values of JSON files.
    texts: beginnings of XML and CSV files.
  """

  path: Path
  contents: list[Any]
  texts: list[str]


class Converter(NamedTuple):
  """A converter of an annotation format.

  Attributes:
    title: name of the format in messages.
    read: `(path, options) -> Export`.
    matches: returns whether a sample has the format.
  """

  title: str
  read: Callable[[Path, Options], Export]
  matches: Callable[[Sample], bool]


def read_sample(path: Path) -> Sample:
  """Reads the first files of an export; unreadable ones are left out."""
  contents, texts = [], []
  for file in itertools.islice(_list_files(path), MAX_FILES):
    try:
      if file.suffix.lower() == '.json':
        contents.append(read_json_file(file))
      else:
        with open(file, encoding='utf-8-sig', errors='replace') as stream:
          texts.append(stream.read(HEAD))
    except (UserError, OSError):
      continue
  return Sample(path, contents, texts)


def _list_files(path: Path) -> Iterator[Path]:
  if path.is_file():
    yield path
  else:
    for extension in ('.json', '.xml', '.csv'):
      yield from itertools.islice(path.rglob(f'*{extension}'), MAX_FILES)


def detect_kind(sample: Sample, converters: Mapping[str, Converter]) -> str:
  """Returns the key of the first converter whose format the sample has, '' if there is none."""
  return next((kind for kind, entry in converters.items() if entry.matches(sample)), '')


def describe_guess(sample: Sample, kind: str, converters: Mapping[str, Converter]) -> str:
  """Returns a sentence on the format of an export that is not of `kind`, '' if it may be.

  Example: `'This looks like Label Studio: --from=label_studio.'`.
  """
  guess = detect_kind(sample, converters)
  if guess:
    is_other = guess != kind
    return f'This looks like {converters[guess].title}: --from={guess}.' if is_other else ''
  keys = {key for content in sample.contents if isinstance(content, dict) for key in content}
  for names, sentence in OTHER_JSON.items():
    if names <= keys:
      return sentence
  for start, sentence in OTHER_TEXT.items():
    if any(start in text for text in sample.texts):
      return sentence
  return ''
