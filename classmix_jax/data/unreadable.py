"""Which examples of a training read: found once, before the first step, for those who ask for it.

Synopsis:

    left_out = find_left_out(dataset, labeled=[3, 7])    # LeftOut: name -> what is wrong
    train = without(dataset.train, left_out.train)
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from classmix_jax.data.files.checks import describe_misfit
from classmix_jax.data.files.image_io import read_header
from classmix_jax.data.label_statistics import count_values
from classmix_jax.data.source import Dataset, Source, subset
from classmix_jax.errors import UserError
from classmix_jax.utils.threads import in_parallel


class LeftOut(NamedTuple):
  """Examples that do not read: name -> one sentence, of `train` and of `unlabeled`."""

  train: Mapping[str, str]
  unlabeled: Mapping[str, str]

  def __bool__(self) -> bool:
    return bool(self.train or self.unlabeled)

  def __str__(self) -> str:
    return f'{len(self.train)} of train, {len(self.unlabeled)} of unlabeled'


NOTHING = LeftOut({}, {})


def find_left_out(
  dataset: Dataset,
  labeled: Collection[int],
  progress: Callable[[int], None] = lambda done: None,
) -> LeftOut:
  """Reads all training images, and the masks of the labelled ones alone.

  Args:
    dataset: opened, its files not yet copied.
    labeled: the examples of `train` whose masks may be opened.
    progress: told how many have been read.

  Example: `find_left_out(dataset, labeled=range(30)).train` may be
    `{'a': 'images/a.png does not decode (...)'}`.
  """
  labeled = frozenset(map(int, labeled))
  done = 0

  def scan(source: Source | None, with_label: Callable[[int], bool]) -> dict[str, str]:
    nonlocal done
    found: dict[str, str] = {}
    indices: Iterable[int] = range(len(source)) if source else ()
    for index, sentence in enumerate(
      in_parallel(lambda i: flaw(source, i, dataset.class_names, with_label(i)), indices)
    ):
      if sentence:
        found[source.names[index]] = sentence
      done += 1
      progress(done)
    return found

  return LeftOut(
    scan(dataset.train, labeled.__contains__), scan(dataset.unlabeled, lambda index: False)
  )


def flaw(source: Source, index: int, class_names: Sequence[str], with_label: bool) -> str:
  """Returns what is wrong with an example, '' where nothing is."""
  try:
    source.read_image(index)
    if not with_label:
      return ''
    count_values(source, index, class_names)
    if source.files is None or source.files.mask is None:
      return ''
    # By the files: at a working resolution image and mask have one size, whatever they had.
    image, mask = source.files.image(index), source.files.mask(index)
    return describe_misfit(image, read_header(image), mask, read_header(mask))
  except UserError as error:
    return str(error)


def without(source: Source, names: Collection[str]) -> Source:
  """Returns the source without the examples of these names."""
  if not names:
    return source
  return subset(source, np.flatnonzero([name not in names for name in source.names]))
