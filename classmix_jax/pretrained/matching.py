"""Compares weights with a network: every tensor of both is accounted for.

Synopsis:

    tree, account = copy_matching(tree, weights)       # takes over what has the same name and shape
    print(format_report(account, weights.layout, 'resnet101.pth'))
    check_backbone(account, weights.layout, 'config.model.pretrained=resnet101.pth')
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from classmix_jax.errors import UserError
from classmix_jax.pretrained.layouts.layout import Layout, Path, Shape
from classmix_jax.pretrained.load import Weights
from classmix_jax.types import PyTree
from classmix_jax.utils.text import listed

MINIMUM_SHARE = 0.9  # of the backbone's tensors
COUNTER = 'num_batches_tracked'  # of BN layers with a momentum, which never read it


class Mismatch(NamedTuple):
  """A tensor whose shape is not the network's."""

  name: str
  found: Shape
  expected: Shape


class MatchResult(NamedTuple):
  """Names of tensors, as the file calls them.

  Attributes:
    matched: of the same name and shape in file and network.
    missing: of the network, not in the file.
    unexpected: of the file, not in the network.
    wrong_shape: in both, of two shapes.
    ignored: counters of the file that nothing reads.
  """

  matched: tuple[str, ...]
  missing: tuple[str, ...]
  unexpected: tuple[str, ...]
  wrong_shape: tuple[Mismatch, ...]
  ignored: tuple[str, ...]

  @property
  def expected(self) -> int:
    """How many tensors the network has."""
    return len(self.matched) + len(self.missing) + len(self.wrong_shape)


def compare(found: Mapping[str, Shape], expected: Mapping[str, Shape]) -> MatchResult:
  """Accounts for every name of a file and of a network.

  Example:
    >>> compare({'a': (1,), 'b': (2,), 'c': (3,)}, {'a': (1,), 'b': (4,), 'd': (5,)})[:3]
    (('a',), ('d',), ('c',))
  """
  both = sorted(found.keys() & expected.keys())
  others = sorted(found.keys() - expected.keys())
  return MatchResult(
    matched=tuple(name for name in both if found[name] == expected[name]),
    missing=tuple(sorted(expected.keys() - found.keys())),
    unexpected=tuple(name for name in others if not name.endswith(COUNTER)),
    wrong_shape=tuple(
      Mismatch(name, found[name], expected[name]) for name in both if found[name] != expected[name]
    ),
    ignored=tuple(name for name in others if name.endswith(COUNTER)),
  )


def select_tensors(account: MatchResult, belongs: Callable[[str], bool]) -> MatchResult:
  """Returns the account of those tensors whose name `belongs`."""
  return MatchResult(
    *(
      tuple(
        entry for entry in entries if belongs(entry.name if isinstance(entry, Mismatch) else entry)
      )
      for entries in account
    )
  )


def select_backbone(account: MatchResult, layout: Layout) -> MatchResult:
  return select_tensors(account, lambda name: not layout.is_head(name))


def select_head(account: MatchResult, layout: Layout) -> MatchResult:
  return select_tensors(account, layout.is_head)


def describe_shapes(mismatches: Sequence[Mismatch]) -> list[str]:
  return [
    f'{name} {list(found)}, expected {list(expected)}' for name, found, expected in mismatches
  ]


def format_matched_count(account: MatchResult) -> str:
  """'matched 520 of 528 tensors', of the network."""
  return f'matched {len(account.matched)} of {account.expected} tensors'


def describe_head(account: MatchResult, layout: Layout) -> list[str]:
  """Says what becomes of a head that does not fit as a whole; nothing where it does."""
  top = select_head(account, layout)
  if top.wrong_shape:
    there, here = top.wrong_shape[0].found[:1], top.wrong_shape[0].expected[:1]
    if there != here:
      return [f'  the head is for {there[0]} classes, not for {here[0]}: it starts anew']
  elif top.missing and not top.matched:
    return ['  the file has no such head: it starts anew']
  return []


