"""What a run's folder tells, read without JAX and without the data.

Synopsis:

    run = read_run(Path('RUN'))
    run.result['miou'], run.curve('loss/sup')
"""

from collections.abc import Mapping, Sequence
import csv
import dataclasses
import json
from pathlib import Path
import re
from typing import Any

from classmix_jax import rundir
from classmix_jax.types import UserError


@dataclasses.dataclass(frozen=True)
class Run:
  """A run as the report shows it.

  Attributes:
    path: its folder.
    config: nested plain dicts.
    rows: of metrics.jsonl, in order.
    results: evaluations by step, under the run's own protocol.
    class_names, palette: of the classes.
    labeled, unlabeled: how many images.
    left_out: how many examples did not read, where those are left out.
    pretrained: where weights came from, {} from scratch.
  """

  path: Path
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
  def name(self) -> str:
    return self.path.name

  @property
  def result(self) -> Mapping[str, Any]:
    """The evaluation of the largest headline mIoU: what `best` means everywhere."""
    return max(self.results.values(), key=lambda result: result['miou'])

  @property
  def last(self) -> Mapping[str, Any]:
    return self.results[max(self.results)]

  def curve(self, key: str) -> tuple[list[int], list[float]]:
    """Returns the steps at which a metric was written, and its values."""
    rows = [row for row in self.rows if key in row]
    return [row['step'] for row in rows], [row[key] for row in rows]

  def keys(self, prefix: str) -> list[str]:
    """Returns the names of all metrics that begin with `prefix`."""
    return sorted({key for row in self.rows for key in row if key.startswith(prefix)})

  def confusion(self) -> list[list[int]] | None:
    """Counts [truth][prediction] of the best evaluation; None where a run has none yet."""
    path = rundir.confusion_path(self.path, self.result['step'])
    if not path.exists():
      return None
    with open(path, encoding='utf-8', newline='') as file:
      return [list(map(int, counts)) for _, *counts in list(csv.reader(file))[1:]]


def read_run(path: Path) -> Run:
  """Reads a run's folder.

  Raises:
    UserError: it is no run, or was never evaluated.
  """
  config, classes = (rundir.read_json(path / name) for name in ('config.json', 'classes.json'))
  metrics = path / 'metrics.jsonl'
  lines = metrics.read_text(encoding='utf-8').splitlines() if metrics.exists() else []
  results = {
      int(file.stem): rundir.read_json(file)
      for file in sorted((path / 'eval').glob('*.json')) if re.fullmatch(r'\d+', file.stem)}
  if not results:
    raise UserError(
        f'{path} has not been evaluated yet; python launch/evaluate.py --workdir={path} does that.')
  count = lambda part: len(rundir.read_split(path, part))
  return Run(
      path, config, list(map(json.loads, lines)), results, classes['names'], classes['palette'],
      count('labeled'), count('unlabeled'),
      sum(map(len, (rundir.read_left_out(path) or {}).values())), rundir.read_pretrained(path))


def check_comparable(runs: Sequence[Run]) -> None:
  """Raises UserError where classes or protocols differ: such numbers do not compare."""
  first = runs[0]
  for run in runs[1:]:
    for what, value in (('classes', lambda run: list(run.class_names)),
                        ('protocol', lambda run: run.result['protocol'])):
      if value(run) != value(first):
        raise UserError(
            f'{run.path} has the {what} {value(run)}, {first.path} has {value(first)}: they do not '
            'compare. Evaluate both alike (launch/evaluate.py --protocol), or leave one out.')


def differences(runs: Sequence[Run]) -> dict[str, list[Any]]:
  """Returns the config's fields that are not the same in all runs, with every run's value."""
  flat = [rundir.flatten(run.config) for run in runs]
  keys = sorted(set().union(*flat))
  values = {key: [config.get(key) for config in flat] for key in keys}
  return {key: found for key, found in values.items()
          if any(value != found[0] for value in found) and not key.startswith('paper.')}
