"""Finds images and masks in folders, pairs them by name, checks them, and makes Sources of them.

Synopsis:

    pairs = pair(find_images('images'), find_images('masks'))
    check_pairs(pairs)
    source = paired_source(pairs, decoding, size=(180, 240))
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import os
from pathlib import Path
from typing import NamedTuple
import unicodedata

from classmix_jax.data.files.findings import Finding, kept, raise_findings
from classmix_jax.data.files.image_io import LOSSY, File, Header, lossy, read_header
from classmix_jax.data.source import Source
from classmix_jax.errors import UserError
from classmix_jax.utils.paths import _within
from classmix_jax.utils.text import listed, plural

EXTENSIONS = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp')


class Pairs(NamedTuple):
  """Images and their masks: three sequences of one length, sorted by name."""

  names: tuple[str, ...]
  images: Sequence[File]
  masks: Sequence[File]


# ---------------------------------------------------------- finding and pairing


def find_images(folder: str | Path) -> dict[str, Path]:
  """Returns name -> file for all pictures below a folder, sorted by name.

  The name is the path relative to `folder` without its extension, with '/' and
  in Unicode form NFC (archives made on a Mac spell accents apart).

  Raises:
    UserError: two files have one name, as a.png and a.jpg; a name with control characters or
      that is no Unicode, which a list of names could not hold.

  Example: `find_images('images')` holds `'city/a'` for `images/city/a.PNG`.
  """
  found: dict[str, Path] = {}
  for path in sorted(_walk(folder)):
    relative = path.relative_to(folder).with_suffix('').as_posix()
    if any(ord(letter) < 32 or 0xD800 <= ord(letter) < 0xE000 for letter in relative):
      raise UserError(
        f'{str(path)!r} has a name with control characters, or in another encoding than UTF-8: '
        'rename it.'
      )
    name = unicodedata.normalize('NFC', relative)
    if name in found:
      sentence = f"{found[name]} and {path} both have the name '{name}': rename one of them."
      if not kept([Finding(str(found[name]), sentence)]):
        raise UserError(sentence)
    else:
      found[name] = path
  return dict(sorted(found.items()))


def _walk(folder: str | Path) -> Iterator[Path]:
  above = {os.fspath(folder): (os.path.realpath(folder),)}  # real folders on the way to each
  for parent, folders, files in os.walk(folder, followlinks=True):
    chain, followed = above.pop(parent), []
    for name in folders:
      path = os.path.join(parent, name)
      real = os.path.realpath(path)
      # A link to a folder above would show every picture again and again.
      loops = any(_within(passed, real) for passed in chain)
      if not loops and not name.startswith(('.', '__MACOSX')):
        above[path] = (*chain, real)
        followed.append(name)
    folders[:] = followed
    for file in files:
      if file.lower().endswith(EXTENSIONS) and not file.startswith('.'):
        yield Path(parent, file)


def pair(images: Mapping[str, Path], masks: Mapping[str, Path], remedy: str = '') -> Pairs:
  """Matches images and masks by name and returns them sorted.

  Masks without an image are left out.

  Raises:
    UserError: images without a mask; says how many, three names and `remedy`.

  Example: `pair(find_images('images'), find_images('masks'))`.
  """
  lonely = [str(images[name]) for name in sorted(images) if name not in masks]
  if lonely and not kept(
    Finding(file, f'{file} has no mask. {remedy}'.rstrip()) for file in lonely
  ):
    spare = [str(masks[name]) for name in sorted(masks) if name not in images]
    hint = f' Unused {plural("mask", spare)}: {listed(spare, 3)}.' if spare else ''
    verb = 'has' if len(lonely) == 1 else 'have'
    raise UserError(
      f'{len(lonely)} of {len(images)} images {verb} no mask: {listed(lonely, 3)}.{hint} '
      f'{remedy}'.rstrip()
    )
  names = tuple(name for name in sorted(images) if name in masks)
  return Pairs(names, tuple(images[n] for n in names), tuple(masks[n] for n in names))


def listed_pairs(
  listed: Path, images: Mapping[str, Path], masks: Mapping[str, Path], remedy: str
) -> Pairs:
  """Returns the pairs of a list, matched by file name: its folders are those of its author.

  A line is `image mask` or `image`, whose mask has the same name; with or without
  folders and extensions.

  Raises:
    UserError: the list is empty or malformed, or names files that are not there;
      says which three and `remedy`.

  Example: the line '/x/JPEGImages/a.jpg /x/SegmentationClass/a.png' pairs
    `images['a']` with `masks['a']`, and so does the line 'a'.
  """
  return named_pairs(read_list(listed), images, masks, where=listed, remedy=remedy)


def named_pairs(
  rows: Mapping[str, str],
  images: Mapping[str, Path],
  masks: Mapping[str, Path],
  *,
  where: Path,
  remedy: str,
) -> Pairs:
  """Returns the pairs of `rows`, name of image -> name of mask, sorted.

  Raises:
    UserError: files are not there; says that `where` names them, which three, and `remedy`.

  Example: `named_pairs({'a': 'a'}, images, masks, where=folder, remedy='Unpack it again.')`.
  """
  names = tuple(sorted(rows))
  missing = [name for name in names if name not in images]
  missing += [f'{rows[name]} (mask)' for name in names if rows[name] not in masks]
  if missing and not kept(
    Finding(file, f'{file} is not there, but {where} names it. {remedy}') for file in missing
  ):
    raise UserError(
      f'{where} names {len(missing)} files that are not there: {", ".join(missing[:3])}'
      f'{", ..." if len(missing) > 3 else ""}. {remedy}'
    )
  names = tuple(name for name in names if name in images and rows[name] in masks)
  return Pairs(names, tuple(images[n] for n in names), tuple(masks[rows[n]] for n in names))


def read_list(listed: Path) -> dict[str, str]:
  """Returns stem of image -> stem of mask from lines 'image mask' or 'image'."""
  try:
    lines = listed.read_text(encoding='utf-8-sig').splitlines()
  except (OSError, UnicodeDecodeError) as error:
    reason = getattr(error, 'strerror', None) or 'not text in UTF-8'
    raise UserError(
      f'{listed} cannot be read ({reason}): write it again, or remove it to read the whole folder.'
    ) from None
  rows: dict[str, str] = {}
  for number, line in enumerate(lines, start=1):
    stems = [Path(part.replace('\\', '/')).stem for part in line.split()]
    if len(stems) > 2:
      raise UserError(
        f"{listed}, line {number} is '{line}'; expected is 'image mask' without spaces in the "
        'names.'
      )
    if stems and stems[0] in rows:
      raise UserError(f"{listed}, line {number} repeats '{stems[0]}': remove one of the lines.")
    if stems:
      rows[stems[0]] = stems[-1]
  if not rows:
    raise UserError(f'{listed} is empty. Remove it to read the whole folder.')
  return rows


# ----------------------------------------------------------------------- checks


def check_pairs(pairs: Pairs) -> None:
  """Compares the sizes of all images and masks by their headers; decodes nothing.

  Raises:
    UserError: files that are no pictures, masks that are JPEGs, and masks of
      another size than their image; names both files and both sizes.
  """
  if kept([]):
    return
  findings = []
  for name, image, mask in zip(*pairs, strict=True):
    try:
      sentence = misfit(image, read_header(image), mask, read_header(mask))
    except UserError as error:
      sentence = str(error)
    if sentence:
      findings.append((name, sentence))
  raise_findings(findings, len(pairs.names), 'pairs')


def file_pairs(source: Source) -> Pairs:
  """Returns the files of a source to be checked; none where its pictures are no files."""
  if source.files is None or not len(source) or not isinstance(source.files.image(0), str | Path):
    return Pairs((), (), ())
  indices = range(len(source))
  return Pairs(
    source.names, [source.files.image(i) for i in indices], [source.files.mask(i) for i in indices]
  )


def misfit(image: File, of_image: Header, mask: File, of_mask: Header) -> str:
  """Returns what is wrong with a pair by the headers of image and mask, '' where nothing is.

  Example: `misfit('a.jpg', read_header('a.jpg'), 'a.png', read_header('a.png')) == ''`.
  """
  if of_mask.format in LOSSY:
    return lossy(mask)
  if of_image.size == of_mask.size:
    return ''
  if of_image.turned and of_image.size == of_mask.size[::-1]:
    remedy = 'The image is turned by its EXIF tag: turn the mask alike or remove the tag.'
  else:
    remedy = 'Export the mask again at the size of its image.'
  sizes = [f'{width}x{height}' for height, width in (of_mask.size, of_image.size)]
  return f'{mask} is {sizes[0]}, {image} is {sizes[1]} (width x height). {remedy}'


def check_exists(root: str, paths: Iterable[str | Path], layout: str) -> None:
  """Raises a UserError that lists every path that is missing, and the option to set.

  Example: `check_exists('DIR', ['DIR/train'], layout='train/ and val/')`.
  """
  remedy = f'Set --config.data.root=DIR to a folder with {layout}.'
  if not root:
    raise UserError(f'config.data.root is empty. {remedy}')
  if not Path(root).is_dir():
    raise UserError(f'{root} is not a folder. {remedy}')
  missing = [str(path) for path in paths if not Path(path).exists()]
  if missing:
    raise UserError(f'Missing: {", ".join(missing)}. {remedy}')


def check_choice(field: str, value: str, known: Sequence[str]) -> None:
  """Raises a UserError where the option `field` has a value that is not among the known.

  Example: `check_choice('config.data.reader', 'zip', ('folders', 'tfds'))`.
  """
  if value not in known:
    raise UserError(f'{field} is {value!r}; choose one of {", ".join(map(repr, known))}.')


# ---------------------------------------------------------------------- sources
