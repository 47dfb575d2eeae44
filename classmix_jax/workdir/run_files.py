"""Reads and writes the small files of a run directory; only process 0 writes.

Synopsis:

    write_classes(run, dataset)
    names, palette = read_classes(run)
    write_evaluation(run, result)        # RUN/eval/STEP.json and STEP-confusion.csv
"""

from collections.abc import Mapping, Sequence
import contextlib
import csv
import json
from pathlib import Path
from typing import Any

import jax

from classmix_jax.data.source import Dataset
from classmix_jax.errors import UserError
from classmix_jax.utils.atomic_write import replacing, write_atomically
from classmix_jax.workdir.layout import confusion_path, evaluation_path

ORIGIN_FIELDS = dict.fromkeys(('name', 'sha256', 'trained_on', 'preprocessing', 'matched'), str)
RESULT_FIELDS = {'step': int, 'miou': float, 'protocol': str, 'networks': dict}


# ------------------------------------------------------------------------ JSON


def write_text(path: Path, text: str) -> None:
  """Replaces a text file atomically, in process 0 only."""
  if jax.process_index() == 0:
    write_atomically(path, text)


def write_json(path: Path, value: Any, indent: int | None = 2) -> None:
  """Replaces a JSON file atomically, in process 0 only."""
  write_text(path, json.dumps(value, indent=indent) + '\n')


def read_json(path: Path) -> Any:
  """Reads a JSON file of a run.

  Raises:
    UserError: the file is missing or is not JSON.

  Example: `read_json(run / 'config.json')['seed']`.
  """
  try:
    return json.loads(path.read_text(encoding='utf-8'))
  except FileNotFoundError:
    raise UserError(
      f'{path} does not exist; --workdir must be the directory of a training run.'
    ) from None
  except (ValueError, OSError) as error:
    raise UserError(f'{path} cannot be read ({error}); is this the directory of a run?') from None


def read_object(path: Path, types: Mapping[str, type | tuple[type, ...]]) -> dict[str, Any]:
  """Reads a JSON object and checks the types of its required fields.

  Args:
    path: the JSON file.
    types: dotted field name -> the type or types that its value may have.

  Raises:
    UserError: the file is missing or corrupt, or a field is missing or of another type.
  """
  content = read_json(path)
  if not isinstance(content, dict):
    raise UserError(f'{path} is damaged: it is not a JSON object; restore the file.')
  for name, expected in types.items():
    value: Any = content
    for key in name.split('.'):
      value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, expected):
      finding = f'{name} is missing' if value is None else f'{name} is {str(value)[:60]!r}'
      raise UserError(f'{path} is damaged: {finding}; restore the file.')
  return content


# --------------------------------------------------------------------- classes


def write_classes(run: Path, dataset: Dataset) -> None:
  """Writes class names and palette to classes.json."""
  classes = {'names': dataset.class_names, 'palette': dataset.palette}
  write_json(run / 'classes.json', classes, indent=None)


def read_classes(run: Path) -> tuple[tuple[str, ...], tuple[tuple[int, int, int], ...]]:
  """Returns the names and the colors of a run's classes.

  Raises:
    UserError: classes.json is missing or corrupt.
  """
  path = run / 'classes.json'
  content = read_object(path, {'names': list, 'palette': list})
  names, palette = content['names'], content['palette']
  valid = (
    names
    and all(isinstance(name, str) for name in names)
    and all(map(_is_color, palette))
    and len(palette) == len(names)
  )
  if not valid:
    raise UserError(
      f'{path} is damaged: expected as many names as colours [R, G, B] in 0..255; restore the file.'
    )
  return tuple(names), tuple(map(tuple, palette))


def _is_color(value: Any) -> bool:
  """Returns whether a JSON value is `[R, G, B]`, each an integer in 0..255."""
  return (
    isinstance(value, list)
    and len(value) == 3
    and all(type(channel) is int and 0 <= channel <= 255 for channel in value)
  )


# ------------------------------------------------- pretrained weights and split


def write_pretrained(run: Path, origin: Mapping[str, Any]) -> None:
  """Writes the origin of the initial weights to pretrained.json."""
  write_json(run / 'pretrained.json', origin)


