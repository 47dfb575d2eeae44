"""Finds images and masks in folders, pairs them by name, checks them, and makes Sources of them.

Synopsis:

    pairs = pair(find_images('images'), find_images('masks'))
    check_pairs(pairs)
    source = paired_source(pairs, decoding, size=(180, 240))
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import contextlib
from contextvars import ContextVar
import functools
import hashlib
import os
from pathlib import Path
from typing import NamedTuple
import unicodedata

import numpy as np

from classmix_jax.datasets.decoding import Decoding
from classmix_jax.datasets.opening import LOSSY, File, Header, Size, lossy, read_header
from classmix_jax.datasets.reading import read_image, read_mask
from classmix_jax.types import Files, Source, UserError
from classmix_jax.words import listed, plural

EXTENSIONS = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp')

READER_VERSION = 1  # count up whenever the same file gives other pixels

class Pairs(NamedTuple):
  """Images and their masks: three sequences of one length, sorted by name."""

  names: tuple[str, ...]
  images: Sequence[File]
  masks: Sequence[File]


class Finding(NamedTuple):
  """What is wrong with one file: a sentence that begins with the file."""

  file: str
  sentence: str


_list: ContextVar[list[Finding] | None] = ContextVar('findings', default=None)


@contextlib.contextmanager
def keep_findings() -> Iterator[list[Finding]]:
  """Lets a data set be opened in spite of single files, for a check that wants to tell all.

  Inside, two files of one name and images without a mask are put on the list and left
  out. `check_pairs` leaves its work to the caller, who alone knows which examples are
  labelled. Mistakes in the layout or in the options still raise.

  Example:

      with keep_findings() as findings:
        dataset = load('DIR')
  """
  findings: list[Finding] = []
  token = _list.set(findings)
  try:
    yield findings
  finally:
    _list.reset(token)


def kept(findings: Iterable[Finding]) -> bool:
  """Puts findings on the list of `keep_findings`; False where there is none: raise them then."""
  findings_so_far = _list.get()
  if findings_so_far is not None:
    findings_so_far.extend(findings)
  return findings_so_far is not None


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
    if any(ord(letter) < 32 or 0xd800 <= ord(letter) < 0xe000 for letter in relative):
      raise UserError(
          f'{str(path)!r} has a name with control characters, or in another encoding than UTF-8: '
          'rename it.')
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


def _within(path: str, folder: str) -> bool:
  return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def inside(folder: Path, name: str) -> Path:
  """Returns the path of a result of this name below a folder, which nothing may leave.

  Raises:
    UserError: the name is absolute or has '..', or a link on the way leads out of the folder.

  Example: `inside(Path('OUT'), 'city/a.png')` is `OUT/city/a.png`.
  """
  path = folder / name
  if Path(name).is_absolute() or '..' in Path(name).parts:
    raise UserError(f'the name {name!r} leads out of {folder}: rename the picture.')
  if not _within(os.path.realpath(path.parent), os.path.realpath(folder)):
    raise UserError(
        f'{path.parent} is a link that leads out of {folder}: remove it, or choose another folder.')
  return path


def pair(images: Mapping[str, Path], masks: Mapping[str, Path], remedy: str = '') -> Pairs:
  """Matches images and masks by name and returns them sorted.

  Masks without an image are left out.

  Raises:
    UserError: images without a mask; says how many, three names and `remedy`.

  Example: `pair(find_images('images'), find_images('masks'))`.
  """
  lonely = [str(images[name]) for name in sorted(images) if name not in masks]
  if lonely and not kept(
      Finding(file, f'{file} has no mask. {remedy}'.rstrip()) for file in lonely):
    spare = [str(masks[name]) for name in sorted(masks) if name not in images]
    hint = f' Unused {plural("mask", spare)}: {listed(spare, 3)}.' if spare else ''
    verb = 'has' if len(lonely) == 1 else 'have'
    raise UserError(
        f'{len(lonely)} of {len(images)} images {verb} no mask: {listed(lonely, 3)}.{hint} '
        f'{remedy}'.rstrip())
  names = tuple(name for name in sorted(images) if name in masks)
  return Pairs(names, tuple(images[n] for n in names), tuple(masks[n] for n in names))


def listed_pairs(
    listed: Path, images: Mapping[str, Path], masks: Mapping[str, Path], remedy: str) -> Pairs:
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
    rows: Mapping[str, str], images: Mapping[str, Path], masks: Mapping[str, Path], *,
    where: Path, remedy: str,
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
      Finding(file, f'{file} is not there, but {where} names it. {remedy}') for file in missing):
    raise UserError(
        f'{where} names {len(missing)} files that are not there: {", ".join(missing[:3])}'
        f'{", ..." if len(missing) > 3 else ""}. {remedy}')
  names = tuple(name for name in names if name in images and rows[name] in masks)
  return Pairs(names, tuple(images[n] for n in names), tuple(masks[rows[n]] for n in names))


def read_list(listed: Path) -> dict[str, str]:
  """Returns stem of image -> stem of mask from lines 'image mask' or 'image'."""
  try:
    lines = listed.read_text(encoding='utf-8-sig').splitlines()
  except (OSError, UnicodeDecodeError) as error:
    reason = getattr(error, 'strerror', None) or 'not text in UTF-8'
    raise UserError(
        f'{listed} cannot be read ({reason}): write it again, or remove it to read the whole '
        'folder.') from None
  rows: dict[str, str] = {}
  for number, line in enumerate(lines, start=1):
    stems = [Path(part.replace('\\', '/')).stem for part in line.split()]
    if len(stems) > 2:
      raise UserError(
          f"{listed}, line {number} is '{line}'; expected is 'image mask' without spaces in the "
          'names.')
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
      source.names, [source.files.image(i) for i in indices],
      [source.files.mask(i) for i in indices])


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


def raise_findings(findings: Sequence[tuple[str, str]], total: int, noun: str) -> None:
  """Raises a UserError for `(name, sentence)` findings; returns where there are none.

  The first is told in full, of the others the count and the names of three.

  Example: `raise_findings([('a', 'a.png is empty.')], 30, 'masks')`.
  """
  if not findings:
    return
  sentence = findings[0][1]
  if len(findings) > 1:
    names = listed([name for name, _ in findings[:3]], 3)
    sentence += f' In all {len(findings)} of {total} {noun} need attention: {names}'
    sentence += ', ...' if len(findings) > 3 else '.'
  raise UserError(sentence)


# ---------------------------------------------------------------------- sources


def paired_source(pairs: Pairs, decoding: Decoding, size: Size | None = None) -> Source:
  """Returns the Source of images and masks at the working resolution `size`."""
  return Source(
      names=pairs.names,
      read_image=_image_reader(pairs.images, size),
      read_label=functools.partial(_mask_at, pairs.masks, decoding, size),
      version=functools.partial(_version, (pairs.images, pairs.masks), size, decoding),
      files=Files(pairs.images.__getitem__, pairs.masks.__getitem__, decoding),
  )


def image_source(images: Mapping[str, Path], size: Size | None = None) -> Source:
  """Returns the Source of images that have no labels."""
  paths = tuple(images.values())
  return Source(
      names=tuple(images), read_image=_image_reader(paths, size),
      version=functools.partial(_version, (paths,), size), files=Files(paths.__getitem__))


def _version(
    parts: Sequence[Sequence[File]], size: Size | None, decoding: Decoding | None = None
) -> str:
  """Returns a digest of the files' places, times and sizes and of how they are read.

  A sequence of pictures that are no files of their own tells its `version` itself.
  """
  digest = hashlib.sha256(repr((READER_VERSION, size)).encode())
  for files in parts:
    texts = [files.version] if hasattr(files, 'version') else map(_stamp, files)
    digest.update('\n'.join(texts).encode())
  if decoding is not None:
    digest.update(decoding.table.tobytes())
    digest.update(repr(sorted(decoding.colors.items())).encode())
  return digest.hexdigest()


def _stamp(path: str | Path) -> str:
  status = os.stat(path)
  return f'{os.path.abspath(path)} {status.st_size} {status.st_mtime_ns}'


def _image_reader(files: Sequence[File], size: Size | None) -> Callable[[int], np.ndarray]:
  return functools.partial(_image_at, files, size)  # a partial can be pickled, a lambda cannot


def _image_at(files: Sequence[File], size: Size | None, index: int) -> np.ndarray:
  return read_image(files[index], size)


def _mask_at(
    files: Sequence[File], decoding: Decoding, size: Size | None, index: int) -> np.ndarray:
  return read_mask(files[index], decoding, size)
