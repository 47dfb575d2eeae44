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

from classmix_jax.datasets.reading import (
  Decoding,
  Size,
  listed,
  plural,
  read_header,
  read_image,
  read_mask,
)
from classmix_jax.types import Files, Source, UserError

EXTENSIONS = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp')

READER_VERSION = 1  # count up whenever the same file gives other pixels

_LOSSY = ('JPEG', 'MPO')


class Pairs(NamedTuple):
  """Images and their masks: three sequences of one length, sorted by name."""

  names: tuple[str, ...]
  images: tuple[Path, ...]
  masks: tuple[Path, ...]


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
    UserError: two files have one name, as a.png and a.jpg.

  Example: `find_images('images')` holds `'city/a'` for `images/city/a.PNG`.
  """
  found: dict[str, Path] = {}
  for path in sorted(_walk(folder)):
    relative = path.relative_to(folder).with_suffix('').as_posix()
    name = unicodedata.normalize('NFC', relative)
    if name in found:
      sentence = f"{found[name]} and {path} both have the name '{name}': rename one of them."
      if not kept([Finding(str(found[name]), sentence)]):
        raise UserError(sentence)
    else:
      found[name] = path
  return dict(sorted(found.items()))


def _walk(folder: str | Path) -> Iterator[Path]:
  for parent, folders, files in os.walk(folder, followlinks=True):
    folders[:] = [name for name in folders if not name.startswith(('.', '__MACOSX'))]
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
      Finding(file, f'{file} has no mask. {remedy}'.rstrip()) for file in lonely):
    spare = [str(masks[name]) for name in sorted(masks) if name not in images]
    hint = f' Unused {plural("mask", spare)}: {listed(spare, 3)}.' if spare else ''
    verb = 'has' if len(lonely) == 1 else 'have'
    raise UserError(
        f'{len(lonely)} of {len(images)} images {verb} no mask: {listed(lonely, 3)}.{hint} '
        f'{remedy}'.rstrip())
  names = tuple(name for name in sorted(images) if name in masks)
  return Pairs(names, tuple(images[n] for n in names), tuple(masks[n] for n in names))


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
      sentence = misfit(image, mask)
    except UserError as error:
      sentence = str(error)
    if sentence:
      findings.append((name, sentence))
  raise_findings(findings, len(pairs.names), 'pairs')


def misfit(image: Path, mask: Path) -> str:
  """Returns what is wrong with a pair by its headers, '' where nothing is.

  Raises:
    UserError: a file is missing or is no picture.

  Example: `misfit(Path('images/a.png'), Path('masks/a.png')) == ''`.
  """
  of_image, of_mask = read_header(image), read_header(mask)
  if of_mask.format in _LOSSY:
    return f'{mask} is a JPEG, whose compression changes class ids: export the masks as PNG.'
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
      version=functools.partial(_version, (*pairs.images, *pairs.masks), size, decoding),
      files=Files(pairs.images.__getitem__, pairs.masks.__getitem__, decoding),
  )


def image_source(images: Mapping[str, Path], size: Size | None = None) -> Source:
  """Returns the Source of images that have no labels."""
  paths = tuple(images.values())
  return Source(
      tuple(images), _image_reader(paths, size), version=functools.partial(_version, paths, size),
      files=Files(paths.__getitem__))


def _version(paths: tuple[Path, ...], size: Size | None, decoding: Decoding | None = None) -> str:
  """Returns a digest of the files' places, times and sizes and of how they are read."""
  digest = hashlib.sha256(repr((READER_VERSION, size)).encode())
  for path in paths:
    status = path.stat()
    digest.update(f'{path.absolute()}\n{status.st_size} {status.st_mtime_ns}\n'.encode())
  if decoding is not None:
    digest.update(decoding.table.tobytes())
    digest.update(repr(sorted(decoding.colors.items())).encode())
  return digest.hexdigest()


def _image_reader(paths: tuple[Path, ...], size: Size | None) -> Callable[[int], np.ndarray]:
  return functools.partial(_image_at, paths, size)  # a partial can be pickled, a lambda cannot


def _image_at(paths: tuple[Path, ...], size: Size | None, index: int) -> np.ndarray:
  return read_image(paths[index], size)


def _mask_at(
    paths: tuple[Path, ...], decoding: Decoding, size: Size | None, index: int) -> np.ndarray:
  return read_mask(paths[index], decoding, size)
