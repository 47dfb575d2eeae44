"""Draws what a method learns from.

Synopsis:

    views = make_views(method, devices, batch)
    columns = color_views(views(state), dataset.palette)
    write_columns(Path('training.png'), columns, dataset)
"""

from collections.abc import Callable, Sequence
import itertools
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from classmix_jax.core.frozen import with_frozen
from classmix_jax.data.source import Dataset
from classmix_jax.methods.views import View
from classmix_jax.types import AXIS, Array, Batch, Method, TrainState
from classmix_jax.utils.atomic_write import write_png
from classmix_jax.utils.visualize import (
  MARGIN,
  VISIBLE,
  colorize,
  grid,
  hatch_padding,
  thumbnail,
  to_bytes,
)

ROWS = 4  # of RUN/training.png
WIDTH = 1600  # pixels of RUN/training.png, unless its columns become too narrow

Views = Callable[[TrainState], tuple[View, ...]]


def make_views(method: Method, devices: list, batch: Batch) -> Views:
  """Returns `views(state)`: what the method learns from on one fixed batch `[D, A, b, ...]`."""

  def views(state: TrainState, batch: Batch, key: Array) -> tuple[View, ...]:
    return method.views(with_frozen(state, method.averages), batch, key)

  pmapped = jax.pmap(
    views,
    axis_name=AXIS,
    in_axes=(None, 0, None),
    devices=list(devices) if jax.process_count() == 1 else None,
  )
  return lambda state: pmapped(state, batch, jax.random.key(0))


class Column(NamedTuple):
  """A view as it is drawn.

  Attributes:
    heading: of the view.
    images: `[B, H, W, 3]` uint8.
    valid: `[B, H, W]` bool, False on padding.
  """

  heading: str
  images: np.ndarray
  valid: np.ndarray


def color_views(views: Sequence[View], palette: Sequence[Sequence[int]]) -> list[Column]:
  """Returns the views of all devices, `[D, b, ...]`, as images; labels get their colours."""
  columns = []
  for view in views:
    pixels, valid = (np.asarray(x).reshape(-1, *x.shape[2:]) for x in (view.pixels, view.valid))
    images = to_bytes(pixels) if pixels.ndim == 4 else colorize(pixels, palette)
    columns.append(Column(view.heading, images, valid))
  return columns


def number_columns(columns: Sequence[Column]) -> dict[str, np.ndarray]:
  """Returns number and heading -> images `[B, H, W, 3]` uint8, with the padding hatched.

  TensorBoard sorts images by name; the number keeps the order of the columns.
  """
  return {
    f'{number} {column.heading}': hatch_padding(column.images, column.valid)
    for number, column in enumerate(columns, 1)
  }


def write_columns(path: Path, columns: Sequence[Column], dataset: Dataset) -> None:
  """Writes the first images of every column as a figure."""
  side = max(VISIBLE, WIDTH // len(columns) - MARGIN)
  cells = [
    [draw_cell(*pair, side) for pair in zip(column.images, column.valid, strict=True)]
    for column in columns
  ]
  blank = np.full_like(cells[0][0], 255)  # batches with and without labels may differ in size
  rows = list(itertools.zip_longest(*cells, fillvalue=blank))[:ROWS]
  padding = any(not column.valid.all() for column in columns)
  figure = grid(
    rows,
    [column.heading for column in columns],
    dataset.class_names,
    dataset.palette,
    void=True,
    padding=padding,
  )
  write_png(path, figure)


def draw_cell(image: np.ndarray, valid: np.ndarray, side: int) -> np.ndarray:
  """Returns a thumbnail `[h, w, 3]` of at most `side` pixels, with the padding hatched."""
  return hatch_padding(thumbnail(image, VISIBLE, side), thumbnail(valid, VISIBLE, side))
