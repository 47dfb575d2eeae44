"""Divides the contents of a directory into labelled, unlabelled and validation images.

Synopsis:

    parts = read_parts(root, layout, Patterns(), val_share=0.2, val_seed=0, labeled='')
    parts.train.names, parts.unlabeled, parts.notes
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
import os
from pathlib import Path
from typing import NamedTuple

from classmix_jax.data.files.open_image import Encoded
from classmix_jax.data.files.pairs import Pairs
from classmix_jax.data.files.unused import top_directories
from classmix_jax.data.splits import FRACTION, choose_labeled
from classmix_jax.datasets.folder.contents import read_contents
from classmix_jax.datasets.folder.describe import (
  describe_bare,
  describe_directories,
  describe_held_out,
  describe_layout,
  describe_lists,
  describe_matches,
  describe_unused,
)
from classmix_jax.datasets.folder.foreign import describe_annotations
from classmix_jax.datasets.folder.holdout import choose_validation
from classmix_jax.datasets.folder.layouts import Layout, Part
from classmix_jax.datasets.folder.layouts.words import IMAGES, spell
from classmix_jax.datasets.folder.mask_names import Matches
from classmix_jax.datasets.folder.overlooked import find_lists, find_unread
from classmix_jax.datasets.folder.patterns import Patterns, describe_content
from classmix_jax.errors import UserError
from classmix_jax.utils.text import listed

TRAINING = ('images for training', 'used without labels')


class Parts(NamedTuple):
  """The examples of a data set.

  Attributes:
    train: pairs for training.
    val: pairs for validation.
    test: pairs for tests.
    unlabeled: name -> image without a label.
    notes: sentences about how the directory was read.
  """

  train: Pairs
  val: Pairs
  test: Pairs
  unlabeled: Mapping[str, Path]
  notes: tuple[str, ...]


def read_parts(
  root: Path,
  layout: Layout | None,
  patterns: Patterns,
  val_share: float,
  val_seed: int,
  labeled: str,
) -> Parts:
  """Returns the examples below a directory, and what is to be said about them.

  Args:
    root: the directory.
    layout: of the directory; None if patterns for images and masks are set.
    patterns: replace what the layout finds.
    val_share: fraction of the labelled images to set aside if there are none for validation; 1
      sets all aside, for an evaluation.
    val_seed: seed of this choice.
    labeled: `config.data.labeled`; images that a file lists stay labelled.

  Raises:
    UserError: no image has a mask, or none is left for training or for validation.
  """
  contents = read_contents(root, layout, patterns)
  images, masks = contents.train.images, contents.train.masks
  evaluates = val_share >= 1
  title, use = ('images', 'not evaluated') if evaluates else TRAINING
  require_masks(root, contents.train, title, layout.train if layout else ())
  described, notes = layout, describe_matches(contents.train, use)
  if contents.val is not None and is_without_masks(contents.val) and not patterns.val:
    notes += describe_bare(root, layout, contents.val.images.values())
    contents = contents._replace(val=None)
    described = layout._replace(val=()) if layout else None
  if contents.val is not None:
    require_masks(root, contents.val, 'images for validation', layout.val if layout else ())
    train, val = make_pairs(contents.train, masks), make_pairs(contents.val, contents.val.masks)
    notes += [
      f'Validation: {note}'
      for note in describe_matches(contents.val, 'not used', short=True)
      if note not in notes
    ]
  else:
    held_out = hold_out(root, masks, val_share, val_seed, labeled)
    train = make_pairs(contents.train, masks.keys() - held_out)
    val = make_pairs(contents.train, held_out)
    if not evaluates:
      notes.append(describe_held_out(len(held_out), len(masks), val_share))
      notes += describe_lists(root, find_lists(root, masks))
  notes += describe_unused(root, layout, contents.test, contents.unlisted)
  if layout:
    notes += describe_directories(root, find_unread(root, layout))
  bare = {name: path for name, path in images.items() if name not in masks}
  unlabeled = join(bare, contents.unlabeled)
  counts = (
    f'; {len(train.names):,} labelled, {len(unlabeled):,} unlabelled, {len(val.names):,} for '
    'validation'
  )
  head = f'{root}: {describe_layout(root, described, patterns)}{"" if evaluates else counts}.'
  test = make_pairs(contents.test, contents.test.masks)
  return Parts(train, val, test, unlabeled, (head, *(layout.notes if layout else ()), *notes))


def require_masks(root: Path, matches: Matches, title: str, parts: Sequence[Part]) -> None:
  """Raises UserError if no image has a mask; the message has names of both and the remedy."""
  if matches.masks:
    return
  images, masks = (
    [os.path.relpath(path, root) for path in files]
    for files in (matches.images.values(), matches.unused)
  )
  places = [place for part in parts for place in (part.images, part.masks)]
  pattern = "--config.data.masks='masks/{name}_mask.png', a pattern below config.data.root"
  if len(masks) > len(images):  # as segmenters of single objects write
    remedy = (
      f'{len(masks)} masks for {len(images)} images look like several masks for an image: '
      'expected is one mask that holds the class of every pixel, so paint those of an image into '
      f'one file. For one mask each give both the same names, or set {pattern}.'
    )
  elif masks:
    remedy = f'Give both the same names, or set {pattern}.'
  else:
    remedy = describe_annotations([*places, root], output_directory(root, parts)) or (
      f'{root} holds {describe_content(root)}. Add the directory masks/ with a mask for some of '
      f'the images, or set {pattern}.'
    )
  raise UserError(
    f'None of {len(images)} {title} in {root} has a mask: images are {listed(images, 3)}; '
    f'masks {"are " + listed(masks, 3) if masks else "were not found"}. {remedy}'
  )


def is_without_masks(matches: Matches) -> bool:
  """Returns whether there is no mask at all, as in valid/ of a competition."""
  return not matches.masks and not matches.unused


def output_directory(root: Path, parts: Sequence[Part]) -> Path:
  """Returns the directory below which converted masks are found, DIR of DIR/masks."""
  if len(parts) != 1 or parts[0].images == root:
    return root
  images = parts[0].images
  return images.parent if spell(images.name) in IMAGES else images


def hold_out(
  root: Path, names: Collection[str], share: float, seed: int, labeled: str
) -> frozenset[str]:
  """Returns the names of the labelled images that are set aside for validation.

  Raises:
    UserError: only one image has a mask, or a file lists all of them as labelled.
  """
  if share >= 1:
    return frozenset(names)  # an evaluation, which needs no images for training
  if len(names) == 1:
    raise UserError(
      f"Only the image '{next(iter(names))}' in {root} has a mask, and there are none for "
      'validation: draw a mask for a second image, or set --config.data.val to other images.'
    )
  order = sorted(names)
  named = {order[i] for i in choose_labeled(order, labeled, 0)} if is_list(labeled) else set()
  others = set(order) - named
  if not others:
    raise UserError(
      f'{labeled} lists all {len(order)} images with a mask in {root} as labelled: none is left '
      'for validation: list fewer, or set --config.data.val to other images.'
    )
  # Below the share the choice is the same for every list.
  chosen = choose_validation(order, share, seed) - named
  return chosen or choose_validation(others, share, seed)


def is_list(labeled: str) -> bool:
  """Returns whether `config.data.labeled` is a file of names, no count and no fraction."""
  text = labeled.strip()
  return bool(text) and not text.lstrip('+-').isdecimal() and not FRACTION.fullmatch(text)


def make_pairs(matches: Matches, names: Iterable[str]) -> Pairs:
  """Returns the pairs of these names, sorted."""
  order = tuple(sorted(names))
  return Pairs(
    order, tuple(matches.images[n] for n in order), tuple(matches.masks[n] for n in order)
  )


def join(bare: Mapping[str, Path], unlabeled: Mapping[str, Path]) -> dict[str, Path]:
  """Returns images without a mask and further images, sorted; equal names get a directory."""
  images = {**bare}
  for name, path in unlabeled.items():
    images[f'unlabeled/{name}' if name in bare else name] = path
  return dict(sorted(images.items()))


def read_directories(layout: Layout | None, parts: Parts) -> list[Path]:
  """Returns the directories that images and masks were searched in, without nested ones."""
  found = [*layout.train, *layout.val] if layout else []
  searched = [path for part in found for path in (part.images, part.masks)]
  searched += layout.unlabeled if layout else ()
  files = [*parts.train.images, *parts.val.images, *parts.unlabeled.values()]
  # The directory of a file in it, for equal treatment of both.
  inside = [directory / 'file' for directory in searched]
  return top_directories([*inside, *(file for file in files if not isinstance(file, Encoded))])
