"""Chooses the labelled training examples, by count, fraction or list; NumPy only.

Synopsis:

    labeled = choose_labeled(dataset.train.names, 46, seed=0)      # int64 indices
    name = split_hash([dataset.train.names[i] for i in labeled])   # e.g. '5feceb66'

The same names give the same training run, whether a count, a fraction or a list chose them.
"""

from collections import Counter
from collections.abc import Sequence
import hashlib
import os
import pathlib
import re

import numpy as np

from classmix_jax.data.files.name_list import (
  AmbiguousName,
  Line,
  build_index,
  drop_header,
  find_line,
  find_separator,
  read_lines,
)
from classmix_jax.data.sampler import random_permutation
from classmix_jax.errors import UserError

FRACTION = re.compile(r'\d+/\d+')
TOO_FEW = 'too few examples'  # kind of errors
_SPLIT_STREAM = 2**31  # none of the streams of examples (0, 1, ...)


def choose_labeled(names: Sequence[str], labeled: int | str, seed: int) -> np.ndarray:
  """Returns the examples whose labels are used, in the order of their names.

  A count n takes the first n of a seeded permutation of the sorted names: the splits of a seed
  are nested, and the order of `names` does not matter. 0 and '' take all. A string of digits is a
  count and '1/8' a fraction, see `count_of_fraction`; any other string is the path of a text file
  with one id per line (`image` or `image label`). A whole line is matched before a part of it,
  and a name before its stem, so that `train/0001.png` matches `0001`; see `files/name_list.py`.

  Args:
    names: N unique names.
    labeled: a count, a fraction, or the path of a file of ids.
    seed: 0 or more; used by counts and fractions only.

  Returns:
    `[n]` int64 indices into `names`.

  Raises:
    UserError: `names` is empty, the count exceeds N, the file is missing or empty, or an id is
      unknown, ambiguous or repeated.

  Example:

      choose_labeled(['a', 'b', 'c'], 2, seed=0)
      choose_labeled(['a', 'b', 'c'], 'splits/2.txt', seed=0)
  """
  text = str(labeled).strip()
  if not names:
    raise UserError('The data set has no training examples: check config.data.root', TOO_FEW)
  order = sorted(range(len(names)), key=lambda i: names[i])
  if FRACTION.fullmatch(text):
    text = str(count_of_fraction(text, len(names)))
  if not text or text.lstrip('+-').isdecimal():
    ranks = _ranks_of_count(len(names), int(text or 0), seed)
  else:
    position = {names[i]: rank for rank, i in enumerate(order)}
    path = pathlib.Path(os.path.expanduser(text))
    ranks = np.array([position[name] for name in _read_ids(path, names)])
  return np.array(order, np.int64)[np.sort(ranks)]


def count_labeled(labeled: int | str, length: int) -> int:
  """Returns how many of `length` examples `choose_labeled` chooses; a file counts its ids.

  Raises:
    UserError: a fraction is out of range, or the file is missing or empty.

  Example: `count_labeled('1/8', 2975) == 372`.
  """
  text = str(labeled).strip()
  if FRACTION.fullmatch(text):
    return count_of_fraction(text, length)
  if not text or text.lstrip('+-').isdecimal():
    return int(text or 0) or length
  return len(drop_header(_read_lines(pathlib.Path(os.path.expanduser(text)))))


def count_of_fraction(fraction: str, length: int) -> int:
  """Returns a fraction of `length` as a count, rounded half up, at least 1.

  These are the counts of the literature: of Cityscapes' 2,975 images, 1/16 is 186, 1/8 372,
  1/4 744, 1/2 1488; of Pascal VOC's 10,582, 1/100 is 106, 1/50 212, 1/20 529, 1/8 1323, 1/4 2646;
  of its 1,464, 1/16 is 92, 1/8 183, 1/4 366, 1/2 732. The exception is 1/30 of Cityscapes, which
  is 100 in the papers.

  Raises:
    UserError: the fraction is 0 or above 1.

  Example: `count_of_fraction('1/8', 2975) == 372`.
  """
  part, whole = (int(number) for number in fraction.split('/'))
  if not 0 < part <= whole:
    raise UserError(f"config.data.labeled='{fraction}': give a fraction of up to 1, as in '1/8'")
  if (length, fraction) == (2975, '1/30'):
    return 100
  return max(1, (2 * length * part + whole) // (2 * whole))


def _ranks_of_count(length: int, count: int, seed: int) -> np.ndarray:
  """Returns the first `count` of a seeded permutation of 0..length-1; all of it for 0."""
  if not 0 <= count <= length:
    raise UserError(
      f'config.data.labeled={count}, but there are {length} training examples: '
      f'choose 1 to {length}, or 0 for all',
      TOO_FEW,
    )
  return random_permutation(seed, _SPLIT_STREAM, 0, length)[: count or length]


def _read_ids(path: pathlib.Path, names: Sequence[str]) -> list[str]:
  """Returns the names that a file lists; raises UserError as `choose_labeled`."""
  matches = _match(_read_lines(path), names, path)
  repeated = [name for name, count in Counter(matches).items() if count > 1]
  if repeated:
    raise UserError(f'{path} names {len(repeated)} examples more than once: {_some(repeated)}')
  return matches


def _read_lines(path: pathlib.Path) -> list[Line]:
  """Returns the lines of a list of ids; raises UserError if it is unreadable or empty."""
  try:
    lines = read_lines(path)
  except (OSError, ValueError) as error:
    reason = getattr(error, 'strerror', None) or 'not a text file'
    raise UserError(
      f'config.data.labeled={str(path)!r} cannot be read ({reason}): give a count or the '
      'path of a text file with one id a line'
    ) from error
  if not lines:
    raise UserError(f'{path} holds no ids: write one a line, or set config.data.labeled to a count')
  return lines


def _match(lines: Sequence[Line], names: Sequence[str], path: pathlib.Path) -> list[str]:
  """Matches every line to a name, see `name_list.py`."""
  index = build_index(names)
  lines = drop_header(lines, index)
  separator = find_separator(lines)
  matches, unknown = [], []
  for line in lines:
    try:
      match = find_line(line.text, index, separator)
    except AmbiguousName as error:
      text, hits = error.args
      raise UserError(
        f'{path}, line {line.number}: {text!r} is ambiguous ({_some(hits)}): write the whole name'
      ) from None
    matches += [match.name] if match else []
    unknown += [] if match else [line.text]
  if unknown:
    raise UserError(
      f'{path} names {len(unknown)} examples that the data set does not have: '
      f'{_some(unknown)}; names look like {_some(sorted(names)[:2])}'
    )
  return matches


def _some(names: Sequence[str]) -> str:
  """Formats the first three names."""
  return ', '.join(repr(name) for name in names[:3]) + (', ...' if len(names) > 3 else '')


def split_hash(names: Sequence[str]) -> str:
  """Returns 8 hex digits of sha256 over the sorted names: the identity of a split.

  Example: `split_hash(['b', 'a']) == split_hash(['a', 'b'])`.
  """
  return hashlib.sha256('\n'.join(sorted(names)).encode()).hexdigest()[:8]
