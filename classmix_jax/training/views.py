"""Draws what a method learns from.

Synopsis:

    views = make_views(method, devices, batch)
    view_images(views(state), dataset)['mixed']     # [B, H, W, 3] uint8
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import numpy as np

from classmix_jax.core.frozen import with_frozen
from classmix_jax.data.source import Dataset
from classmix_jax.types import AXIS, Array, Batch, Method, TrainState
from classmix_jax.utils.atomic_write import write_png
from classmix_jax.utils.visualize import VISIBLE, colorize, grid, thumbnail, to_bytes

ROWS = 4  # of RUN/training.png

CAPTIONS = {  # in the order of the columns; other views follow
  'image': 'labelled image',
  'label': 'ground truth',
  'prediction': 'prediction',
  'unlabeled': 'unlabelled image',
  'unlabeled_prediction': 'prediction of the unlabelled image',
  'mixed': 'mixed image',
  'mixed_pseudo_label': 'pseudo-label of the mixed image',
  'mixed_prediction': 'prediction of the mixed image',
}

Views = Callable[[TrainState], Mapping[str, Array]]


def make_views(method: Method, devices: list, batch: Batch) -> Views:
  """Returns `views(state)`: what the method learns from on one fixed batch `[D, A, b, ...]`."""

  def views(state: TrainState, batch: Batch, key: Array) -> Mapping[str, Array]:
    return method.views(with_frozen(state, method.averages), batch, key)

  pmapped = jax.pmap(
    views,
    axis_name=AXIS,
    in_axes=(None, 0, None),
    devices=list(devices) if jax.process_count() == 1 else None,
  )
  return lambda state: pmapped(state, batch, jax.random.key(0))


def view_images(views: Mapping[str, Array], dataset: Dataset) -> dict[str, np.ndarray]:
  """Returns views as uint8 images `[B, H, W, 3]`; labels get the colours of the palette."""
  flat = {key: np.asarray(x).reshape((-1,) + x.shape[2:]) for key, x in views.items()}
  return {
    key: to_bytes(x) if x.ndim == 4 else colorize(x, dataset.palette) for key, x in flat.items()
  }


def write_view_grid(path: Path, images: Mapping[str, np.ndarray], dataset: Dataset) -> None:
  """Writes the first images of every view as a grid with one column per view."""
  # A compiled function returns its views in the order of their names.
  names = [name for name in CAPTIONS if name in images]
  names += [name for name in images if name not in CAPTIONS]
  columns = (images[name] for name in names)
  rows = [[thumbnail(x, VISIBLE) for x in row] for row in zip(*columns, strict=False)]
  captions = [caption(name) for name in names]
  figure = grid(rows[:ROWS], captions, dataset.class_names, dataset.palette, void=True)
  write_png(path, figure)


def caption(name: str) -> str:
  """Returns the words for a view.

  Example:
    >>> caption('mixed'), caption('previous_label'), caption('pseudo_label')
    ('mixed image', 'previous label', 'pseudo-label')
  """
  words = name.replace('unlabeled', 'unlabelled').replace('pseudo_', 'pseudo-').replace('_', ' ')
  return CAPTIONS.get(name, words)
