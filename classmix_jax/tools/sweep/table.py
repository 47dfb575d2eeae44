"""Presents a table as Markdown, CSV and a plot, beside published results.

Synopsis:

    rows = summarize(results)
    print(markdown(rows, published_for('camvid', {row.method for row in rows})))
    plot(rows, [], Path('table.png'))
"""

from collections.abc import Collection, Sequence
import csv
import dataclasses
import io
import json
from pathlib import Path
import statistics
from typing import Any

from classmix_jax.tools.sweep.grid import Result
from classmix_jax.utils.atomic_write import replacing
from classmix_jax.utils.progress import format_duration

PUBLISHED = Path(__file__).parent / 'published.json'


@dataclasses.dataclass(frozen=True)
class Row:
  """All seeds of one method at one labelled count.

  Attributes:
    method, labeled: of the cells.
    results: one per seed, including unfinished ones.
  """

  method: str
  labeled: str
  results: tuple[Result, ...]

  @property
  def scores(self) -> list[float]:
    """mIoU in %, of finished cells."""
    return [100 * result.miou for result in self.results if result.miou is not None]

  @property
  def mean(self) -> float | None:
    return statistics.mean(self.scores) if self.scores else None

  @property
  def deviation(self) -> float | None:
    """Sample standard deviation (divided by n - 1) in %; None for a single seed."""
    return statistics.stdev(self.scores) if len(self.scores) > 1 else None

  def text(self) -> str:
    """Returns for example '53.55 ± 0.94 (3)'; '-' if no seed is finished."""
    if self.mean is None:
      return '-'
    deviation = '' if self.deviation is None else f' ± {self.deviation:.2f}'
    missing = '' if len(self.scores) == len(self.results) else f' of {len(self.results)}'
    return f'{self.mean:.2f}{deviation} ({len(self.scores)}{missing})'


def summarize(results: Sequence[Result]) -> list[Row]:
  """Groups the results by method and labelled count, in the order of the grid."""
  groups: dict[tuple[str, str], list[Result]] = {}
  for result in results:
    groups.setdefault((result.cell.method, result.cell.labeled), []).append(result)
  return [Row(*key, tuple(group)) for key, group in groups.items()]


def published_for(dataset: str, methods: Collection[str]) -> list[dict[str, Any]]:
  """Returns the entries of published.json on a data set by some methods.

  Each has method, labeled (as in the paper), miou in %, network, pretraining and source.
  """
  entries = json.loads(PUBLISHED.read_text(encoding='utf-8'))
  return [entry for entry in entries if entry['dataset'] == dataset and entry['method'] in methods]


def markdown(rows: Sequence[Row], published: Sequence[dict[str, Any]]) -> str:
  """Returns a table with a row per method and a column per labelled count."""
  counts = list(dict.fromkeys(row.labeled for row in rows))
  cells = {(row.method, row.labeled): row.text() for row in rows}
  lines = [
    '| mIoU in % | ' + ' | '.join(f'{count} labelled' for count in counts) + ' | training |',
    '|---' * (len(counts) + 2) + '|',
  ]
  for method in dict.fromkeys(row.method for row in rows):
    texts = [cells[method, count] for count in counts]
    lines.append('| ' + ' | '.join([method, *texts, training_text(rows, method)]) + ' |')
  if published:
    lines += [
      '',
      'Published, with other networks and schedules:',
      '',
      '| method | labelled | mIoU in % | network | pre-training | source |',
      '|---|---|---|---|---|---|',
    ]
    lines += [
      '| '
      + ' | '.join(
        str(entry[key]) for key in ('method', 'labeled', 'miou', 'network', 'pretraining', 'source')
      )
      + ' |'
      for entry in published
    ]
  return '\n'.join(lines) + '\n'


def training_text(rows: Sequence[Row], method: str) -> str:
  """Returns steps, average duration and devices of a method's finished cells."""
  ran = [
    result for row in rows if row.method == method for result in row.results if result.finished
  ]
  if not ran:
    return '-'
  devices = ', '.join(sorted({result.devices for result in ran}))
  each = format_duration(statistics.mean(result.seconds for result in ran))
  return f'{ran[0].cell.steps:,} steps, {each} on {devices}'


def table_csv(results: Sequence[Result]) -> str:
  """Returns a CSV table with one row per cell."""
  text = io.StringIO()
  writer = csv.writer(text, lineterminator='\n')
  writer.writerow(
    [
      'method',
      'labeled',
      'seed',
      'finished',
      'network',
      'miou',
      'miou_student',
      'miou_teacher',
      'labeled_images',
      'steps',
      'hours',
      'devices',
    ]
  )
  for result in results:
    cell, networks = result.cell, result.networks
    writer.writerow(
      [
        cell.method,
        cell.labeled,
        cell.seed,
        result.finished,
        result.network,
        result.miou,
        networks.get('student'),
        networks.get('teacher'),
        result.labeled_images,
        result.done,
        round(result.seconds / 3600, 4),
        result.devices,
      ]
    )
  return text.getvalue()


def plot(rows: Sequence[Row], path: Path) -> None:
  """Plots mean, deviation and all seeds of each method, with a colour per labelled count.

  Dashed lines across the figure mark the means of the first method.
  """
  import matplotlib

  matplotlib.use('agg')
  from matplotlib import pyplot

  counts = list(dict.fromkeys(row.labeled for row in rows))
  methods = list(dict.fromkeys(row.method for row in rows))
  figure, axes = pyplot.subplots(figsize=(8, 1.2 + len(methods) * (0.2 + 0.16 * len(counts))))
  for row in rows:
    if row.mean is None:
      continue
    index, color = counts.index(row.labeled), f'C{counts.index(row.labeled) % 10}'
    y = methods.index(row.method) + 0.22 * (index - (len(counts) - 1) / 2)
    if row.method == methods[0]:
      axes.axvline(row.mean, color=color, linestyle='--', linewidth=0.8)
    axes.errorbar(row.mean, y, xerr=row.deviation, color=color, marker='o', capsize=3)
    axes.plot(row.scores, [y] * len(row.scores), 'k.', markersize=3)
    axes.annotate(
      f'{row.mean:.1f}',
      (1, y),
      xycoords=('axes fraction', 'data'),
      color=color,
      xytext=(4, 0),
      textcoords='offset points',
      va='center',
      fontsize='small',
    )
  for index, count in enumerate(counts):
    axes.plot([], [], f'C{index % 10}', marker='o', label=f'{count} labelled')
  axes.set_yticks(range(len(methods)), methods)
  axes.set_ylim(len(methods) - 0.4, -0.6)
  axes.set_xlabel('validation mIoU in %')
  axes.grid(axis='x', alpha=0.3)
  axes.legend(fontsize='small', loc='lower center', bbox_to_anchor=(0.5, 1), ncols=len(counts))
  figure.tight_layout()
  with replacing(path) as temporary:
    figure.savefig(temporary, dpi=110, format='png')
  pyplot.close(figure)
