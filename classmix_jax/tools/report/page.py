"""Runs as one HTML page that needs no other file and no network.

Synopsis:

    text = page([run], galleries=[views], classes=frequencies(...))
"""

import base64
from collections.abc import Mapping, Sequence
import html
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from classmix_jax.tools.report.charts import curves
from classmix_jax.tools.report.gallery import View
from classmix_jax.tools.report.runs import Run, differences
from classmix_jax.utils.nested import flatten
from classmix_jax.utils.visualize import thumbnail
from classmix_jax.workdir import layout

LAYERS = ('image', 'truth', 'prediction', 'error', 'confidence')
Frequencies = Mapping[str, tuple[Sequence[float], Sequence[float]]]


def data_uri(image: np.ndarray, kind: str) -> str:
  """An image as a URI that holds it: 'png' keeps values, 'jpeg' does nearly."""
  file = io.BytesIO()
  Image.fromarray(image).save(file, kind, quality=85)
  return f'data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}'


def cell(value: Any, kind: str = 'td') -> str:
  return f'<{kind}>{html.escape(str(value))}</{kind}>'


def bar(share: float | None) -> str:
  """A cell with a number in percent and a bar behind it."""
  if share is None:
    return '<td class="bar">-</td>'
  return (
    f'<td class="bar"><span><i style="width:{100 * share:.1f}%"></i>{100 * share:.2f}</span></td>'
  )


def table(head: Sequence[str], rows: Sequence[str], name: str = '') -> str:
  """A table from a heading and rows of finished cells."""
  top = ''.join(f'<th scope="col">{html.escape(title)}</th>' for title in head)
  body = ''.join(f'<tr>{row}</tr>' for row in rows)
  return (
    f'<div class="wide"><table class="{name}"><thead><tr>{top}</tr></thead>'
    f'<tbody>{body}</tbody></table></div>'
  )


def class_cell(run: Run, index: int) -> str:
  color = ','.join(map(str, run.palette[index]))
  return (
    f'<td><span class="swatch" style="background:rgb({color})"></span>'
    f'{html.escape(run.class_names[index])}</td>'
  )


def summary(runs: Sequence[Run]) -> str:
  """What was run, and how it ended: a column for each run."""
  model = lambda run: run.config['model']
  facts = {
    'method': lambda run: run.config['method']['name'],
    'network': lambda run: f'{model(run)["backbone"]} + {model(run)["head"]}',
    'pre-training': lambda run: run.pretrained.get('name', run.pretrained and 'yes') or 'none',
    'labelled images': lambda run: f'{run.labeled} (split {run.result["split"]})',
    'unlabelled images': lambda run: run.unlabeled,
    'examples left out': lambda run: run.left_out,
    'steps': lambda run: f'{run.last["step"]} of {run.config["steps"]}',
    'seed': lambda run: run.config['seed'],
    'protocol': lambda run: run.result['protocol'],
    'validation': lambda run: f'{run.result["images"]} images, {run.result["pixels"]:,} pixels',
    'mIoU in %, best': lambda run: (
      f'{100 * run.result["miou"]:.2f} ({run.result["network"]}, step {run.result["step"]})'
    ),
    'mIoU in %, last': lambda run: f'{100 * run.last["miou"]:.2f}',
    'devices': lambda run: run.result['devices'],
  }
  rows = [cell(name) + ''.join(cell(fact(run)) for run in runs) for name, fact in facts.items()]
  return table(['', *(run.name for run in runs)], rows)


def iou_table(runs: Sequence[Run]) -> str:
  networks = [(run, name) for run in runs for name in run.result['networks']]
  head = ['class', *(f'{run.name}: {name}' if len(runs) > 1 else name for run, name in networks)]
  rows = [
    class_cell(runs[0], index)
    + ''.join(bar(run.result['networks'][network]['iou'][name]) for run, network in networks)
    for index, name in enumerate(runs[0].class_names)
  ]
  rows.append(
    '<td><b>mean</b></td>'
    + ''.join(bar(run.result['networks'][network]['miou']) for run, network in networks)
  )
  return table(head, rows)