def read_pretrained(run: Path) -> dict[str, Any]:
  """Returns the content of pretrained.json; empty if the run started from scratch."""
  path = run / 'pretrained.json'
  return read_object(path, ORIGIN_FIELDS) if path.exists() else {}


def write_started(run: Path, arguments: Sequence[str], versions: Mapping[str, str]) -> None:
  """Writes the arguments of the last start and the versions that ran it to started.json."""
  write_json(run / 'started.json', {'arguments': list(arguments), 'versions': dict(versions)})


def read_started(run: Path) -> dict[str, Any]:
  """Returns the `arguments` and `versions` of a run's last start, both empty if not recorded.

  Raises:
    UserError: started.json is corrupt.
  """
  path = run / 'started.json'
  if not path.exists():
    return {'arguments': [], 'versions': {}}
  started = read_object(path, {'arguments': list, 'versions': dict})
  if not all(isinstance(text, str) for text in started['arguments']):
    raise UserError(f'{path} is damaged: arguments are texts; restore the file.')
  return started


def write_left_out(run: Path, left_out: Mapping[str, Mapping[str, str]]) -> None:
  """Writes part -> name -> error of the unreadable examples to left_out.json."""
  write_json(run / 'left_out.json', left_out)


def read_left_out(run: Path) -> dict[str, dict[str, str]] | None:
  """Returns part -> name -> error of the unreadable examples; None if none were searched for."""
  path = run / 'left_out.json'
  return read_object(path, {'train': dict, 'unlabeled': dict}) if path.exists() else None


def write_split(
  run: Path, labeled: Sequence[str], unlabeled: Sequence[str], val: Sequence[str]
) -> None:
  """Writes image names, one per line; `config.data.labeled` accepts labeled.txt."""
  (run / 'splits').mkdir(exist_ok=True)
  for part, names in (('labeled', labeled), ('unlabeled', unlabeled), ('val', val)):
    write_text(run / 'splits' / f'{part}.txt', '\n'.join([*names, '']))


def read_split(run: Path, part: str) -> list[str]:
  """Returns the names of a run's 'labeled', 'unlabeled' or 'val' images.

  Raises:
    UserError: the file is missing or is not text.
  """
  path = run / 'splits' / f'{part}.txt'
  try:
    return path.read_text(encoding='utf-8').splitlines()
  except (OSError, ValueError):
    raise UserError(f'{path} cannot be read; is {run} the directory of a run?') from None


# ------------------------------------------------------------------ evaluations


def write_evaluation(run: Path, result: Mapping[str, Any], protocol: str = '') -> None:
  """Writes an evaluation to eval/STEP.json and its confusion matrix to a CSV file.

  Args:
    run: the run directory.
    result: the summary, with `step`, `iou` by class name, and `confusion [C, C]`. The CSV file
      has one row for each true class and one column for each predicted class.
    protocol: name of the protocol if it is not the run's own.
  """
  if jax.process_index() > 0:
    return
  path = evaluation_path(run, result['step'], protocol)
  path.parent.mkdir(exist_ok=True)
  write_confusion(confusion_path(run, result['step'], protocol), result)
  write_json(path, {key: value for key, value in result.items() if key != 'confusion'})


def read_results(run: Path) -> dict[int, dict[str, Any]]:
  """Returns step -> result of evaluations by the run's protocol; skips damaged files."""
  results = {}
  for path in (run / 'eval').glob('*.json'):
    with contextlib.suppress(UserError):
      if path.stem.isdecimal():
        result = read_object(path, RESULT_FIELDS)
        results[result['step']] = result
  return results


def write_confusion(path: Path, result: Mapping[str, Any]) -> None:
  """Writes the confusion matrix of an evaluation as CSV, with class names on both sides."""
  names = list(result['iou'])
  with (
    replacing(path) as temporary,
    open(temporary, 'w', encoding='utf-8', newline='') as file,
  ):
    writer = csv.writer(file, lineterminator='\n')
    writer.writerow(['truth', *names])
    writer.writerows(
      [name, *counts] for name, counts in zip(names, result['confusion'], strict=True)
    )
