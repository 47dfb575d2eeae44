"""What a run's folder tells, read without JAX and without the data.

Synopsis:

    run = read_run(Path('RUN'))
    run.result['miou'], run.curve('loss/sup')
"""

from collections.abc import Mapping, Sequence
import csv
import dataclasses
import json
import math
from pathlib import Path
import re
from typing import Any

from classmix_jax.config.load import read_config
from classmix_jax.errors import UserError
from classmix_jax.utils.nested import flatten
from classmix_jax.workdir import layout, run_files
from classmix_jax.workdir.metrics_file import truncate_metrics

RESULT_FIELDS = {
  'step': int,
  'images': int,
  'pixels': int,
  'miou': float,
  'protocol': str,
  'split': str,
  'network': str,
  'devices': str,
  'networks': dict,
}


@dataclasses.dataclass(frozen=True)
class Run:
  """A run as the report shows it.

  Attributes:
    path: its folder.
    name: what the page calls it.
    config: nested plain dicts.
    rows: of metrics.jsonl, in order.
    results: evaluations by step, under the run's own protocol.
    class_names, palette: of the classes.
    labeled, unlabeled: how many images.
    left_out: how many examples did not read, where those are left out.
    pretrained: where weights came from, {} from scratch.
  """

  path: Path
  name: str
  config: Mapping[str, Any]
  rows: Sequence[Mapping[str, Any]]
  results: Mapping[int, Mapping[str, Any]]
  class_names: Sequence[str]
  palette: Sequence[Sequence[int]]
  labeled: int
  unlabeled: int
  left_out: int
  pretrained: Mapping[str, Any]

  @property
  def result(self) -> Mapping[str, Any]:
    """The evaluation of the largest headline mIoU: what `best` means everywhere."""
    return max(self.results.values(), key=lambda result: result['miou'])

  @property
  def last(self) -> Mapping[str, Any]:
    return self.results[max(self.results)]

  def curve(self, key: str) -> tuple[list[int], list[float]]:
    """Returns the steps at which a metric was written, and its values."""
    rows = [row for row in self.rows if isinstance(row.get(key), int | float)]
    return [row['step'] for row in rows], [row[key] for row in rows]

  def keys(self, prefix: str) -> list[str]:
    """Returns the names of all metrics that begin with `prefix`."""
    return sorted({key for row in self.rows for key in row if key.startswith(prefix)})

  def confusion(self) -> list[list[int]] | None:
    """Counts [truth][prediction] of the best evaluation; None where a run has none yet."""
    path = layout.confusion_path(self.path, self.result['step'])
    if not path.exists():
      return None
    with open(path, encoding='utf-8', newline='') as file:
      return [list(map(int, counts)) for _, *counts in list(csv.reader(file))[1:]]


def short_names(folders: Sequence[Path]) -> list[str]:
  """Returns the shortest ends of the paths that tell them apart.

  Example:
    >>> short_names([Path('first/classmix'), Path('second/classmix')])
    ['first/classmix', 'second/classmix']
  """
  names = []
  for depth in range(1, max(len(folder.parts) for folder in folders) + 1):
    names = ['/'.join(folder.parts[-depth:]) for folder in folders]
    if len(set(names)) == len(names):
      break
  return names


def read_run(path: Path, name: str = '') -> Run:
  """Reads a run's folder; the page calls it `name`, or as the folder is called.

  Raises:
    UserError: it is no run, or was never evaluated.
  """
  config, (names, palette) = read_config(path), run_files.read_classes(path)
  results = {
    int(file.stem): read_result(file, names)
    for file in sorted((path / 'eval').glob('*.json'))
    if re.fullmatch(r'\d+', file.stem)
  }
  if not results:
    raise UserError(
      f'{path} has not been evaluated yet; python launch/evaluate.py --workdir={path} does that.'
    )
  count = lambda part: len(run_files.read_split(path, part))
  return Run(
    path,
    name or path.name,
    config,
    read_rows(path / 'metrics.jsonl'),
    results,
    names,
    palette,
    count('labeled'),
    count('unlabeled'),
    sum(map(len, (run_files.read_left_out(path) or {}).values())),
    run_files.read_pretrained(path),
  )


def read_rows(path: Path) -> list[dict[str, Any]]:
  """Returns the rows of metrics.jsonl; lines that a crash or a disk has torn are left out."""
  text = path.read_text(encoding='utf-8', errors='replace') if path.exists() else ''
  return [json.loads(line) for line in truncate_metrics(text, math.inf).splitlines()]


def read_result(path: Path, names: Sequence[str]) -> dict[str, Any]:
  """Returns an evaluation; UserError where it is damaged, or of other classes."""
  result = run_files.read_object(path, RESULT_FIELDS)
  for name, network in result['networks'].items():
    iou = network.get('iou') if isinstance(network, dict) else None
    if (
      not isinstance(iou, dict)
      or set(iou) != set(names)
      or not isinstance(network.get('miou'), float)
      or not all(value is None or isinstance(value, float) for value in iou.values())
    ):
      raise UserError(
        f'{path} is damaged: {name} has no IoU of each class; evaluate again, or remove it.'
      )
  return result


def check_comparable(runs: Sequence[Run]) -> None:
  """Raises UserError where classes or protocols differ: such numbers do not compare."""
  first = runs[0]
  for run in runs[1:]:
    for what, value in (
      ('classes', lambda run: list(run.class_names)),
      ('protocol', lambda run: run.result['protocol']),
    ):
      if value(run) != value(first):
        raise UserError(
          f'{run.path} has the {what} {value(run)}, {first.path} has {value(first)}: they do not '
          'compare. Evaluate both alike (launch/evaluate.py --protocol), or leave one out.'
        )


def differences(runs: Sequence[Run]) -> dict[str, list[Any]]:
  """Returns the config's fields that are not the same in all runs, with every run's value."""
  flat = [flatten(run.config) for run in runs]
  keys = sorted(set().union(*flat))
  values = {key: [config.get(key) for config in flat] for key in keys}
  return {
    key: found
    for key, found in values.items()
    if any(value != found[0] for value in found) and not key.startswith('paper.')
  }
