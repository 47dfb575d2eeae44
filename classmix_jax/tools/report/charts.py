"""Draws curves of training runs as SVG.

Synopsis:

    svgs = curves([run, other])
    svg = calibration_chart([run, other])
"""

from collections.abc import Iterator, Sequence
import contextlib
import io
import re
from typing import Any, NamedTuple

from markupsafe import Markup

from classmix_jax.tools.report.runs import Run

PANEL_SIZE = (4.2, 2.9)  # inches
RELIABILITY = 'correct confident pixels in %'


class Line(NamedTuple):
  """A curve of a panel: its legend, and its values over steps."""

  legend: str
  steps: list[int]
  values: list[float]


def panels(runs: Sequence[Run]) -> dict[str, list[Line]]:
  """Returns title -> lines of every panel that has any."""
  lines: dict[str, list[Line]] = {
    title: [] for title in ('loss', 'mIoU in %', 'confident pixels in %', RELIABILITY)
  }
  for run in runs:
    prefix = f'{run.name}: ' if len(runs) > 1 else ''
    for key in run.keys('loss/'):
      lines['loss'].append(Line(prefix + key.removeprefix('loss/'), *run.curve(key)))
    for key in run.keys('eval/miou_'):
      legend = prefix + key.removeprefix('eval/miou_')
      lines['mIoU in %'].append(_in_percent(legend, *run.curve(key)))
    for key in run.keys('eval/reliability_'):
      legend = prefix + key.removeprefix('eval/reliability_')
      lines[RELIABILITY].append(_in_percent(legend, *run.curve(key)))
    if run.keys('confident_share'):
      line = _in_percent(f'{prefix}share', *run.curve('confident_share'))
      lines['confident pixels in %'].append(line)
  return {title: panel for title, panel in lines.items() if panel}


def _in_percent(legend: str, steps: list[int], values: list[float]) -> Line:
  return Line(legend, steps, [100 * value for value in values])


def curves(runs: Sequence[Run]) -> dict[str, Markup]:
  """Draws losses, mIoU and confident fraction over steps: title -> `<svg>`, with text as text."""
  # Imported here because matplotlib takes a second to load.
  from matplotlib.ticker import MaxNLocator

  svgs = {}
  for title, lines in panels(runs).items():
    with panel(title, 'step') as (ax, svg):
      ax.xaxis.set_major_locator(MaxNLocator(integer=True))
      for line in lines:
        ax.plot(line.steps, line.values, marker='.', label=line.legend)
    svgs[title] = Markup(svg.getvalue())
  return svgs


def calibration_chart(runs: Sequence[Run]) -> Markup:
  """Draws the fraction of correct pixels over their confidence, of the last evaluation.

  On the dashed diagonal the confidence is the probability of a correct prediction.
  """
  with panel('correct pixels in %', 'confidence in %') as (ax, svg):
    ax.plot([0, 100], [0, 100], linestyle='--', color='grey', label='calibrated')
    for run in runs:
      prefix = f'{run.name}: ' if len(runs) > 1 else ''
      for name, network in run.result['networks'].items():
        curve = network['reliability']['curve']
        confidence, correct = ([100 * point[axis] for point in curve] for axis in (0, 1))
        ax.plot(confidence, correct, marker='.', label=prefix + name)
  return Markup(svg.getvalue())


@contextlib.contextmanager
def panel(y_label: str, x_label: str) -> Iterator[tuple[Any, io.StringIO]]:
  """Yields matplotlib axes to draw on, and a file that holds their `<svg>` afterwards."""
  # Imported here because matplotlib takes a second to load.
  from matplotlib import rc_context
  from matplotlib.figure import Figure

  svg = io.StringIO()
  # A fixed salt and no date: the same run gives the same bytes.
  with rc_context({'svg.fonttype': 'none', 'font.size': 9, 'svg.hashsalt': 'classmix_jax'}):
    figure = Figure(PANEL_SIZE, layout='constrained')
    ax = figure.subplots()
    yield ax, svg
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    ax.grid(alpha=0.3)
    # Below the axes: names of runs may be long, and a legend inside would hide curves.
    columns = 1 if max(map(len, ax.get_legend_handles_labels()[1])) > 24 else 3
    figure.legend(loc='outside lower center', ncols=columns, fontsize=8, frameon=False)
    document = io.StringIO()
    figure.savefig(document, format='svg', metadata={'Date': None})
  svg.write(inline_svg(document.getvalue()))


def inline_svg(document: str) -> Markup:
  """Returns the `<svg>` of a document; ids of groups go, as several figures share a page.

  Matplotlib has escaped the text in it.
  """
  return Markup(re.sub(r'<g id="[^"]*">', '<g>', document[document.index('<svg') :]))
