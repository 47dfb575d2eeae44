"""Reads the tasks of Label Studio: their images, and the annotation of each that counts.

Synopsis:

    tasks = list_tasks(json.loads(text), Path('project-1.json'))
    names = choose_names([task.image for task in tasks])       # image -> name of the mask
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
import re
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from classmix_jax.tools.annotations.image_files import UPLOAD_PREFIX, split_name

Record = Mapping[str, Any]

IMAGE_KEYS = ('image', 'img', 'image_url', 'url')  # of a task's data, in this order
IMAGE_NAME = re.compile(r'\.(png|jpe?g|bmp|tiff?|webp|gif)(\?.*)?$', re.IGNORECASE)
MIN_KEYS = ('annotation_id', 'annotator', 'lead_time')  # of JSON-MIN
ANNOTATION_KEYS = ('annotations', 'completions')  # the second before version 1


class Task(NamedTuple):
  """A task of an export.

  Attributes:
    source: its location, for messages.
    image: path of its image, without the parts of a URL that are none.
    results: of the annotation that counts; None if it has none.
    others: number of its other annotations.
    flaw: a sentence if it cannot be converted, otherwise ''.
  """

  source: str
  image: str
  results: Sequence[Any] | None = None
  others: int = 0
  flaw: str = ''


def is_task(content: Any) -> bool:
  """Returns whether a value is a task of the export JSON or JSON-MIN."""
  return isinstance(content, dict) and (
    isinstance(content.get('data'), dict) or any(key in content for key in MIN_KEYS)
  )


def list_tasks(records: Sequence[Record], file: Path) -> list[Task]:
  """Returns the tasks; in JSON-MIN each annotation of a task has a record of its own."""
  full = [record for record in records if isinstance(record.get('data'), dict)]
  grouped: dict[Any, list[Record]] = {}
  for number, record in enumerate(records):
    if not isinstance(record.get('data'), dict):
      grouped.setdefault(str(record.get('id', f'record {number}')), []).append(record)
  tasks = [parse_task(record, f'{file}, task {record.get("id")}') for record in full]
  return tasks + [parse_min(group, f'{file}, task {key}') for key, group in grouped.items()]


def parse_task(record: Record, source: str) -> Task:
  """Parses a task of the export JSON."""
  image = find_image_path(record['data']) or str(record.get('file_upload') or '')
  key = next((key for key in ANNOTATION_KEYS if key in record), '')
  annotations = record.get(key) or []
  if not image:
    return Task(source, '', flaw="its 'data' has no image; the export is of another kind of task.")
  if not isinstance(annotations, list) or not all(isinstance(a, dict) for a in annotations):
    return Task(source, image, flaw=f"'{key}' is {str(annotations)[:40]}; expected annotations.")
  valid = [a for a in annotations if not (a.get('was_cancelled') or a.get('skipped'))]
  if not valid:
    return Task(source, image)
  annotation = choose_annotation(valid)
  results = annotation.get('result')
  if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
    return Task(source, image, flaw=f"a 'result' is {str(results)[:40]}; expected regions.")
  return Task(source, image, results, len(valid) - 1)


def parse_min(records: Sequence[Record], source: str) -> Task:
  """Parses a task of the export JSON-MIN from its records, one for each annotation."""
  record = choose_annotation(records)
  image = find_image_path(record)
  if not image:
    return Task(source, '', flaw='it has no image; the export is of another kind of task.')
  results = [
    {'value': item, **item}
    for values in record.values()
    if isinstance(values, list)
    for item in values
    if isinstance(item, dict)
  ]
  return Task(source, image, results, len(records) - 1)


def choose_annotation(annotations: Sequence[Record]) -> Record:
  """Returns the ground truth of several annotations, or else the latest."""
  return max(enumerate(annotations), key=_get_rank)[1]


def _get_rank(numbered: tuple[int, Record]) -> tuple[bool, str, int]:
  number, annotation = numbered
  time = annotation.get('updated_at') or annotation.get('created_at') or ''
  return annotation.get('ground_truth') is True, str(time), number


def find_image_path(data: Record) -> str:
  """Returns the path of the image in a task's data, '' if there is none."""
  texts = {
    key: value
    for key, value in data.items()
    if isinstance(value, str) and value.strip() and not value.startswith('data:')
  }
  usual = [texts[key] for key in IMAGE_KEYS if key in texts]
  others = [text for text in texts.values() if IMAGE_NAME.search(text)]
  candidates = usual or others
  return strip_url(candidates[0]) if candidates else ''


def strip_url(text: str) -> str:
  """Returns the path in a URL of Label Studio, of a cloud storage or of a server.

  Example:
    >>> strip_url('/data/local-files/?d=street/a%20b.jpg'), strip_url('s3://bucket/street/a.jpg')
    ('street/a b.jpg', 'street/a.jpg')
  """
  if '://' not in text and '/local-files/' not in text and not text.startswith('/data/'):
    return text
  try:
    parts = urlsplit(text)
  except ValueError:
    return text
  local = parse_qs(parts.query).get('d')
  return local[0] if local else unquote(parts.path).lstrip('/')


def choose_names(paths: Sequence[str]) -> dict[str, str]:
  """Returns path -> name of its mask: the file name, if no other path has the same.

  Names of uploaded files lose the prefix of Label Studio. Paths whose names are equal keep their
  directories and prefixes.

  Example:
    >>> choose_names(['upload/1/0a1b2c3d-street.jpg', 'a/x.png', 'b/x.png'])
    {'upload/1/0a1b2c3d-street.jpg': 'street', 'a/x.png': 'a/x', 'b/x.png': 'b/x'}
  """
  parts = {path: split_name(path) for path in dict.fromkeys(paths)}
  short = {path: UPLOAD_PREFIX.sub('', names[-1]) for path, names in parts.items() if names}
  counts = Counter(short.values())
  return {
    path: short[path] if counts[short.get(path, '')] == 1 else '/'.join(names)
    for path, names in parts.items()
  }
