"""Cells of a table: method x labelled count x seed, each a run in its own directory.

Synopsis:

    cells = grid(Path('OUT'), ['supervised', 'classmix'], ['46'], [0, 1], steps=2000)
    results = [read(cell) for cell in cells]
    statistics.mean(result.miou for result in results if result.finished)
"""

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import json
from pathlib import Path
from typing import Any

from classmix_jax.utils.progress import format_duration
from classmix_jax.workdir.layout import evaluation_path


@dataclasses.dataclass(frozen=True)
class Cell:
  """One training of a table.

  Attributes:
    method: a key of METHODS, optionally with options: 'classmix:jitter=0'.
    labeled: as in `config.data.labeled`: a count, a fraction or a file.
    seed: of the training.
    steps: number of steps.
    run: the run directory.
  """

  method: str
  labeled: str
  seed: int
  steps: int
  run: Path


@dataclasses.dataclass(frozen=True)
class Result:
  """The result of a cell so far.

  Attributes:
    cell: the training.
    finished: whether the evaluation of the last step exists.
    miou: of the headline network, in 0..1; None until it is finished.
    networks: network -> mIoU.
    network: the headline network.
    labeled_images: number of labelled images; None until it is finished.
    devices: for example '1 x cpu'.
    done: number of logged steps.
    seconds: duration of these steps, without compilation and evaluation.
  """

  cell: Cell
  finished: bool = False
  miou: float | None = None
  networks: dict[str, float] = dataclasses.field(default_factory=dict)
  network: str = ''
  labeled_images: int | None = None
  devices: str = ''
  done: int = 0
  seconds: float = 0.0


def grid(
  directory: Path, methods: Sequence[str], labeled: Sequence[str], seeds: Sequence[int], steps: int
) -> list[Cell]:
  """Returns all cells ordered by seed, so that the table of the first seed is complete first."""

  def run(method: str, count: str, seed: int) -> Path:
    name = Path(count).stem if count.endswith('.txt') else count.replace('/', '_')
    return directory / 'cells' / f'{method.replace(":", "+")}-{name}-{seed}'

  # The last clause varies fastest: all methods of a seed and count run before the next count.
  return [
    Cell(method, count, seed, steps, run(method, count, seed))
    for seed in seeds
    for count in labeled
    for method in methods
  ]


def training_time(lines: Iterable[str]) -> tuple[int, float]:
  """Returns (steps, seconds) from the lines of a metrics.jsonl.

  Example:
    >>> training_time(['{"step": 4, "steps_per_second": 2.0}'])
    (4, 2.0)
  """
  done, seconds = 0, 0.0
  for line in lines:
    try:
      row = json.loads(line)
    except ValueError:
      continue  # an incomplete line, written when the process was killed
    if 'steps_per_second' in row:
      seconds += (row['step'] - done) / row['steps_per_second']
      done = row['step']
  return done, seconds


def read(cell: Cell) -> Result:
  """Reads the result of a cell so far."""
  metrics, path = cell.run / 'metrics.jsonl', evaluation_path(cell.run, cell.steps)
  lines = metrics.read_text(encoding='utf-8').splitlines() if metrics.exists() else []
  done, seconds = training_time(lines)
  if not path.exists():
    return Result(cell, done=done, seconds=seconds)
  evaluation: dict[str, Any] = json.loads(path.read_text(encoding='utf-8'))
  networks = {name: summary['miou'] for name, summary in evaluation['networks'].items()}
  return Result(
    cell,
    True,
    evaluation['miou'],
    networks,
    evaluation['network'],
    evaluation['labeled'],
    evaluation['devices'],
    done,
    seconds,
  )


def seconds_per_step(results: Sequence[Result]) -> dict[str, float]:
  """Returns method -> average seconds per step, of the methods that have run."""
  speeds = {}
  for method in dict.fromkeys(result.cell.method for result in results):
    ran = [result for result in results if result.cell.method == method and result.done]
    if ran:
      speeds[method] = sum(x.seconds for x in ran) / sum(x.done for x in ran)
  return speeds


def plan(results: Sequence[Result], speeds: Mapping[str, float], jobs: int = 1) -> str:
  """Returns a list of the cells with the mIoU of the finished and the duration of the others.

  Args:
    results: of all cells.
    speeds: method -> seconds per step; a method may be missing.
    jobs: number of concurrent trainings.
  """
  left, unknown, lines = 0.0, 0, []
  for result in results:
    cell = result.cell
    if result.finished and result.miou is not None:
      state = f'mIoU {100 * result.miou:.2f}'
    elif cell.method in speeds:
      need = (cell.steps - result.done) * speeds[cell.method]
      left += need
      state = f'{format_duration(need)} to go'
    else:
      unknown += 1
      state = 'not begun'
    lines.append(f'{cell.method:24} labelled {cell.labeled:>8}  seed {cell.seed}  {state}')
  total = f'{len(results)} cells, {sum(not x.finished for x in results)} to do, '
  total += f'{format_duration(left / jobs)} of training'
  return '\n'.join([*lines, total + (f' and {unknown} of unknown length' if unknown else '')])