def format_report(account: MatchResult, layout: Layout, title: str, most: int = 1000) -> str:
  """Returns one line on what matched and one for each kind of tensor that did not.

  Args:
    account: see `compare`.
    layout: of the file.
    title: what the first line begins with.
    most: names that a line shows.
  """
  lines = [f'{title}: {format_matched_count(account)}']
  for kind, entries in (
    ('missing', account.missing),
    ('unexpected', account.unexpected),
    ('wrong shape', describe_shapes(account.wrong_shape)),
  ):
    if entries:
      lines.append(f'  {kind:11}  {len(entries)}: {listed(entries, most)}')
  if account.ignored:
    lines.append(f'  ignored      {len(account.ignored)} {COUNTER}, which nothing reads')
  return '\n'.join([*lines, *describe_head(account, layout)])


def to_array_path(path: Sequence) -> Path:
  """The path of an array in `{'params': ..., 'batch_stats': ...}`, without the collection."""
  return tuple(str(entry.key) for entry in path[1:])


def match_shapes(tree: PyTree, weights: Weights) -> MatchResult:
  """Compares weights with `{'params': ..., 'batch_stats': ...}` of arrays or of their shapes."""
  layout = weights.layout
  expected = {
    layout.name(to_array_path(path)): layout.shape(leaf.shape)
    for path, leaf in jax.tree.leaves_with_path(tree)
  }
  return compare({name: x.shape for name, x in weights.tensors.items()}, expected)


def copy_matching(tree: PyTree, weights: Weights) -> tuple[PyTree, MatchResult]:
  """Copies every tensor of `weights` whose name and shape occur in `tree`.

  Args:
    tree: `{'params': ..., 'batch_stats': ...}`.
    weights: see `source.open_weights`.

  Returns:
    The tree, other arrays as they were, and the account.
  """
  account = match_shapes(tree, weights)
  matched = frozenset(account.matched)

  def take(path: Sequence, leaf: np.ndarray) -> np.ndarray:
    name = weights.layout.name(to_array_path(path))
    return weights.layout.from_file(weights.tensors[name]) if name in matched else leaf

  return jax.tree.map_with_path(take, tree), account


def compute_matched_fraction(account: MatchResult) -> float:
  """The share of tensors that matched, among those of the network and of the file."""
  in_file = len(account.matched) + len(account.unexpected) + len(account.wrong_shape)
  return len(account.matched) / max(account.expected, in_file, 1)


def check_backbone(account: MatchResult, layout: Layout, what: str) -> None:
  """Refuses another network: less than 90 % of the backbone's tensors fit.

  A file that has more than the network is another network too. A head for
  other classes is expected not to fit.

  Raises:
    UserError: says `what` does not fit.
  """
  found = select_backbone(account, layout)
  fraction = compute_matched_fraction(found)
  if fraction < MINIMUM_SHARE:
    raise UserError(
      f'{what} holds another network: {100 * fraction:.0f} % of the backbone fits '
      f'({len(found.matched)} tensors matched, {len(found.missing)} missing, '
      f'{len(found.unexpected)} unexpected, {len(found.wrong_shape)} of the wrong shape), at '
      f'least {100 * MINIMUM_SHARE:.0f} % must. Use the backbone that the weights are from.'
    )


def fits_exactly(account: MatchResult, layout: Layout, class_names: frozenset[str]) -> bool:
  """Whether all of the backbone fits, and the head: whole, not at all, or but for its classes.

  Args:
    account: see `compare`.
    layout: of the file.
    class_names: the tensors whose first axis is the class.
  """
  body, top = select_backbone(account, layout), select_head(account, layout)
  if body.missing or body.unexpected or body.wrong_shape:
    return False
  if not top.matched and not top.wrong_shape:  # no head, or another one altogether
    return True
  other_classes = {name for name, found, expected in top.wrong_shape if found[1:] == expected[1:]}
  counts = {(found[0], expected[0]) for _, found, expected in top.wrong_shape if found}
  return not top.missing and (
    not top.wrong_shape or other_classes == class_names and len(counts) == 1
  )
