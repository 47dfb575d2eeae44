"""Gathers what is known about a data set before training.

Synopsis:

    facts = gather_facts(config)
    facts.size, facts.labeled, facts.kept
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from classmix_jax.config.data import choose_split, open_dataset
from classmix_jax.config.lookup import Config
from classmix_jax.core.metrics import iou
from classmix_jax.core.resize import nearest_pixels
from classmix_jax.data.files.image_io import read_header
from classmix_jax.data.source import Source
from classmix_jax.types import Size

MAX_IMAGES = 64  # whose size, or mask, is read
PIXELS = (256**2, 362**2, 512**2)  # of working sizes; each has twice as many as the last
LARGEST_SHARE = 0.7  # of the pixels of an image that a smaller size may have, to be worth it
MULTIPLE = 32  # of the sides of working images


class Facts(NamedTuple):
  """What the open fields of a config are chosen by.

  Attributes:
    size: (height, width) of the training images in pixels, the medians of a sample.
    equal: whether all images of the sample have this size.
    labeled: number of labelled images.
    unlabeled: number of images without labels.
    kept: working size -> mIoU in 0..1 of the masks made smaller to it and larger again; empty if
      the images are small.
  """

  size: Size
  equal: bool
  labeled: int
  unlabeled: int
  kept: Mapping[Size, float]


def fit_pixels(size: Size, most: int) -> Size:
  """Returns a size of about `most` pixels with the same shape, in multiples of 32.

  Example:
    >>> fit_pixels((966, 1296), 512 * 512)
    (448, 608)
  """
  factor = (most / (size[0] * size[1])) ** 0.5
  height, width = (MULTIPLE * max(1, round(side * factor / MULTIPLE)) for side in size)
  return height, width


def resize_label(label: np.ndarray, size: Size) -> np.ndarray:
  """Returns a label `[H, W]` at a size `(h, w)`, by the nearest pixel.

  Example:
    >>> resize_label(np.array([[0, 1, 2, 3]]), (1, 2)).tolist()
    [[1, 3]]
  """
  rows, columns = map(nearest_pixels, label.shape, size)
  return label[rows][:, columns]


def measure_kept(labels: Sequence[np.ndarray], size: Size, num_classes: int) -> float:
  """Returns the mIoU in 0..1 that perfect predictions of a working size would have.

  Args:
    labels: `[H, W]` integer class ids each; ids of `num_classes` and more are void.
    size: (h, w) to which they are made smaller, then enlarged again by the nearest pixel.
    num_classes: C.
  """
  counts = np.zeros((num_classes, num_classes), np.int64)
  for label in labels:
    again = resize_label(resize_label(label, size), label.shape)
    known = (label < num_classes) & (again < num_classes)
    cells = label[known].astype(np.int64) * num_classes + again[known]
    counts += np.bincount(cells, minlength=counts.size).reshape(counts.shape)
  return float(np.nanmean(iou(counts)))


def spread(source: Source) -> list[int]:
  """Returns up to MAX_IMAGES indices, evenly spread over a source."""
  count = min(MAX_IMAGES, len(source))
  return [index * len(source) // count for index in range(count)]


def read_size(source: Source, index: int) -> Size:
  """Returns (height, width) of an image, from the header of its file if it has one."""
  if source.files is not None:
    return read_header(source.files.image(index)).size
  height, width, _ = source.read_image(index).shape
  return height, width


def gather_facts(config: Config) -> Facts:
  """Opens the data set of a config and returns what is known about it.

  Raises:
    UserError: the data is missing or wrong, or an image cannot be read.
  """
  dataset = open_dataset(config, None)
  split = choose_split(config, dataset)
  assert split.unlabeled is not None
  sizes = [
    read_size(source, i) for source in (split.labeled, split.unlabeled) for i in spread(source)
  ]
  height, width = (int(np.median(sides)) for sides in zip(*sizes, strict=True))
  smaller = [fit_pixels((height, width), p) for p in PIXELS if p < LARGEST_SHARE * height * width]
  labels = [split.labeled.load_label(i) for i in spread(split.labeled)] if smaller else []
  kept = {size: measure_kept(labels, size, len(dataset.class_names)) for size in smaller}
  counts = len(split.labeled), len(split.unlabeled)
  return Facts((height, width), len(set(sizes)) == 1, *counts, kept)
