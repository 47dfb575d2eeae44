"""Renders runs as one HTML page that needs no other file and no network.

Synopsis:

    text = page([run], galleries=[views], classes=class_frequencies(...))
"""

import base64
from collections.abc import Mapping, Sequence
import functools
import io
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from classmix_jax.evaluation.evaluator import Seen
from classmix_jax.tools.report.charts import calibration_chart, curves
from classmix_jax.tools.report.gallery import Frequencies, GalleryView
from classmix_jax.tools.report.runs import Run, differences
from classmix_jax.utils.visualize import thumbnail
from classmix_jax.workdir import layout

JPEG_QUALITY = 85  # no visible artifacts, at a tenth of the size of a PNG


def page(
  runs: Sequence[Run],
  galleries: Sequence[Sequence[GalleryView]] = (),
  classes: Frequencies | None = None,
  note: str = '',
) -> str:
  """Returns the page as HTML text; the templates escape every value.

  Args:
    runs: the first is the subject of the page; the others stand beside it.
    galleries: validation images of each run; empty if the data cannot be read.
    classes: pixel and image frequencies of the classes, see `gallery.class_frequencies`.
    note: explains why images or frequencies are missing.
  """
  names = [run.name for run in runs]
  return (
    _environment()
    .get_template('page.html')
    .render(
      title=' · '.join(names),
      runs=runs,
      names=names,
      facts=run_facts(runs),
      differences=differences(runs),
      curves=curves(runs),
      calibration=calibration_chart(runs),
      networks=network_columns(runs),
      note=note,
      views=galleries[0] if galleries else (),
      training_images=[training_image(run) for run in runs],
      confusion=[confusion_fractions(run.confusion()) for run in runs],
      frequencies=frequency_columns(classes or {}),
      images={'palette': runs[0].palette, 'views': image_data(galleries) if galleries else []},
    )
  )


@functools.cache
def _environment() -> jinja2.Environment:
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / 'templates', encoding='utf-8'),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  environment.filters['setting'] = display_setting
  return environment


def run_facts(runs: Sequence[Run]) -> dict[str, list[Any]]:
  """Returns the rows of the first table: fact -> its value for each run."""
  columns = [_facts_of_run(run) for run in runs]
  return {fact: [column[fact] for column in columns] for fact in columns[0]}


def _facts_of_run(run: Run) -> dict[str, Any]:
  model, best, last = run.config['model'], run.result, run.last
  return {
    'method': run.config['method']['name'],
    'network': f'{model["backbone"]} + {model["head"]}',
    'pre-training': run.pretrained.get('name', 'none'),
    'labelled images': f'{run.labeled} (split {best["split"]})',
    'unlabelled images': run.unlabeled,
    'examples left out': run.left_out,
    'steps': f'{last["step"]} of {run.config["steps"]}',
    'seed': run.config['seed'],
    'protocol': best['protocol'],
    'validation': f'{best["images"]} images, {best["pixels"]:,} pixels',
    'mIoU in %, best': f'{100 * best["miou"]:.2f} ({best["network"]}, step {best["step"]})',
    'mIoU in %, last': f'{100 * last["miou"]:.2f}',
    'devices': best['devices'],
  }


def network_columns(runs: Sequence[Run]) -> list[dict[str, Any]]:
  """Returns the columns of the IoU table: `heading`, `miou` and `iou` of every network."""
  return [
    {'heading': f'{run.name}: {name}' if len(runs) > 1 else name, **result}
    for run in runs
    for name, result in run.result['networks'].items()
  ]


def confusion_fractions(counts: Sequence[Sequence[int]]) -> list[list[float]]:
  """Divides each row of a confusion matrix by its sum; rows of zeros stay.

  Example:
    >>> confusion_fractions([[3, 1], [0, 0]])
    [[0.75, 0.25], [0.0, 0.0]]
  """
  return [[count / max(sum(row), 1) for count in row] for row in counts]


def frequency_columns(classes: Frequencies) -> dict[str, Sequence[float]]:
  """Returns the columns of the frequency table: heading -> fraction for each class."""
  return {
    f'{part}: {unit}': fractions
    for part, pair in classes.items()
    for unit, fractions in zip(('pixels', 'images'), pair, strict=True)
  }


def display_setting(value: Any) -> Any:
  """Shortens an absolute path to its last part: a page may leave the machine."""
  if isinstance(value, str) and Path(value).is_absolute():
    return f'…/{Path(value).name}'
  return value


def data_uri(image: np.ndarray, kind: str) -> str:
  """Encodes an image as a data URI: 'png' without loss, 'jpeg' with little."""
  file = io.BytesIO()
  Image.fromarray(image).save(file, kind, quality=JPEG_QUALITY)
  return f'data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}'


def training_image(run: Run) -> str:
  """Returns the run's training.png as a data URI, '' if there is none."""
  path = layout.training_image_path(run.path)
  return data_uri(np.asarray(Image.open(path).convert('RGB')), 'jpeg') if path.exists() else ''


def image_data(galleries: Sequence[Sequence[GalleryView]]) -> list[dict[str, Any]]:
  """Returns the layers that the page's script draws, for each view of the first gallery.

  `runs` has an entry for each gallery: the prediction for this image, or None if the gallery does
  not have the image.
  """
  by_name: list[Mapping[str, Seen]] = [
    {view.seen.name: view.seen for view in gallery} for gallery in galleries
  ]
  return [
    {
      'image': data_uri(thumbnail(view.seen.image), 'jpeg'),
      'truth': data_uri(thumbnail(view.seen.truth), 'png'),
      'runs': [_prediction_data(gallery.get(view.seen.name)) for gallery in by_name],
    }
    for view in galleries[0]
  ]


def _prediction_data(seen: Seen | None) -> dict[str, str] | None:
  if seen is None:
    return None
  confidence = (255 * seen.confidence).round().astype(np.uint8)
  return {
    'prediction': data_uri(thumbnail(seen.prediction), 'png'),
    'confidence': data_uri(thumbnail(confidence), 'png'),
  }
