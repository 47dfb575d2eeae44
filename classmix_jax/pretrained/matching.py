"""Matches the tensors of weights with the arrays of a network, by name and shape.

Synopsis:

    tree, result = copy_matching(tree, weights)
    print(format_report(result, weights.layout, 'resnet101.pth'))
    check_backbone(result, weights.layout, 'config.model.pretrained=resnet101.pth')
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from classmix_jax.errors import UserError
from classmix_jax.pretrained.layouts.layout import ArrayPath, Layout, Shape
from classmix_jax.pretrained.load import Weights
from classmix_jax.types import PyTree
from classmix_jax.utils.text import listed

MIN_MATCHED_FRACTION = 0.9  # of the backbone's tensors
COUNTER = 'num_batches_tracked'  # torch's BN uses it only without a momentum


class Mismatch(NamedTuple):
  """A tensor whose shape in the file differs from the network's."""

  name: str
  actual: Shape
  expected: Shape


class MatchResult(NamedTuple):
  """Names of the tensors of a file and of a network, in the file's naming.

  Attributes:
    matched: with the same name and shape in both.
    missing: in the network only.
    unexpected: in the file only.
    wrong_shape: in both, with different shapes.
    ignored: BN counters of the file, which have no effect.
  """

  matched: tuple[str, ...]
  missing: tuple[str, ...]
  unexpected: tuple[str, ...]
  wrong_shape: tuple[Mismatch, ...]
  ignored: tuple[str, ...]

  @property
  def expected(self) -> int:
    """Number of tensors of the network."""
    return len(self.matched) + len(self.missing) + len(self.wrong_shape)


# ------------------------------------------------------------------- comparison


def compare(actual: Mapping[str, Shape], expected: Mapping[str, Shape]) -> MatchResult:
  """Compares the tensor shapes of a file with those of a network, by name.

  Example:
    >>> compare({'a': (1,), 'b': (2,), 'c': (3,)}, {'a': (1,), 'b': (4,), 'd': (5,)})[:3]
    (('a',), ('d',), ('c',))
  """
  shared = sorted(actual.keys() & expected.keys())
  others = sorted(actual.keys() - expected.keys())
  return MatchResult(
    matched=tuple(name for name in shared if actual[name] == expected[name]),
    missing=tuple(sorted(expected.keys() - actual.keys())),
    unexpected=tuple(name for name in others if not name.endswith(COUNTER)),
    wrong_shape=tuple(
      Mismatch(name, actual[name], expected[name])
      for name in shared
      if actual[name] != expected[name]
    ),
    ignored=tuple(name for name in others if name.endswith(COUNTER)),
  )


