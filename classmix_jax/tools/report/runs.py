"""Reads runs from their directories, without JAX and without the data.

Synopsis:

    run = read_run(Path('RUN'))
    run.result['miou'], run.place['best_miou'], run.curve('loss/sup')
"""

from collections.abc import Mapping, Sequence
import csv
import dataclasses
import json
from pathlib import Path
import re
import sys
from typing import Any

from flax.traverse_util import flatten_dict

from classmix_jax.config.load import read_config
from classmix_jax.errors import UserError
from classmix_jax.evaluation.headline import place_score
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
  'network_rule': str,
  'devices': str,
  'networks': dict,
}


@dataclasses.dataclass(frozen=True)
class Run:
  """A run as the report shows it.

  Attributes:
    path: its directory.
    name: its name on the page.
    config: the config as nested plain dicts.
    rows: rows of metrics.jsonl, in order.
    results: step -> evaluation under the run's own protocol.
    class_names, palette: names and colours of the classes.
    labeled, unlabeled: number of images.
    val_names: names of the validation images.
    left_out: number of unreadable examples that training skipped.
    pretrained: origin of the pre-trained weights, {} if training started from scratch.
    started: `arguments` and `versions` of the last start.
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
  val_names: Sequence[str]
  left_out: int
  pretrained: Mapping[str, Any]
  started: Mapping[str, Any]

  @property
  def result(self) -> Mapping[str, Any]:
    """The evaluation of the largest step, whose numbers and images the page shows."""
    return self.results[max(self.results)]

  @property
  def scores(self) -> dict[int, float]:
    """Step -> mIoU of the network whose score the page shows."""
    name = self.result['network']
    networks = {step: result['networks'] for step, result in self.results.items()}
    return {step: results[name]['miou'] for step, results in networks.items() if name in results}

  @property
  def place(self) -> dict[str, Any]:
    """The fields of `headline.place_score`, over all evaluations."""
    return place_score(self.scores, self.config['steps'], self.result['network_rule'])

  def curve(self, key: str) -> tuple[list[int], list[float]]:
    """Returns the steps at which a metric was logged, and its values."""
    rows = [row for row in self.rows if isinstance(row.get(key), int | float)]
    return [row['step'] for row in rows], [row[key] for row in rows]

  def keys(self, prefix: str) -> list[str]:
    """Returns the sorted names of all metrics that begin with `prefix`."""
    return sorted({key for row in self.rows for key in row if key.startswith(prefix)})

  def fields(self) -> dict[str, Any]:
    """Returns the fields of the config by dotted name."""
    return flatten_dict(self.config, sep='.')

  def confusion(self) -> list[list[int]]:
    """Reads the pixel counts [truth][prediction] of the headline network in `result`.

    Raises:
      UserError: the file is missing or damaged.
    """
    path = layout.confusion_path(self.path, self.result['step'])
    try:
      with open(path, encoding='utf-8', newline='') as file:
        rows = list(csv.reader(file))[1:]
      counts = [list(map(int, row[1:])) for row in rows]
    except (OSError, ValueError) as error:
      reason = getattr(error, 'strerror', None) or error
      raise UserError(
        f'{path} cannot be read ({reason}); python launch/evaluate.py --workdir={self.path} '
        f'--step={self.result["step"]} writes it again.'
      ) from None
    if [len(row) for row in counts] != [len(self.class_names)] * len(self.class_names):
      raise UserError(
        f'{path} is damaged: expected {len(self.class_names)} rows and columns of counts; '
        'evaluate again.'
      )
    return counts


def read_run(path: Path, name: str = '') -> Run:
  """Reads a run's directory.

  Args:
    path: the directory.
    name: name of the run on the page; '' is the name of the directory.

  Raises:
    UserError: the directory holds no run, or a run without an evaluation.
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
  return Run(
    path,
    name or path.name,
    config,
    read_rows(path / 'metrics.jsonl'),
    results,
    names,
    palette,
    len(run_files.read_split(path, 'labeled')),
    len(run_files.read_split(path, 'unlabeled')),
    run_files.read_split(path, 'val'),
    sum(map(len, (run_files.read_left_out(path) or {}).values())),
    run_files.read_pretrained(path),
    run_files.read_started(path),
  )


def read_rows(path: Path) -> list[dict[str, Any]]:
  """Reads the rows of metrics.jsonl; skips lines that a crash has truncated."""
  text = path.read_text(encoding='utf-8', errors='replace') if path.exists() else ''
  return [json.loads(line) for line in truncate_metrics(text, sys.maxsize).splitlines()]


def read_result(path: Path, names: Sequence[str]) -> dict[str, Any]:
  """Reads an evaluation; raises UserError if it is damaged or has other classes."""
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
    if not is_reliability(network.get('reliability')):
      raise UserError(
        f'{path} is damaged: {name} has no reliability; evaluate again, or remove it.'
      )
  return result


def is_reliability(value: Any) -> bool:
  """Returns whether a value of a JSON file is that of `eval_step.summarize_reliability`."""
  if not isinstance(value, dict):
    return False
  numbers = [value.get(key) for key in ('threshold', 'share', 'calibration_error')]
  curve = value.get('curve')
  if value.get('precision') is not None:
    numbers.append(value['precision'])
  if not isinstance(curve, list) or not all(isinstance(x, list) and len(x) == 3 for x in curve):
    return False
  return all(isinstance(x, float) for x in [*numbers, *sum(curve, [])])
