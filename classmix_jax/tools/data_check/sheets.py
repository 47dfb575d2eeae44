"""Pictures of a data set: labels over their images, and what ClassMix makes of them.

Synopsis:

    sheet = contact_sheet(labeled_part, dataset)      # None where nothing can be shown
    sheet.save('contact_sheet.png')
    mixed_sheet(labeled_part, dataset).save('mixed.png')
"""

import functools

import jax
import numpy as np
from PIL import Image

from classmix_jax.core.collectives import ONE_DEVICE
from classmix_jax.core.mixing import mix
from classmix_jax.data.label_statistics import spread
from classmix_jax.data.source import Dataset
from classmix_jax.masks.class_mask import class_mask
from classmix_jax.tools.data_check.survey import Part
from classmix_jax.types import Array
from classmix_jax.utils.visualize import colorize, grid, overlay

CELL = 240  # pixels, width of a cell
EXAMPLES = 12  # on the contact sheet
MIXED = 4  # rows of mixtures
WHITE = np.uint8(255)


def contact_sheet(part: Part, dataset: Dataset) -> Image.Image | None:
  """Returns examples beside their labels; those with a finding are left out."""
  cells = []
  for index in shown(part, EXAMPLES):
    image, label = part.source.read_image(index), part.source.read_label(index)
    size = (max(1, round(CELL * image.shape[0] / image.shape[1])), CELL)
    image, label = fit(image, size), fit(label, size)
    cells.append([image, tinted(image, label, dataset)])
  if not cells:
    return None
  rows = [sum(cells[start : start + 2], []) for start in range(0, len(cells), 2)]
  captions = ('image', 'label (void: no colour)') * min(2, len(cells))
  return grid(rows, captions, dataset.class_names, dataset.palette)


def mixed_sheet(part: Part, dataset: Dataset) -> Image.Image | None:
  """Returns labelled images mixed by their true labels; None for fewer than two.

  In a training the images have no labels, and the teacher's prediction takes the place
  of the true one (arXiv 2007.07936, section 3.1). All images are brought to the shape
  of the first.
  """
  chosen = shown(part, MIXED)
  if len(chosen) < 2:
    return None
  images = [part.source.read_image(index) for index in chosen]
  size = (max(1, round(CELL * images[0].shape[0] / images[0].shape[1])), CELL)
  image = np.stack([fit(one, size) for one in images])
  label = np.stack([fit(part.source.read_label(index), size) for index in chosen])
  mask, mixed, mixed_label = map(
    np.asarray, mixture(image, label, num_classes=len(dataset.class_names))
  )
  cut_out = np.where(mask[..., None], image, WHITE)
  rows = zip(
    image,
    cut_out,
    np.roll(image, -1, axis=0),
    mixed,
    tinted(mixed, mixed_label, dataset),
    strict=True,
  )
  captions = (
    'labelled image',
    'half of its classes (true label)',
    'pasted on the next image',
    'mixed image',
    'mixed label (void: no colour)',
  )
  return grid([list(row) for row in rows], captions, dataset.class_names, dataset.palette)


@functools.partial(jax.jit, static_argnames='num_classes')
def mixture(image: Array, label: Array, num_classes: int) -> tuple[Array, Array, Array]:
  """Returns the masks of ClassMix by these labels `[B, H, W]`, and what they mix."""
  keys = ONE_DEVICE.keys(jax.random.key(0), len(image))
  mask = jax.vmap(class_mask, in_axes=(0, 0, None))(keys, label, num_classes)
  return mask, mix(mask, image), mix(mask, label)


def shown(part: Part, most: int) -> list[int]:
  """The examples that pictures show: of those without a finding, evenly spread."""
  return [part.sound[position] for position in spread(len(part.sound), most)]


def tinted(image: np.ndarray, label: np.ndarray, dataset: Dataset) -> np.ndarray:
  """Blends the colours of the labels over images; void keeps the image's own."""
  known = (label < len(dataset.class_names))[..., None]
  return np.where(known, overlay(image, colorize(label, dataset.palette)), image)


def fit(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """Resizes an image `[H, W, 3]` smoothly, class ids `[H, W]` to the nearest pixel."""
  resampling = Image.Resampling.BILINEAR if x.ndim == 3 else Image.Resampling.NEAREST
  return np.asarray(Image.fromarray(x).resize(size[::-1], resampling))