def select_tensors(result: MatchResult, predicate: Callable[[str], bool]) -> MatchResult:
  """Returns the result for those tensors whose name satisfies `predicate`."""

  def select(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(filter(predicate, names))

  return MatchResult(
    matched=select(result.matched),
    missing=select(result.missing),
    unexpected=select(result.unexpected),
    wrong_shape=tuple(entry for entry in result.wrong_shape if predicate(entry.name)),
    ignored=select(result.ignored),
  )


def select_backbone(result: MatchResult, layout: Layout) -> MatchResult:
  """Returns the result for the tensors of the backbone."""
  return select_tensors(result, lambda name: not layout.is_head(name))


def select_head(result: MatchResult, layout: Layout) -> MatchResult:
  """Returns the result for the tensors outside the backbone."""
  return select_tensors(result, layout.is_head)


def to_array_path(path: Sequence) -> ArrayPath:
  """Converts a JAX key path in `{'params': ..., 'batch_stats': ...}`, without the collection."""
  return tuple(str(entry.key) for entry in path[1:])


def match_shapes(tree: PyTree, weights: Weights) -> MatchResult:
  """Compares weights with `{'params': ..., 'batch_stats': ...}` of arrays or shapes."""
  layout = weights.layout
  expected = {
    layout.tensor_name(to_array_path(path)): layout.to_file_shape(leaf.shape)
    for path, leaf in jax.tree.leaves_with_path(tree)
  }
  return compare({name: x.shape for name, x in weights.tensors.items()}, expected)


def copy_matching(tree: PyTree, weights: Weights) -> tuple[PyTree, MatchResult]:
  """Copies the tensors of `weights` whose name and shape occur in `tree`.

  Args:
    tree: `{'params': ..., 'batch_stats': ...}`.
    weights: see `load.open_weights`.

  Returns:
    The tree, in which other arrays are unchanged, and the result of the comparison.
  """
  result = match_shapes(tree, weights)
  matched = frozenset(result.matched)

  def copy(path: Sequence, leaf: np.ndarray) -> np.ndarray:
    name = weights.layout.tensor_name(to_array_path(path))
    return weights.layout.from_file(weights.tensors[name]) if name in matched else leaf

  return jax.tree.map_with_path(copy, tree), result


# ----------------------------------------------------------------------- checks


def compute_matched_fraction(result: MatchResult) -> float:
  """Returns the fraction of matched tensors, relative to the larger of network and file."""
  in_file = len(result.matched) + len(result.unexpected) + len(result.wrong_shape)
  return len(result.matched) / max(result.expected, in_file, 1)


def check_backbone(result: MatchResult, layout: Layout, setting: str) -> None:
  """Checks that at least 90 % of the backbone's tensors match.

  A file with more tensors than the network belongs to another network, too. The head may differ,
  since data sets have different classes.

  Args:
    result: see `compare`.
    layout: of the file.
    setting: the flag or config field with its value, for the message.

  Raises:
    UserError: less than 90 % match.
  """
  backbone = select_backbone(result, layout)
  fraction = compute_matched_fraction(backbone)
  if fraction < MIN_MATCHED_FRACTION:
    raise UserError(
      f'{setting} contains another network: {100 * fraction:.0f} % of the backbone matches '
      f'({len(backbone.matched)} tensors matched, {len(backbone.missing)} missing, '
      f'{len(backbone.unexpected)} unexpected, {len(backbone.wrong_shape)} of the wrong shape), at '
      f'least {100 * MIN_MATCHED_FRACTION:.0f} % must. Use the backbone that the weights are from.'
    )


def fits_exactly(result: MatchResult, layout: Layout, class_names: frozenset[str]) -> bool:
  """Returns whether the whole backbone matches, and the head matches or can be replaced.

  A head can be replaced if the file has none of it, or all of it for another number of classes.

  Args:
    result: see `compare`.
    layout: of the file.
    class_names: names of the tensors whose first axis is the class.
  """
  backbone, head = select_backbone(result, layout), select_head(result, layout)
  if backbone.missing or backbone.unexpected or backbone.wrong_shape:
    return False
  if not head.matched and not head.wrong_shape:  # the file has no such head
    return True
  other_classes = {
    name for name, actual, expected in head.wrong_shape if actual[1:] == expected[1:]
  }
  counts = {(actual[0], expected[0]) for _, actual, expected in head.wrong_shape if actual}
  return not head.missing and (
    not head.wrong_shape or other_classes == class_names and len(counts) == 1
  )


# ----------------------------------------------------------------------- report


def format_matched_count(result: MatchResult) -> str:
  """Returns for example 'matched 520 of 528 tensors', counted in the network."""
  return f'matched {len(result.matched)} of {result.expected} tensors'


def describe_shapes(mismatches: Sequence[Mismatch]) -> list[str]:
  """Returns for example 'fc.bias [21], expected [19]' for each mismatch."""
  return [
    f'{name} {list(actual)}, expected {list(expected)}' for name, actual, expected in mismatches
  ]


def describe_head(result: MatchResult, layout: Layout) -> list[str]:
  """Returns a line if the head is initialized from scratch, else nothing."""
  head = select_head(result, layout)
  if head.wrong_shape:
    actual, expected = head.wrong_shape[0].actual[:1], head.wrong_shape[0].expected[:1]
    if actual != expected:
      return [
        f'  the head is for {actual[0]} classes, not for {expected[0]}: '
        'it is initialized from scratch'
      ]
  elif head.missing and not head.matched:
    return ['  the file has no such head: it is initialized from scratch']
  return []


def format_report(result: MatchResult, layout: Layout, title: str, most: int = 1000) -> str:
  """Returns a line with the number of matches, and one for each kind of other tensors.

  Args:
    result: see `compare`.
    layout: of the file.
    title: start of the first line.
    most: maximum number of names in a line.
  """
  lines = [f'{title}: {format_matched_count(result)}']
  for kind, entries in (
    ('missing', result.missing),
    ('unexpected', result.unexpected),
    ('wrong shape', describe_shapes(result.wrong_shape)),
  ):
    if entries:
      lines.append(f'  {kind:11}  {len(entries)}: {listed(entries, most)}')
  if result.ignored:
    lines.append(f'  ignored      {len(result.ignored)} {COUNTER}, which have no effect')
  return '\n'.join([*lines, *describe_head(result, layout)])
