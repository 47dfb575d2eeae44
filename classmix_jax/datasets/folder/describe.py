"""Describes how a directory was read: sentences for the start of a training run.

Synopsis:

    describe_layout(root, layout, Patterns())     # 'images in images/, masks in masks/'
    describe_matches(contents.train, 'used without labels')
"""

from collections.abc import Collection, Sequence
from pathlib import Path
import unicodedata

from classmix_jax.datasets.folder.layouts import Layout
from classmix_jax.datasets.folder.mask_names import Matches, is_drawn
from classmix_jax.datasets.folder.patterns import Patterns
from classmix_jax.utils.text import are, have, listed, plural

MAX_NAMES = 3  # of files in a sentence


def describe_layout(root: Path, layout: Layout | None, patterns: Patterns) -> str:
  """Returns the directories or patterns that were read, in words.

  Example: `describe_layout(root, layout, Patterns())` may be 'images in train/, masks beside them'.
  """
  parts = layout.train if layout else ()
  images = _list_paths(root, [part.images for part in parts])
  masks = _list_paths(root, [part.masks for part in parts if part.masks.is_dir()])
  if patterns.masks:
    masks_text = f'masks {patterns.masks}'
  else:
    masks_text = 'masks beside them' if masks == images else f'masks in {masks}'
  texts = [f'images {patterns.images}' if patterns.images else f'images in {images}', masks_text]
  val = [part.names or part.images for part in layout.val] if layout else []
  if val or patterns.val:
    texts.append(f'validation in {patterns.val or _list_paths(root, val)}')
  unlabeled = layout.unlabeled if layout else ()
  if unlabeled or patterns.unlabeled_images:
    texts.append(f'further images in {patterns.unlabeled_images or _list_paths(root, unlabeled)}')
  return ', '.join(texts)


def _list_paths(root: Path, paths: Sequence[Path]) -> str:
  """Returns paths relative to the root, as 'images/ and more/images/'."""
  texts = list(dict.fromkeys(_relative(root, path) for path in paths))
  return texts[0] if len(texts) == 1 else listed(texts, 2)


def _relative(root: Path, path: Path) -> str:
  if path == root:
    return 'the directory itself'
  text = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
  return text if path.suffix == '.txt' else f'{text}/'


def describe_matches(matches: Matches, bare_images: str, *, short: bool = False) -> list[str]:
  """Returns sentences on images without a mask, masks without an image, and the rule of names.

  Args:
    matches: of a part.
    bare_images: end of the sentence on images without a mask, as 'used without labels'.
    short: whether to leave out the rule of names and pictures of masks, which are expected.
  """
  sentences = []
  bare = [path for name, path in matches.images.items() if name not in matches.masks]
  if bare:
    sentences.append(
      f'{len(bare)} of {len(matches.images)} images {have(bare)} no mask and {are(bare)} '
      f'{bare_images}: {_names(bare)}.'
    )
  by_rule = [
    name for name, mask in matches.masks.items() if _stem(mask) != _stem(matches.images[name])
  ]
  if by_rule and not short:
    image, mask = matches.images[by_rule[0]], matches.masks[by_rule[0]]
    example = f'{image.name} is {mask.name}'
    if len(image.stem) > 1 and image.stem in mask.stem:
      example = example.replace(image.stem, 'NAME')
    sentences.append(f'Masks are matched by a rule of names: the mask of {example}.')
  orphans = [path for path in matches.unused if not is_drawn(path)]
  if orphans:
    sentences.append(
      f'{len(orphans)} {plural("mask", orphans)} {have(orphans)} no image and {are(orphans)} not '
      f'used: {_names(orphans)}.'
    )
  pictures = [path for path in matches.unused if is_drawn(path)]
  if pictures and not short:
    sentences.append(
      f'{len(pictures)} {plural("picture", pictures)} of masks {are(pictures)} not used: '
      f'{_names(pictures)}.'
    )
  return sentences


def describe_held_out(held_out: int, labeled: int, share: float) -> str:
  """Returns the sentence on images that are set aside for validation."""
  return (
    f'There are no images for validation: {held_out} of {labeled} images with a mask '
    f'{are(range(held_out))} set aside (config.data.val_share={share:g}), see '
    'splits/val.txt of the run.'
  )


def describe_unused(
  root: Path, layout: Layout | None, tests: Matches, unlisted: Sequence[Path]
) -> list[str]:
  """Returns sentences on images for tests, and on pairs that are in no list of names."""
  sentences = []
  if layout and layout.test:
    images = list(tests.images)
    places = _list_paths(root, [part.names or part.images for part in layout.test])
    end = ' for training: evaluate --part=test scores them.' if tests.masks else '.'
    sentences.append(
      f'{len(images):,} {plural("image", images)} for tests in {places} {are(images)} not used{end}'
    )
  if unlisted:
    sentences.append(
      f'{len(unlisted)} {plural("image", unlisted)} with a mask {are(unlisted)} in no list of '
      f'names and not used: {_names(unlisted)}.'
    )
  return sentences


def describe_bare(root: Path, layout: Layout | None, images: Collection[Path]) -> list[str]:
  """Returns a sentence on a directory for validation in which no image has a mask."""
  places = _list_paths(root, [part.images for part in layout.val]) if layout else ''
  files = list(images)
  return [
    f'{len(files)} {plural("image", files)} in {places} {have(files)} no mask and {are(files)} '
    'not used.'
  ]


def describe_lists(root: Path, lists: Sequence[Path]) -> list[str]:
  """Returns a sentence on lists of names for validation that are not used."""
  texts = [path.relative_to(root).as_posix() for path in lists]
  return [
    f'{text} lists images with a mask: --config.data.val={text} uses these for validation.'
    for text in texts[:1]
  ]


def describe_directories(root: Path, directories: Sequence[Path]) -> list[str]:
  """Returns a sentence on directories of images that are not read."""
  if not directories:
    return []
  names = listed([_relative(root, path) for path in directories], MAX_NAMES)
  return [
    f'{len(directories)} {_directories(directories)} of images {are(directories)} not used: '
    f'{names}.'
  ]


def _directories(items: Sequence[object]) -> str:
  return 'directory' if len(items) == 1 else 'directories'


def _stem(path: Path) -> str:
  return unicodedata.normalize('NFC', path.stem)


def _names(files: Sequence[Path]) -> str:
  return listed([path.name for path in files], MAX_NAMES)
