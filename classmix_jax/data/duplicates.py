"""Finds images of equal content, within and across the parts of a data set.

Synopsis:

    for equal in find_equal_files({'labelled': labeled, 'val': val}):
      print(f'warning: {equal.describe()}')

Training compares files byte by byte; the check of a data set compares pixels and masks, too.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
import hashlib
import os
from typing import NamedTuple

import numpy as np

from classmix_jax.data.files.checks import image_files
from classmix_jax.data.source import Source
from classmix_jax.utils.file_ends import read_ends
from classmix_jax.utils.text import have, listed, plural

END_BYTES = 4096  # compared before whole files
MAX_NAMED = 2  # pairs in a sentence
LABELED, VAL = 'labelled', 'val'  # titles of parts


class Content(NamedTuple):
  """An image of a part, and what is compared.

  Attributes:
    part: title of the part.
    file: its path, or its name if it has none.
    image: equal for images of equal content; None if it is not compared.
    mask: equal for masks of equal content; None if it is not compared.
  """

  part: str
  file: str
  image: object
  mask: object = None


class EqualImages(NamedTuple):
  """Pairs of images of equal content in two parts, or within one.

  Attributes:
    first: title of the part of the first image of each pair.
    other: title of the part of the second image.
    pairs: the images; in the order of the parts.
  """

  first: str
  other: str
  pairs: Sequence[tuple[Content, Content]]

  @property
  def unequal_masks(self) -> int:
    """The number of pairs whose masks differ."""
    return sum(a.mask is not None and None is not b.mask != a.mask for a, b in self.pairs)

  @property
  def is_leak(self) -> bool:
    """Whether the network is tested on images whose labels it learned."""
    return {self.first, self.other} == {LABELED, VAL}

  @property
  def is_fault(self) -> bool:
    """Whether scores are wrong, or labels contradict each other."""
    return self.is_leak or self.unequal_masks > 0

  def describe(self) -> str:
    """Returns a sentence with the pairs, and the remedy."""
    verb = have(self.pairs)
    count = f'{len(self.pairs)} {self.other} {plural("image", self.pairs)}'
    files = [(other.file, first.file) for first, other in self.pairs]
    root = os.path.commonpath([os.path.dirname(file) for pair in files for file in pair])
    named = listed((' = '.join(shorten(file, root) for file in pair) for pair in files), MAX_NAMED)
    named += f' in {root}' if root else ''
    differ = self.unequal_masks
    masks = (
      f' The masks of {differ if differ < len(files) else "all" if differ > 1 else "this"} '
      f'{plural("pair", files)} differ: keep the right one.'
      if differ
      else ''
    )
    if self.first == self.other:
      return f'{count} {verb} the same content as another: {named}.{masks}'
    leak = ''
    if VAL in (self.first, self.other):
      leak = f', which {"makes" if self.is_leak else "can make"} the scores too high'
    sentence = f'{count} {verb} the same content as {self.first} images{leak}: {named}.'
    return f'{sentence} Remove one of each.{masks}'


def shorten(file: str, root: str) -> str:
  """Returns a path below a directory, or the name of an image without a file."""
  return os.path.relpath(file, root) if root else file


def pair_equal(contents: Iterable[Content]) -> list[EqualImages]:
  """Returns the pairs of images of equal content, for each two parts that have some.

  Every image is compared with the first of its content. An image that is both labelled and in the
  pool of unlabelled images by its path is no duplicate, nor is a link to an image of its part.

  Example:
    >>> images = [Content('labelled', 'a', 1), Content('val', 'b', 1), Content('val', 'c', 2)]
    >>> [(equal.first, equal.other, len(equal.pairs)) for equal in pair_equal(images)]
    [('labelled', 'val', 1)]
  """
  first_of: dict[object, Content] = {}
  pairs: dict[tuple[str, str], list[tuple[Content, Content]]] = {}
  for content in contents:
    if content.image is None:
      continue
    first = first_of.setdefault(content.image, content)
    if first is not content and not _is_same(first, content):
      pairs.setdefault((first.part, content.part), []).append((first, content))
  return [EqualImages(*parts, equal) for parts, equal in pairs.items()]


def _is_same(first: Content, other: Content) -> bool:
  """Returns whether a second image is the first one, and belongs to both parts rightly."""
  if VAL in (first.part, other.part) and first.part != other.part:
    return False
  same_mask = None in (first.mask, other.mask) or first.mask == other.mask
  return same_mask and os.path.realpath(first.file) == os.path.realpath(other.file)


def hash_pixels(array: np.ndarray) -> bytes | None:
  """Returns a digest of shape and values; None for a blank image, which repeats by chance.

  Args:
    array: `[H, W, 3]` or `[H, W]` uint8.
  """
  if array.ndim == 3 and (array == array[:1, :1]).all():
    return None
  digest = hashlib.blake2b(repr(array.shape).encode(), digest_size=16)
  digest.update(array.tobytes())
  return digest.digest()


def find_equal_files(sources: Mapping[str, Source], most: int | None = None) -> list[EqualImages]:
  """Returns the images whose files are equal byte by byte, see `pair_equal`.

  Compares sizes, then the ends of files of one size, then all of these.

  Args:
    sources: title of the part -> its images.
    most: largest number of files of equal size to read, or None for any; [] if there are more.

  Example: `find_equal_files({'labelled': labeled, 'val': val}) == []`.
  """
  files = [(title, path) for title, source in sources.items() for path in image_files(source)]
  paths = dict.fromkeys(os.path.realpath(path) for _, path in files)
  groups = _group([path for path in paths if _size(path)], _size)
  if most is not None and sum(map(len, groups)) > most:
    return []
  for key in (_hash_ends, _hash):
    groups = [smaller for group in groups for smaller in _group(group, key)]
  first_of = {path: group[0] for group in groups for path in group}
  return pair_equal(
    Content(title, path, first_of.get(real, real))
    for title, path in files
    if _size(real := os.path.realpath(path))
  )


def _size(path: str) -> int:
  """Returns the size of a file in bytes, 0 if there is none."""
  try:
    return os.path.getsize(path)
  except OSError:
    return 0


def _group(paths: Iterable[str], key: Callable[[str], object]) -> list[list[str]]:
  """Returns the groups of two or more files with equal keys; unreadable files are passed over."""
  groups: dict[object, list[str]] = {}
  for path in paths:
    try:
      groups.setdefault(key(path), []).append(path)
    except OSError:
      continue
  return [group for group in groups.values() if len(group) > 1]


def _hash_ends(path: str) -> bytes:
  return hashlib.sha256(read_ends(path, END_BYTES)).digest()


def _hash(path: str) -> bytes:
  with open(path, 'rb') as file:
    return hashlib.file_digest(file, 'sha256').digest()
