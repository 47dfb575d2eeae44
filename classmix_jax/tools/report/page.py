"""Renders runs as one HTML page that needs no other file and no network.

Synopsis:

    text = page([run], galleries=[gallery(...)], classes=class_frequencies(...))
"""

import base64
from collections.abc import Mapping, Sequence
import functools
import io
import math
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from classmix_jax.evaluation.evaluator import Seen
from classmix_jax.evaluation.headline import describe_headline
from classmix_jax.tools.report.charts import calibration_chart, curves
from classmix_jax.tools.report.compare import differences, remarks, warnings
from classmix_jax.tools.report.confusion import confusion_fractions, most_confused
from classmix_jax.tools.report.facts import (
  data_name,
  describe_command,
  describe_moments,
  display_setting,
  run_facts,
)
from classmix_jax.tools.report.gallery import Frequencies, Gallery, GalleryView
from classmix_jax.tools.report.runs import Run
from classmix_jax.utils.visualize import thumbnail
from classmix_jax.workdir import layout

JPEG_QUALITY = 85  # no visible artifacts, at a tenth of the size of a PNG


def page(
  runs: Sequence[Run],
  galleries: Sequence[Gallery] = (),
  classes: Frequencies | None = None,
  notes: Sequence[str] = (),
) -> str:
  """Returns the page as HTML text; the templates escape every value.

  Args:
    runs: the first is the subject of the page; the others stand beside it.
    galleries: validation images of each run; empty if they cannot be predicted.
    classes: pixel and image frequencies of the classes, see `gallery.class_frequencies`.
    notes: explain why images or frequencies are missing.
  """
  names = [run.name for run in runs]
  confusion = [run.confusion() for run in runs]
  return (
    _environment()
    .get_template('page.html')
    .render(
      title=' · '.join(names),
      runs=runs,
      names=names,
      headlines=[describe_headline({**run.result, **run.place}) for run in runs],
      warnings=warnings(runs),
      remarks=remarks(runs),
      data=data_name(runs[0]),
      facts=run_facts(runs),
      commands=[describe_command(run) for run in runs],
      moments=describe_moments(runs),
      headline_moments=[describe_moments([run], headline=True) for run in runs],
      differences=differences(runs),
      curves=curves(runs),
      calibration=calibration_chart(runs),
      networks=network_columns(runs),
      notes=notes,
      gallery=galleries[0] if galleries else None,
      worst=describe_worst(galleries[0], names) if galleries else '',
      captions=view_captions(runs, galleries) if galleries else [],
      training_images=[training_image(run) for run in runs],
      confusion=[confusion_fractions(counts) for counts in confusion],
      confused=[most_confused(counts) for counts in confusion],
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
  environment.filters['count'] = '{:,}'.format
  return environment


def network_columns(runs: Sequence[Run]) -> list[dict[str, Any]]:
  """Returns the columns of the IoU table: `heading`, `miou` and `iou` of every network."""
  return [
    {'heading': f'{run.name}: {name}' if len(runs) > 1 else name, **result}
    for run in runs
    for name, result in run.result['networks'].items()
  ]


def frequency_columns(classes: Frequencies) -> dict[str, Sequence[float]]:
  """Returns the columns of the frequency table: heading -> fraction for each class."""
  return {
    f'{part}: {unit}': fractions
    for part, pair in classes.items()
    for unit, fractions in zip(('pixels', 'images'), pair, strict=True)
  }


def data_uri(image: np.ndarray, kind: str) -> str:
  """Encodes an image as a data URI: 'png' without loss, 'jpeg' with little."""
  file = io.BytesIO()
  Image.fromarray(image).save(file, kind, quality=JPEG_QUALITY)
  return f'data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}'


def training_image(run: Run) -> str:
  """Returns the run's training.png as a data URI, '' if there is none."""
  path = layout.training_image_path(run.path)
  return data_uri(np.asarray(Image.open(path).convert('RGB')), 'jpeg') if path.exists() else ''


def view_captions(runs: Sequence[Run], galleries: Sequence[Gallery]) -> list[str]:
  """Returns the words below each view of the first gallery: how wrong each run is there."""
  by_name = [{view.seen.name: view for view in gallery.views} for gallery in galleries]
  captions = []
  for view in galleries[0].views:
    parts = [
      (run.name, describe_errors(views[view.seen.name]))
      for run, views in zip(runs, by_name, strict=True)
      if view.seen.name in views
    ]
    texts = [f'{name}: {errors}' if len(runs) > 1 else errors for name, errors in parts]
    captions.append('; '.join(texts))
  return captions


def describe_worst(gallery: Gallery, names: Sequence[str]) -> str:
  """Returns which images are the worst, by which measure and of how many; '' if none are.

  Args:
    gallery: of the first run.
    names: of all runs.

  Example:
    >>> describe_worst(Gallery((), 0, 3), ['run'])
    ''
  """
  count = max((view.rank for view in gallery.views), default=0)
  if not count:
    return ''
  images = 'The last image has' if count == 1 else f'The last {count} images have'
  all_of = 'all' if gallery.ranked == gallery.total else f'{gallery.ranked:,} of the'
  by = f' in the predictions of {names[0]}' if len(names) > 1 else ''
  return (
    f'{images} the largest fraction of wrong pixels of {all_of} {gallery.total:,} validation '
    f'images{by}.'
  )


def describe_errors(view: GalleryView) -> str:
  """Returns the fraction of wrong pixels in words, and the rank of the image if it has one."""
  if math.isnan(view.wrong):
    return 'no known pixels'
  errors = f'{100 * view.wrong:.1f} % of pixels wrong'
  return f'{errors}, number {view.rank} of the worst' if view.rank else errors


def image_data(galleries: Sequence[Gallery]) -> list[dict[str, Any]]:
  """Returns the layers that the page's script draws, for each view of the first gallery.

  `runs` has an entry for each gallery: the prediction for this image, or None if the gallery does
  not have the image.
  """
  by_name: list[Mapping[str, Seen]] = [
    {view.seen.name: view.seen for view in gallery.views} for gallery in galleries
  ]
  return [
    {
      'image': data_uri(thumbnail(view.seen.image), 'jpeg'),
      'truth': data_uri(thumbnail(view.seen.truth), 'png'),
      'runs': [_prediction_data(gallery.get(view.seen.name)) for gallery in by_name],
    }
    for view in galleries[0].views
  ]


def _prediction_data(seen: Seen | None) -> dict[str, str] | None:
  if seen is None:
    return None
  confidence = (255 * seen.confidence).round().astype(np.uint8)
  return {
    'prediction': data_uri(thumbnail(seen.prediction), 'png'),
    'confidence': data_uri(thumbnail(confidence), 'png'),
  }
