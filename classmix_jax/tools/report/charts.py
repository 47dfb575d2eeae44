"""Curves of training runs as SVG text, for a page.

Synopsis:

    panels = curves([run, other])
"""

from collections.abc import Sequence
import html
import io
import re

from classmix_jax.tools.report.runs import Run

PANEL = (4.2, 2.6)  # inches


def panels(runs: Sequence[Run]) -> dict[str, list[tuple[str, list[int], list[float]]]]:
  """Returns title -> (name, steps, values) of each curve; panels without any are left out."""
  several = len(runs) > 1
  found = {'loss': [], 'mIoU in %': [], 'confident pixels in %': []}
  for run in runs:
    own = lambda name, run=run: f'{run.name}: {name}' if several else name
    for key in run.keys('loss/'):
      found['loss'].append((own(key.removeprefix('loss/')), *run.curve(key)))
    for key in run.keys('eval/miou_'):
      steps, values = run.curve(key)
      found['mIoU in %'].append(
        (own(key.removeprefix('eval/miou_')), steps, [100 * value for value in values])
      )
    if run.keys('confident_share'):
      steps, values = run.curve('confident_share')
      found['confident pixels in %'].append(
        (own('share'), steps, [100 * value for value in values])
      )
  return {title: lines for title, lines in found.items() if lines}


def curves(runs: Sequence[Run]) -> str:
  """Draws losses, mIoU and confident share over steps; one `<svg>` each, with text as text."""
  # Imported here: drawing takes a second to load.
  from matplotlib import rc_context
  from matplotlib.figure import Figure

  found = panels(runs)
  if not found:
    return '<p class="faint">There are no rows in metrics.jsonl.</p>'
  drawn = []
  with rc_context({'svg.fonttype': 'none', 'font.size': 9, 'svg.hashsalt': 'classmix_jax'}):
    for title, lines in found.items():
      figure = Figure(PANEL, layout='constrained')
      ax = figure.subplots()
      for name, steps, values in lines:
        ax.plot(steps, values, marker='.', label=name)
      ax.set_title(title)
      ax.set_xlabel('step')
      ax.grid(alpha=0.3)
      ax.legend(fontsize=7)
      text = io.StringIO()
      figure.savefig(text, format='svg', metadata={'Date': None})
      drawn.append(inline(text.getvalue(), title))
  return '\n'.join(drawn)


def inline(svg: str, title: str) -> str:
  """A file's `<svg>`, named for those who do not see it; ids would be there twice on one page."""
  svg = re.sub(r'<g id="[^"]*">', '<g>', svg[svg.index('<svg') :])
  return svg.replace('<svg', f'<svg role="img" aria-label="{html.escape(title)}"', 1)
