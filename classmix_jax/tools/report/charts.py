"""Draws curves of training runs as SVG.

Synopsis:

    svgs = curves([run, other])
"""

from collections.abc import Sequence
import io
import re
from typing import NamedTuple

from markupsafe import Markup

from classmix_jax.tools.report.runs import Run

PANEL_SIZE = (4.2, 2.6)  # inches


class Line(NamedTuple):
  """A curve of a panel: its legend, and its values over steps."""

  legend: str
  steps: list[int]
  values: list[float]


def panels(runs: Sequence[Run]) -> dict[str, list[Line]]:
  """Returns title -> lines of every panel that has any."""
  lines: dict[str, list[Line]] = {'loss': [], 'mIoU in %': [], 'confident pixels in %': []}
  for run in runs:
    prefix = f'{run.name}: ' if len(runs) > 1 else ''
    for key in run.keys('loss/'):
      lines['loss'].append(Line(prefix + key.removeprefix('loss/'), *run.curve(key)))
    for key in run.keys('eval/miou_'):
      legend = prefix + key.removeprefix('eval/miou_')
      lines['mIoU in %'].append(_in_percent(legend, *run.curve(key)))
    if run.keys('confident_share'):
      line = _in_percent(f'{prefix}share', *run.curve('confident_share'))
      lines['confident pixels in %'].append(line)
  return {title: panel for title, panel in lines.items() if panel}


def _in_percent(legend: str, steps: list[int], values: list[float]) -> Line:
  return Line(legend, steps, [100 * value for value in values])


def curves(runs: Sequence[Run]) -> dict[str, Markup]:
  """Draws losses, mIoU and confident fraction over steps: title -> `<svg>`, with text as text."""
  # Imported here because matplotlib takes a second to load.
  from matplotlib import rc_context
  from matplotlib.figure import Figure

  svgs = {}
  # A fixed salt and no date: the same run gives the same bytes.
  with rc_context({'svg.fonttype': 'none', 'font.size': 9, 'svg.hashsalt': 'classmix_jax'}):
    for title, lines in panels(runs).items():
      figure = Figure(PANEL_SIZE, layout='constrained')
      ax = figure.subplots()
      for line in lines:
        ax.plot(line.steps, line.values, marker='.', label=line.legend)
      ax.set_title(title)
      ax.set_xlabel('step')
      ax.grid(alpha=0.3)
      ax.legend(fontsize=7)
      text = io.StringIO()
      figure.savefig(text, format='svg', metadata={'Date': None})
      svgs[title] = inline_svg(text.getvalue())
  return svgs


def inline_svg(document: str) -> Markup:
  """Returns the `<svg>` of a document; ids of groups go, as several figures share a page.

  Matplotlib has escaped the text in it.
  """
  return Markup(re.sub(r'<g id="[^"]*">', '<g>', document[document.index('<svg') :]))
