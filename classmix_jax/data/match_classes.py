"""Reads the labels of a data set with the class ids of a training run, matched by name.

Synopsis:

    dataset = match_classes(dataset, ('ground', 'box', 'ball'), palette, 'RUN')
"""

from collections.abc import Sequence
import dataclasses
import functools

import numpy as np

from classmix_jax.data.files.colors import Color
from classmix_jax.data.source import Dataset, Source
from classmix_jax.errors import UserError
from classmix_jax.types import VOID
from classmix_jax.utils.text import listed

CLASSES_SHOWN = 12


def match_classes(
  dataset: Dataset, names: Sequence[str], palette: Sequence[Color], owner: str
) -> Dataset:
  """Returns the data set with the classes of a run; those that it lacks have no pixels.

  Args:
    dataset: of which `val` is evaluated.
    names: classes of the run, in its order.
    palette: colour of each.
    owner: of these classes, for the message.

  Raises:
    UserError: the data set has a class that the run does not have.
  """
  if tuple(names) == dataset.class_names:
    return dataset
  unknown = [name for name in dataset.class_names if name not in names]
  if unknown:
    raise UserError(
      f'the data set has the classes {listed(dataset.class_names, CLASSES_SHOWN)}, but {owner} was '
      f'trained with {listed(names, CLASSES_SHOWN)}: {listed(unknown, CLASSES_SHOWN)} '
      f'{"is" if len(unknown) == 1 else "are"} none of these; name the classes as there in the '
      'class file of the data set, or evaluate on data of these classes.'
    )
  table = np.full(256, VOID, np.uint8)
  table[: len(dataset.class_names)] = [list(names).index(name) for name in dataset.class_names]
  return dataclasses.replace(
    dataset,
    class_names=tuple(names),
    palette=tuple(palette),
    val=translate_labels(dataset.val, table),
    raw_ids=None,
  )


def translate_labels(source: Source, table: np.ndarray) -> Source:
  """Returns the source with labels `table[label]`."""
  return dataclasses.replace(
    source, read_label=functools.partial(_translated, source, table), version=None
  )


def _translated(source: Source, table: np.ndarray, index: int) -> np.ndarray:
  return table[source.load_label(index)]
