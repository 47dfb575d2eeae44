"""Reads the labels of a data set with the class ids of a training run, matched by name.

Synopsis:

    match = match_classes(dataset.class_names, ('ground', 'box', 'ball'))
    dataset = translate_classes(dataset, match, palette)
"""

from collections.abc import Mapping, Sequence
import dataclasses
import functools
from typing import NamedTuple

import numpy as np

from classmix_jax.data.class_files.names import match_names
from classmix_jax.data.files.colors import Color
from classmix_jax.data.source import Dataset, Source
from classmix_jax.errors import UserError
from classmix_jax.types import VOID
from classmix_jax.utils.text import are, listed, plural

CLASSES_SHOWN = 12


class ClassMatch(NamedTuple):
  """Which class of a data set is which class of a run.

  Attributes:
    names: classes of the run, in its order.
    labels: id in the data set -> id in the run; classes that the run does not have are missing.
    renamed: name in the data set -> name in the run, of equal classes that are spelled differently.
    void: names of the data set that are no classes of the run.
    absent: names of the run that are no classes of the data set.
  """

  names: tuple[str, ...]
  labels: Mapping[int, int]
  renamed: Mapping[str, str]
  void: tuple[str, ...]
  absent: tuple[str, ...]

  def is_identity(self) -> bool:
    """Returns whether all classes of the data set have the same id in the run."""
    return not self.void and all(old == new for old, new in self.labels.items())

  def as_record(self) -> dict[str, object]:
    """Returns the classes that are not equal in both, for JSON."""
    return {
      'renamed': dict(self.renamed),
      'void': list(self.void),
      'absent': list(self.absent),
    }

  def describe(self) -> list[str]:
    """Returns sentences on classes that are not equal in both."""
    sentences = []
    if any(old != new for old, new in self.labels.items()):
      pairs = [f'{old} {self.names[new]}' for old, new in self.labels.items()]
      sentences.append(
        f'Ids are not those of the run and matched by name: {listed(pairs, CLASSES_SHOWN)}.'
      )
    if self.renamed:
      spellings = [f"'{old}' is '{new}'" for old, new in self.renamed.items()]
      sentences.append(
        f'Classes with another spelling: {listed(spellings, CLASSES_SHOWN)} of the run.'
      )
    if self.void:
      sentences.append(
        f'{listed(self.void, CLASSES_SHOWN)} {are(self.void)} no {_classes(self.void)} of the run: '
        'such pixels are void and not scored.'
      )
    if self.absent:
      sentences.append(
        f'The {_classes(self.absent)} {listed(self.absent, CLASSES_SHOWN)} of the run '
        f'{are(self.absent)} not labelled here and {"has" if len(self.absent) == 1 else "have"} '
        'no IoU.'
      )
    return sentences


def _classes(names: Sequence[str]) -> str:
  return 'class' if len(names) == 1 else 'classes'


def match_classes(class_names: Sequence[str], names: Sequence[str], owner: str) -> ClassMatch:
  """Returns which classes of a data set are those of a run, by name.

  Args:
    class_names: of the data set.
    names: classes of the run.
    owner: of these classes, for the message.

  Raises:
    UserError: none of the names is one of the run's.

  Example: `match_classes(('box', 'Ground'), ('ground', 'box'), 'RUN').labels == {0: 1, 1: 0}`.
  """
  matches = match_names(class_names, names)
  if not matches:
    raise UserError(
      f'the data set has the {plural("name", class_names)} {listed(class_names, CLASSES_SHOWN)}, '
      f'none of which is a class of {owner} ({listed(names, CLASSES_SHOWN)}): name the classes as '
      'there in the class file of the data set, or set --config.data.classes=FILE.'
    )
  present = set(matches.values())
  return ClassMatch(
    tuple(names),
    {label: matches[name] for label, name in enumerate(class_names) if name in matches},
    {name: names[label] for name, label in matches.items() if name != names[label]},
    tuple(name for name in class_names if name not in matches),
    tuple(name for label, name in enumerate(names) if label not in present),
  )


def translate_classes(dataset: Dataset, match: ClassMatch, palette: Sequence[Color]) -> Dataset:
  """Returns the data set with the classes of a run; pixels of other classes are void.

  Args:
    dataset: of which `val` is evaluated.
    match: see `match_classes`.
    palette: colour of each class of the run.
  """
  if match.names == dataset.class_names:
    return dataset
  table = np.full(256, VOID, np.uint8)
  for old, new in match.labels.items():
    table[old] = new
  return dataclasses.replace(
    dataset,
    class_names=match.names,
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
