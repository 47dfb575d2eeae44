"""Pairs names that have a common part between constant beginnings and ends.

Synopsis:

    find_affix_pairs(['img_1', 'img_2'], ['1', '2'])    # {'img_1': '1', 'img_2': '2'}
"""

from collections import Counter
from collections.abc import Iterator, Sequence
import re
from typing import NamedTuple

# Beside a separator, and between a letter and a digit.
BOUNDARY = re.compile(r'(?<=[^\W_])(?=[\W_])|(?<=[\W_])(?=[^\W_])|(?<=\D)(?=\d)|(?<=\d)(?=\D)')


class Rule(NamedTuple):
  """Beginning and end of the names of images and of masks, around a part that both have."""

  image: tuple[str, str]
  mask: tuple[str, str]


def find_affix_pairs(images: Sequence[str], masks: Sequence[str]) -> dict[str, str]:
  """Returns image -> mask by the rule that most masks follow, {} if it is no clear one.

  The rule must hold for half of the images, or of the masks if these are fewer. Of rules with
  equally many pairs the one with the shortest beginnings and ends counts. Common parts begin and
  end at separators or between a letter and a digit.

  Example: `find_affix_pairs(['img_1'], ['1']) == {'img_1': '1'}`.
  """
  fragments = _unique_fragments(images)
  pairs: dict[Rule, dict[str, str]] = {}
  for mask in masks:
    for fragment, affixes in _fragments(mask):
      if fragment in fragments:
        image, image_affixes = fragments[fragment]
        pairs.setdefault(Rule(image_affixes, affixes), {})[image] = mask
  votes = Counter({rule: len(matches) for rule, matches in pairs.items()})
  if not votes:
    return {}
  most = max(votes.values())
  rules = [rule for rule, count in votes.items() if count == most]
  best = min(rules, key=lambda rule: (sum(map(len, rule.image + rule.mask)), rule))
  is_clear = all(pairs[rule] == pairs[best] for rule in rules)
  return pairs[best] if is_clear and 2 * most >= min(len(images), len(masks)) else {}


def _unique_fragments(names: Sequence[str]) -> dict[str, tuple[str, tuple[str, str]]]:
  """Returns fragment -> the only name that has it, and what is before and after it."""
  counts = Counter(fragment for name in names for fragment in dict(_fragments(name)))
  return {
    fragment: (name, affixes)
    for name in names
    for fragment, affixes in _fragments(name)
    if counts[fragment] == 1
  }


def _fragments(name: str) -> Iterator[tuple[str, tuple[str, str]]]:
  """Yields the parts of a file name, with its directory, and what is before and after each."""
  directory, slash, base = name.rpartition('/')
  # Positions beside a separator, and between a letter and a digit.
  inner = re.finditer(
    r'(?<=[^\W_])(?=[\W_])|(?<=[\W_])(?=[^\W_])|(?<=\D)(?=\d)|(?<=\d)(?=\D)', base
  )
  cuts = sorted({0, len(base), *(match.start() for match in inner)})
  for index, start in enumerate(cuts):
    for stop in cuts[index + 1 :]:
      fragment = base[start:stop]
      if any(map(str.isalnum, fragment)):
        yield directory + slash + fragment, (base[:start], base[stop:])