def confusion_table(run: Run) -> str:
  """Shares of each true class, darker where they are larger."""
  counts = run.confusion()
  if counts is None:
    return '<p class="faint">This run was evaluated by a version that kept no confusion matrix.</p>'
  rows = []
  for index, row in enumerate(counts):
    shares = [count / max(sum(row), 1) for count in row]
    cells = ''.join(
      f'<td style="background:rgba(63,127,191,{0.75 * share:.2f})">{100 * share:.0f}</td>'
      for share in shares
    )
    rows.append(class_cell(run, index) + cells)
  return table(['truth, then predicted as (%)', *run.class_names], rows, 'confusion')


def frequency_table(run: Run, classes: Frequencies) -> str:
  head = ['class', *(f'{part}: {what}' for part in classes for what in ('pixels', 'images'))]
  rows = [
    class_cell(run, index)
    + ''.join(bar(shares[index]) for pair in classes.values() for shares in pair)
    for index in range(len(run.class_names))
  ]
  return table(head, rows)


def difference_table(runs: Sequence[Run]) -> str:
  rows = [
    cell(f'config.{key}') + ''.join(cell(shown(value)) for value in values)
    for key, values in differences(runs).items()
  ]
  if not rows:
    return '<p>Their configs are the same.</p>'
  return table(['field', *(run.name for run in runs)], rows)


def shown(value: Any) -> Any:
  """A setting; of a path on the machine of the training only the last part."""
  if isinstance(value, str) and Path(value).is_absolute():
    return f'…/{Path(value).name}'
  return value


def config_table(run: Run) -> str:
  rows = [cell(f'config.{key}') + cell(shown(value)) for key, value in flatten(run.config).items()]
  return (
    f'<details><summary>Config of {html.escape(run.name)}</summary>'
    f'{table(["field", "value"], rows)}</details>'
  )


def training_image(run: Run, whose: str) -> str:
  path = layout.training_image_path(run.path)
  if not path.exists():
    return ''
  image = np.asarray(Image.open(path).convert('RGB'))
  return (
    f'<h2>What {html.escape(whose)} learned from</h2><p class="faint">One batch at the '
    'last evaluation; labels are pseudo-labels where images have none.</p>'
    f'<div class="wide"><img class="grid" alt="training images, labels and predictions" '
    f'src="{data_uri(image, "jpeg")}"></div>'
  )


def controls(runs: Sequence[Run]) -> str:
  """The form above the gallery; plain inputs, so that a keyboard is enough."""

  def option(name: str, value: Any, text: str, kind: str, checked: bool) -> str:
    return (
      f'<label><input type="{kind}" name="{name}" value="{value}"'
      f'{" checked" if checked else ""}> {text}</label>'
    )

  layers = ''.join(option('layer', name, name, 'radio', name == 'prediction') for name in LAYERS)
  classes = ''.join(
    option(
      'class',
      index,
      f'<span class="swatch" style="background:rgb({color})"></span>' + html.escape(name),
      'checkbox',
      True,
    )
    for index, name in enumerate(runs[0].class_names)
    for color in [','.join(map(str, runs[0].palette[index]))]
  )
  which = ''
  if len(runs) > 1:
    which = (
      '<fieldset><legend>Run</legend>'
      + ''.join(
        option('run', index, html.escape(run.name), 'radio', index == 0)
        for index, run in enumerate(runs)
      )
      + '</fieldset>'
    )
  return (
    f'<form id="controls" class="controls">{which}<fieldset><legend>Show</legend>{layers}'
    '<label>opacity <input type="range" name="opacity" min="0" max="100" value="60"></label>'
    f'</fieldset><details><summary>Classes</summary><fieldset><legend>Classes</legend>'
    '<button type="button" id="all">all</button> <button type="button" id="none">none'
    f'</button> {classes}</fieldset></details></form>'
  )


