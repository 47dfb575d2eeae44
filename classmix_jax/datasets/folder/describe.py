"""Describes how a directory was read: sentences for the start of a training run.

Synopsis:

    describe_layout(root, layout)     # 'images/ with masks in masks/'
    describe_matches(contents.train, 'used without labels')
"""

from collections.abc import Sequence
from pathlib import Path

from classmix_jax.datasets.folder.layouts import Layout, Part
from classmix_jax.datasets.folder.mask_names import Matches
from classmix_jax.utils.text import listed, plural

MAX_NAMES = 3  # of files in a sentence


def describe_layout(root: Path, layout: Layout | None) -> str:
  """Returns the directories that were read, as 'images/ with masks in masks/'.

  Example: `describe_layout(Path('DIR'), None) == 'the patterns of config.data'`.
  """
  if layout is None:
    return 'the patterns of config.data'
  texts = [_describe_part(root, part) for part in layout.train]
  text = listed(texts, 2)
  for title, directories in (
    ('validation in', [part.names or part.images for part in layout.val]),
    ('further images in', list(layout.unlabeled)),
  ):
    if directories:
      text += f', {title} {listed([_relative(root, path) for path in directories], 2)}'
  return text


def _describe_part(root: Path, part: Part) -> str:
  images = _relative(root, part.images)
  if part.masks == part.images:
    return f'{images} with masks beside the images'
  return f'{images} with masks in {_relative(root, part.masks)}'


def _relative(root: Path, path: Path) -> str:
  if not path.is_relative_to(root):
    return str(path)
  text = path.relative_to(root).as_posix()
  return 'the directory itself' if text == '.' else text if path.suffix else f'{text}/'


def describe_matches(matches: Matches, bare_images: str) -> list[str]:
  """Returns sentences on images without a mask, masks without an image, and the rule of names.

  Args:
    matches: of a part.
    bare_images: end of the sentence on images without a mask, as 'used without labels'.
  """
  sentences = []
  bare = [path for name, path in matches.images.items() if name not in matches.masks]
  if bare:
    sentences.append(
      f'{len(bare)} of {len(matches.images)} images {_have(bare)} no mask and {_are(bare)} '
      f'{bare_images}: {_names(bare)}.'
    )
  by_rule = [name for name, mask in matches.masks.items() if mask.stem != matches.images[name].stem]
  if by_rule:
    image, mask = matches.images[by_rule[0]], matches.masks[by_rule[0]]
    sentences.append(f'Masks were found by their names: the mask of {image.name} is {mask.name}.')
  if matches.unused:
    sentences.append(
      f'{len(matches.unused)} {plural("mask", matches.unused)} {_have(matches.unused)} no image '
      f'and {_are(matches.unused)} not used: {_names(matches.unused)}.'
    )
  return sentences


def describe_held_out(held_out: int, labeled: int, share: float) -> str:
  """Returns the sentence on images that are set aside for validation."""
  return (
    f'There are no images for validation: {held_out} of {labeled} images with a mask '
    f'{"is" if held_out == 1 else "are"} set aside (config.data.val_share={share:g}), see '
    'splits/val.txt of the run.'
  )


def describe_unused(
  root: Path, layout: Layout | None, tests: int, unlisted: Sequence[Path]
) -> list[str]:
  """Returns sentences on images for tests, and on pairs that are in no list of names."""
  sentences = []
  if layout and layout.test:
    directories = [_relative(root, part.names or part.images) for part in layout.test]
    sentences.append(f'{listed(directories, 2)} is for tests: its {tests:,} images are not used.')
  if unlisted:
    sentences.append(
      f'{len(unlisted)} images with a mask are in no list and are not used: {_names(unlisted)}.'
    )
  return sentences


def _names(files: Sequence[Path]) -> str:
  return listed([path.name for path in files], MAX_NAMES)


def _have(items: Sequence[object]) -> str:
  return 'has' if len(items) == 1 else 'have'


def _are(items: Sequence[object]) -> str:
  return 'is' if len(items) == 1 else 'are'
