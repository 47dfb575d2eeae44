"""Chooses the part of a data set that is evaluated: validation, tests, or all.

Synopsis:

    opened = open_part(values, 'test')
    opened.dataset.val, opened.sentence    # the images for tests
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from classmix_jax.config.trained import open_validation
from classmix_jax.data.files.checks import check_pairs, file_pairs
from classmix_jax.data.source import Dataset, Source, concat
from classmix_jax.errors import UserError
from classmix_jax.utils.text import plural

Values = Mapping[str, Any]  # a run's config as nested plain dicts


class Opened(NamedTuple):
  """A data set of which a part is evaluated.

  Attributes:
    dataset: its `val` is this part.
    part: 'val', 'test' or 'all'.
    is_only: whether the data set has no other part.
    sentence: on the part, and on others that it has.
  """

  dataset: Dataset
  part: str
  is_only: bool
  sentence: str


def open_part(values: Values, part: str) -> Opened:
  """Opens a data set with one of its parts as its `val`.

  Raises:
    UserError: the data is missing or wrong, or there is no such part.
  """
  root = values['data']['root'] or values['data']['name']
  chosen = []

  def choose(dataset: Dataset) -> Source:
    name, source = choose_part(dataset, part, root)
    is_only = len(list_parts(dataset)) == 1
    chosen.append((name, is_only, describe_part(dataset, name, root, source)))
    return source

  dataset = open_validation(values, choose)
  return Opened(dataset, *chosen[0])


def list_parts(dataset: Dataset) -> dict[str, list[Source]]:
  """Returns part -> its sources with labels, of a data set; the first part is the default.

  Without examples for training those for validation are all that there are.
  """
  sources = [dataset.train, dataset.val, dataset.test]
  parts: dict[str, list[Source]] = {}
  if len(dataset.train):
    parts['val'] = [dataset.val]
  if dataset.test is not None:
    parts['test'] = [dataset.test]
  parts['all'] = [source for source in sources if source]
  return parts


def choose_part(dataset: Dataset, part: str, root: str) -> tuple[str, Source]:
  """Returns the name of a part, the first if it is '', and its examples.

  Raises:
    UserError: there is no such part, or masks do not fit their images.
  """
  parts = list_parts(dataset)
  part = part or next(iter(parts))
  if part not in parts:
    raise UserError(
      f'{root} has no {part} part with masks: choose --part={" or --part=".join(parts)}.'
    )
  for source in parts[part]:
    if source.files is not None and source.files.decoding is not None:
      check_pairs(file_pairs(source), source.files.decoding)
  first, *others = parts[part]
  for other in others:
    first = concat(first, other)
  return part, first


def describe_part(dataset: Dataset, part: str, root: str, scored: Source) -> str:
  """Returns a sentence on the scored images, with the parts that could be chosen instead."""
  counts = {name: sum(map(len, sources)) for name, sources in list_parts(dataset).items()}
  others = [f'--part={name} has {count:,}' for name, count in counts.items() if name != part]
  which = {'val': 'for validation', 'test': 'for tests', 'all': 'with a mask'}[part]
  more = f' ({", ".join(others)})' if others else ''
  every = 'all ' if part == 'all' else 'the '
  return f'data: {root}, {every}{len(scored):,} {plural("image", scored.names)} {which}{more}'
