"""Pairs images and masks by name.

Synopsis:

    pairs = pair(find_images('images'), find_images('masks'))
    check_pairs(pairs, decoding)
    source = paired_source(pairs, decoding, size=(180, 240))
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from classmix_jax.data.files.findings import Finding, add_findings
from classmix_jax.data.files.name_list import (
  AmbiguousName,
  Index,
  build_index,
  drop_header,
  find_line,
  find_name,
  find_separator,
  get_stem,
  has_several_paths,
  read_lines,
  split_pairs,
)
from classmix_jax.data.files.open_image import File
from classmix_jax.errors import UserError
from classmix_jax.utils.text import have, listed, plural


class Pairs(NamedTuple):
  """Images and their masks: three sequences of the same length, sorted by name."""

  names: tuple[str, ...]
  images: Sequence[File]
  masks: Sequence[File]


def pair(images: Mapping[str, Path], masks: Mapping[str, Path], remedy: str = '') -> Pairs:
  """Returns the pairs of images and masks with the same name; ignores masks without an image.

  Args:
    images: name -> path.
    masks: name -> path.
    remedy: end of the error message.

  Raises:
    UserError: images have no mask; the message has their number, three of them, and the remedy.

  Example: `pair(find_images('images'), find_images('masks'))`.
  """
  bare = [str(images[name]) for name in sorted(images) if name not in masks]
  if bare and not add_findings(
    Finding(file, f'{file} has no mask. {remedy}'.rstrip(), 'images without a mask')
    for file in bare
  ):
    unused = [str(masks[name]) for name in sorted(masks) if name not in images]
    hint = f' Unused {plural("mask", unused)}: {listed(unused, 3)}.' if unused else ''
    raise UserError(
      f'{len(bare)} of {len(images)} images {have(bare)} no mask: {listed(bare, 3)}.{hint} '
      f'{remedy}'.rstrip()
    )
  names = tuple(name for name in sorted(images) if name in masks)
  return Pairs(names, tuple(images[n] for n in names), tuple(masks[n] for n in names))


def listed_pairs(
  list_file: Path, images: Mapping[str, Path], masks: Mapping[str, Path], remedy: str
) -> Pairs:
  """Returns the pairs in a list, matched by file name alone.

  A line is `image mask`, or `image` if the mask has the same name, see `name_list.py`. Directories
  of other machines and extensions are ignored.

  Raises:
    UserError: the list is empty or malformed, or names missing files; the message has three of
      them and the remedy.

  Example: the line '/x/JPEGImages/a.jpg /x/SegmentationClass/a.png' pairs
    `images['a']` with `masks['a']`, and so does the line 'a'.
  """
  return named_pairs(
    read_list(list_file, images, masks), images, masks, origin=list_file, remedy=remedy
  )


def named_pairs(
  rows: Mapping[str, str],
  images: Mapping[str, Path],
  masks: Mapping[str, Path],
  *,
  origin: Path,
  remedy: str,
) -> Pairs:
  """Returns the pairs of `rows`, name of image -> name of mask, sorted.

  Raises:
    UserError: files are missing; the message has `origin`, which names them, and the remedy.

  Example: `named_pairs({'a': 'a'}, images, masks, origin=directory, remedy='Unpack it again.')`.
  """
  names = tuple(sorted(rows))
  missing = [name for name in names if name not in images]
  missing += [f'{rows[name]} (mask)' for name in names if rows[name] not in masks]
  if missing and not add_findings(
    Finding(file, f'{file} is not there, but {origin} names it. {remedy}', 'missing files')
    for file in missing
  ):
    raise UserError(
      f'{origin} names {len(missing)} files that are not there: {", ".join(missing[:3])}'
      f'{", ..." if len(missing) > 3 else ""}. {remedy}'
    )
  names = tuple(name for name in names if name in images and rows[name] in masks)
  return Pairs(names, tuple(images[n] for n in names), tuple(masks[rows[n]] for n in names))


def read_list(
  list_file: Path, images: Iterable[str] = (), masks: Iterable[str] = ()
) -> dict[str, str]:
  """Returns name of image -> name of mask from lines 'image mask' or 'image'.

  Args:
    list_file: the list.
    images: names of the images that exist; a line of another image gives its stem.
    masks: names of the masks that exist.

  Raises:
    UserError: the file is unreadable or empty, or a line is malformed or repeats an image.

  Example: for the line 'x/a.jpg y/b.png', `read_list(path, ['a'], ['b']) == {'a': 'b'}`.
  """
  try:
    lines = read_lines(list_file)
  except (OSError, ValueError) as error:
    reason = getattr(error, 'strerror', None) or 'not text in UTF-8'
    raise UserError(
      f'{list_file} cannot be read ({reason}): write it again, or remove it to read the whole '
      'directory.'
    ) from None
  if not lines:
    raise UserError(f'{list_file} is empty. Remove it to read the whole directory.')
  image_index, mask_index = build_index(images), build_index(masks)
  lines = drop_header(lines, image_index)
  separator = find_separator(lines)
  rows: dict[str, str] = {}
  for number, line in lines:
    where = f'{list_file}, line {number}'
    try:
      row = _read_row(line, image_index, mask_index, separator)
    except AmbiguousName as error:
      text, names = error.args
      raise UserError(
        f"{where}: '{text}' is ambiguous ({listed(names, 3)}): write the whole name."
      ) from None
    if row is None:
      raise UserError(f"{where} is '{line}'; expected is 'image mask', or the image only.")
    image, mask = row
    if image in rows:
      raise UserError(f"{where} repeats '{image}': remove one of the lines.")
    rows[image] = mask
  return rows


def _read_row(line: str, images: Index, masks: Index, separator: str) -> tuple[str, str] | None:
  """Returns the names of image and mask in a line, or their stems if there are no such files.

  Returns None for a line of more than two paths.
  """
  match = find_line(line, images, separator)
  if match:
    image, other = match
  else:
    text, other = next(split_pairs(line, separator), (line, ''))
    image = get_stem(text)
  if has_several_paths(other):
    return None
  if not other:
    return image, find_name(image, masks) or image
  return image, find_name(other, masks) or get_stem(other)