def gallery_section(runs: Sequence[Run], views: Sequence[View]) -> str:
  figures = ''.join(
    f'<figure{" class=worst" if view.worst else ""}><canvas role="img" aria-label="'
    f'{html.escape(view.seen.name, quote=True)}"></canvas><figcaption>'
    f'{html.escape(view.seen.name)} · {100 * view.accuracy:.1f} % of pixels right</figcaption>'
    '</figure>'
    for view in views
  )
  return (
    '<h2>Validation images</h2><p class="faint">Errors: red where a known pixel is wrong, '
    'green where it is right. Confidence: red is unsure, green is sure.</p>'
    f'{controls(runs)}<div class="gallery">{figures}</div>'
  )


def picture_data(galleries: Sequence[Sequence[View]]) -> list[dict[str, Any]]:
  """What the page's script draws; predictions of further runs where they show the image, too."""
  others = [{view.seen.name: view.seen for view in gallery} for gallery in galleries]
  ids = lambda label: data_uri(thumbnail(label), 'png')

  def of_run(seen) -> dict[str, str] | None:
    return seen and {
      'prediction': ids(seen.prediction),
      'confidence': ids((255 * seen.confidence).round().astype(np.uint8)),
    }

  return [
    {
      'image': data_uri(thumbnail(view.seen.image), 'jpeg'),
      'truth': ids(view.seen.truth),
      'runs': [of_run(gallery.get(view.seen.name)) for gallery in others],
    }
    for view in galleries[0]
  ]


def page(
  runs: Sequence[Run],
  galleries: Sequence[Sequence[View]] = (),
  classes: Frequencies | None = None,
  note: str = '',
) -> str:
  """Returns the HTML text.

  Args:
    runs: the first is the one the page is about; the others stand beside it.
    galleries: of each run, none where the data is not there.
    classes: see `gallery.frequencies`.
    note: why pictures or frequencies are missing.
  """
  first, several = runs[0], len(runs) > 1
  title = ' · '.join(run.name for run in runs)
  parts = [
    f'<h1>{html.escape(title)}</h1><p class="lead">'
    f'{html.escape(first.config["method"]["name"])} on {html.escape(first.config["name"])}: '
    f'<b>{100 * first.result["miou"]:.2f} % mIoU</b> by the '
    f'{html.escape(first.result["network"])} from {first.labeled} labelled images '
    f'({html.escape(first.result["protocol"])})</p>',
    summary(runs),
  ]
  if several:
    parts.append('<h2>What differs</h2>' + difference_table(runs))
  parts.append(f'<h2>Training</h2><div class="curves">{curves(runs)}</div>')
  parts.append('<h2>IoU of the classes in %</h2>' + iou_table(runs))
  if note:
    parts.append(f'<p class="faint">{html.escape(note)}</p>')
  if galleries:
    parts.append(gallery_section(runs, galleries[0]))
  parts += [training_image(run, run.name if several else 'it') for run in runs]
  for run in runs:
    name = f' of {html.escape(run.name)}' if several else ''
    parts.append(f'<h2>Confusion{name}</h2>' + confusion_table(run))
  if classes:
    parts.append('<h2>How often classes occur, in %</h2>' + frequency_table(first, classes))
  parts.append('<h2>Settings</h2>' + ''.join(map(config_table, runs)))
  pictures = {'palette': first.palette, 'views': picture_data(galleries) if galleries else []}
  frame = (Path(__file__).parent / 'page.html').read_text(encoding='utf-8')
  # '<' in a name must not end the script that holds the data.
  data = json.dumps(pictures).replace('<', '\\u003c')
  for mark, text in (('TITLE', html.escape(title)), ('BODY', '\n'.join(parts)), ('DATA', data)):
    frame = frame.replace(f'<!--{mark}-->', text)
  return frame
