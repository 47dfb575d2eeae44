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

COUNTER = 'num_batches_tracked'  # torch's BN uses it only without a momentum
UNUSED = 'unused_'  # start of the name of an array that exists in published weights only


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


def is_unused(path: ArrayPath) -> bool:
  """Returns whether an array has no effect on the network, so that a file can lack it."""
  return any(name.startswith(UNUSED) for name in path)


def match_shapes(tree: PyTree, weights: Weights) -> MatchResult:
  """Compares weights with `{'params': ..., 'batch_stats': ...}` of arrays or shapes."""
  layout, actual = weights.layout, {name: x.shape for name, x in weights.tensors.items()}
  expected = {}
  for key_path, leaf in jax.tree.leaves_with_path(tree):
    path = to_array_path(key_path)
    name = layout.tensor_name(path)
    if name in actual or not is_unused(path):
      expected[name] = layout.to_file_shape(path, leaf.shape)
  return compare(actual, expected)


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

  def copy(key_path: Sequence, leaf: np.ndarray) -> np.ndarray:
    path = to_array_path(key_path)
    name = weights.layout.tensor_name(path)
    return weights.layout.from_file(path, weights.tensors[name]) if name in matched else leaf

  return jax.tree.map_with_path(copy, tree), result


# ----------------------------------------------------------------------- checks


def compute_matched_fraction(result: MatchResult) -> float:
  """Returns the fraction of matched tensors, relative to the larger of network and file."""
  in_file = len(result.matched) + len(result.unexpected) + len(result.wrong_shape)
  return len(result.matched) / max(result.expected, in_file, 1)


def check_backbone(result: MatchResult, layout: Layout, setting: str) -> None:
  """Checks that enough of the backbone's tensors match, by `layout.min_matched`.

  A file with more tensors than the network belongs to another network, too. The head may differ,
  since data sets have different classes.

  Args:
    result: see `compare`.
    layout: of the file.
    setting: the flag or config field with its value, for the message.

  Raises:
    UserError: fewer match.
  """
  backbone = select_backbone(result, layout)
  if compute_matched_fraction(backbone) < layout.min_matched:
    raise UserError(
      f'{setting} contains another network: {int(100 * compute_matched_fraction(backbone))} % of '
      f'the backbone matches ({len(backbone.matched)} tensors matched, {len(backbone.missing)} '
      f'missing, {len(backbone.unexpected)} unexpected, {len(backbone.wrong_shape)} of the wrong '
      f'shape; {describe_difference(backbone)}), at least {100 * layout.min_matched:.0f} % must. '
      'Use the backbone that the weights are from.'
    )


def describe_difference(result: MatchResult) -> str:
  """Returns for example 'fc.bias is missing' for the first tensor that differs, or ''."""
  examples = [
    *(f'for example {text}' for text in describe_shapes(result.wrong_shape[:1])),
    *(f'for example {name} is missing' for name in result.missing[:1]),
    *(f'for example {name} is unexpected' for name in result.unexpected[:1]),
  ]
  return examples[0] if examples else ''


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
