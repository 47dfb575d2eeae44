"""Draws figures of a data set: images with their labels, and images mixed by class masks.

Synopsis:

    sheet = draw_contact_sheet(labeled_part, dataset)      # None if there are no valid images
    sheet.save('contact_sheet.png')
    draw_mixed_sheet(labeled_part, dataset).save('mixed.png')
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
from classmix_jax.types import Array, Size
from classmix_jax.utils.visualize import colorize, grid, overlay

CELL_WIDTH = 240  # pixels
NUM_EXAMPLES = 12  # on the contact sheet
NUM_MIXED = 4  # rows of mixed images
WHITE = np.uint8(255)


def draw_contact_sheet(part: Part, dataset: Dataset) -> Image.Image | None:
  """Draws images beside their labels, without those that have a finding.

  Returns:
    The figure; None if there is no valid image.
  """
  cells = []
  for index in choose_examples(part, NUM_EXAMPLES):
    image, label = part.source.read_image(index), part.source.load_label(index)
    size = (max(1, round(CELL_WIDTH * image.shape[0] / image.shape[1])), CELL_WIDTH)
    image, label = resize(image, size), resize(label, size)
    cells.append([image, tint(image, label, dataset)])
  if not cells:
    return None
  # Two examples, that is four cells, in a row.
  rows = [sum(cells[start : start + 2], []) for start in range(0, len(cells), 2)]
  captions = ('image', 'label (void: no colour)') * min(2, len(cells))
  return grid(rows, captions, dataset.class_names, dataset.palette)


def draw_mixed_sheet(part: Part, dataset: Dataset) -> Image.Image | None:
  """Draws labelled images mixed by their true labels.

  In a training the images have no labels, and masks come from the teacher's prediction
  (arXiv 2007.07936, section 3.1). All images are resized to the shape of the first.

  Returns:
    The figure; None if there are fewer than two valid images.
  """
  chosen = choose_examples(part, NUM_MIXED)
  if len(chosen) < 2:
    return None
  images = [part.source.read_image(index) for index in chosen]
  size = (max(1, round(CELL_WIDTH * images[0].shape[0] / images[0].shape[1])), CELL_WIDTH)
  image = np.stack([resize(image, size) for image in images])
  label = np.stack([resize(part.source.load_label(index), size) for index in chosen])
  mask, mixed, mixed_label = map(
    np.asarray, mix_by_labels(image, label, num_classes=len(dataset.class_names))
  )
  cut_out = np.where(mask[..., None], image, WHITE)
  rows = zip(
    image,
    cut_out,
    np.roll(image, -1, axis=0),
    mixed,
    tint(mixed, mixed_label, dataset),
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
def mix_by_labels(image: Array, label: Array, num_classes: int) -> tuple[Array, Array, Array]:
  """Mixes each image and label with the next by a mask of half of its classes.

  Args:
    image: `[B, H, W, 3]` uint8.
    label: `[B, H, W]` uint8.
    num_classes: C.

  Returns:
    Masks `[B, H, W]` bool, mixed images and mixed labels.
  """
  keys = ONE_DEVICE.keys(jax.random.key(0), len(image))
  mask = jax.vmap(class_mask, in_axes=(0, 0, None))(keys, label, num_classes)
  return mask, mix(mask, image), mix(mask, label)


def choose_examples(part: Part, most: int) -> list[int]:
  """Returns the indices of evenly spaced examples without a finding."""
  return [part.valid[position] for position in spread(len(part.valid), most)]


def tint(image: np.ndarray, label: np.ndarray, dataset: Dataset) -> np.ndarray:
  """Blends the colours of the labels over images; void pixels stay unchanged."""
  valid = (label < len(dataset.class_names))[..., None]
  return np.where(valid, overlay(image, colorize(label, dataset.palette)), image)


def resize(x: np.ndarray, size: Size) -> np.ndarray:
  """Resizes images `[H, W, 3]` bilinearly and class ids `[H, W]` by nearest neighbor."""
  resampling = Image.Resampling.BILINEAR if x.ndim == 3 else Image.Resampling.NEAREST
  return np.asarray(Image.fromarray(x).resize(size[::-1], resampling))
