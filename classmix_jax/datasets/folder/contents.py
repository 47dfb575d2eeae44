"""Finds the images and masks of a data set, by its layout and by patterns.

Synopsis:

    contents = read_contents(root, layout, Patterns(masks='gt/{name}.png'))
    contents.train.images, contents.train.masks    # name -> path
"""

from collections.abc import Callable, Collection, Iterable, Mapping
import os
from pathlib import Path
from typing import NamedTuple

from classmix_jax.data.files.find_images import EXTENSIONS, find_images, image_paths, name_images
from classmix_jax.data.files.unused import describe_unused
from classmix_jax.data.splits import choose_labeled
from classmix_jax.datasets.folder.layouts import Layout, Part
from classmix_jax.datasets.folder.layouts.words import special_children
from classmix_jax.datasets.folder.mask_names import Matches, match_masks, split_beside
from classmix_jax.datasets.folder.patterns import NAME, Patterns, find_pattern
from classmix_jax.errors import UserError

NOTHING = Matches({}, {}, ())


class Contents(NamedTuple):
  """Images and masks of a data set.

  Attributes:
    train: images for training; those without a mask have no labels.
    val: images for validation, None if some of the labelled images are to be set aside.
    unlabeled: name -> image of further images without labels.
    test: images for tests, which neither train nor validate.
    unlisted: images with a mask that are in no list of names, and are not used.
  """

  train: Matches
  val: Matches | None
  unlabeled: Mapping[str, Path]
  test: Matches = NOTHING
  unlisted: tuple[Path, ...] = ()


def read_contents(root: Path, layout: Layout | None, patterns: Patterns) -> Contents:
  """Returns the images and masks below a directory.

  Args:
    root: directory that patterns are relative to.
    layout: of the directory; None if patterns for images and masks are set.
    patterns: replace what the layout finds.

  Raises:
    UserError: a pattern or a list matches nothing, or names are ambiguous.
  """
  train = _read_train(root, layout, patterns)
  val = _read_val(root, layout, patterns, train)
  test = merge(map(read_part, layout.test)) if layout else NOTHING
  held_out = [*(val or NOTHING).images.values(), *test.images.values()]
  train = _select(train, _outside(held_out))
  train, unlisted = _apply_list(train, layout, patterns)
  # Parts may share a directory of masks.
  others = [*(val or NOTHING).masks.values(), *test.masks.values()]
  train = _without_unused(train, others)
  if val is not None:
    val = _without_unused(val, [*train.masks.values(), *train.unused, *test.masks.values()])
  unlabeled = _read_unlabeled(root, layout, patterns)
  is_new = _outside([*held_out, *train.images.values(), *train.masks.values()])
  unlabeled = {name: path for name, path in unlabeled.items() if is_new(path)}
  return Contents(train, val, unlabeled, test, unlisted)


def _read_train(root: Path, layout: Layout | None, patterns: Patterns) -> Matches:
  """Returns the images for training and their masks, before others are held out."""
  parts = [part._replace(names=None) for part in layout.train] if layout else []
  if not (patterns.images or patterns.masks):
    return merge(map(read_part, parts))
  named = patterns.directories(root)
  if named:
    if named[0] != named[1]:
      require_images(named[1], list(image_paths(named[1])))
    return read_part(Part(*named))
  if patterns.images:
    images = find_pattern(root, 'images', patterns.images)
  else:
    images = dict(merge(map(read_part, parts)).images)
  if not patterns.masks:
    return merge([match_masks(images, find_images(part.masks)) for part in parts])
  masks = find_pattern(root, 'masks', patterns.masks)
  is_image = _outside(masks.values())
  images = {name: path for name, path in images.items() if is_image(path)}
  return match_pattern(images, masks, patterns.masks)


def match_pattern(images: Mapping[str, Path], masks: Mapping[str, Path], pattern: str) -> Matches:
  """Returns images with their masks: by equal names if the pattern has {name}, else by a rule."""
  if NAME not in pattern:
    return match_masks(images, masks)
  unused = [path for name, path in masks.items() if name not in images]
  return Matches(images, {name: masks[name] for name in images if name in masks}, unused)


def _read_val(
  root: Path, layout: Layout | None, patterns: Patterns, train: Matches
) -> Matches | None:
  """Returns the images for validation: of `config.data.val`, a list or a pattern, or the layout."""
  if not patterns.val:
    return merge(map(read_part, layout.val)) if layout and layout.val else None
  path = root / os.path.expanduser(patterns.val)
  if path.is_file() and path.suffix.lower() not in EXTENSIONS:
    names = _read_list(path, train.masks)
    return _choose(train, names)
  files = find_pattern(root, 'val', patterns.val)
  is_other = _outside(files.values())
  chosen = _select(train, lambda image: not is_other(image))
  if len(chosen.images) == len(files):
    return chosen
  masks = find_pattern(root, 'masks', patterns.masks) if patterns.masks else train.masks
  return match_pattern(files, masks, patterns.masks)


def _apply_list(
  train: Matches, layout: Layout | None, patterns: Patterns
) -> tuple[Matches, tuple[Path, ...]]:
  """Returns the images that the list of the training part names, and unlisted ones with a mask.

  Unlisted images without a mask remain, as images without labels.
  """
  lists = [part for part in layout.train if part.names] if layout else []
  if not lists or patterns.images or patterns.masks:
    return train, ()
  names = frozenset(name for part in lists for name in read_part(part).images)
  unlisted = tuple(train.images[name] for name in train.masks if name not in names)
  return _choose(train, names | (train.images.keys() - train.masks.keys())), unlisted


def _read_unlabeled(root: Path, layout: Layout | None, patterns: Patterns) -> dict[str, Path]:
  """Returns name -> image of further images without labels."""
  if patterns.unlabeled_images:
    return find_pattern(root, 'unlabeled_images', patterns.unlabeled_images)
  images: dict[str, Path] = {}
  for directory in layout.unlabeled if layout else ():
    images |= read_unlabeled(directory)
  return images


def _outside(files: Iterable[Path]) -> Callable[[Path], bool]:
  """Returns a function: whether a file is not among these files."""
  paths = {os.path.abspath(file) for file in files}
  return lambda path: os.path.abspath(path) not in paths


def _select(matches: Matches, keeps: Callable[[Path], bool]) -> Matches:
  """Returns the images for which `keeps` is True, and their masks."""
  return _choose(matches, {name for name, path in matches.images.items() if keeps(path)})


def _choose(matches: Matches, names: Collection[str]) -> Matches:
  """Returns the images with these names, and their masks."""
  images = {name: path for name, path in matches.images.items() if name in names}
  masks = {name: path for name, path in matches.masks.items() if name in names}
  return matches._replace(images=images, masks=masks)


def _without_unused(matches: Matches, files: Iterable[Path]) -> Matches:
  """Returns the matches without these files among the unused ones."""
  return matches._replace(unused=list(filter(_outside(files), matches.unused)))


def _read_list(path: Path, names: Iterable[str]) -> frozenset[str]:
  """Returns the names that a list has; raises UserError if it has others."""
  order = tuple(names)
  return frozenset(order[index] for index in choose_labeled(order, str(path), seed=0))


def read_part(part: Part) -> Matches:
  """Returns the images of a part and their masks, by the list of names if it has one.

  Raises:
    UserError: there are no images, or a list names others.
  """
  excluded = [*part.exclude, *([part.masks] if part.masks != part.images else [])]
  files = [
    path
    for path in image_paths(part.images)
    if not any(path.is_relative_to(directory) for directory in excluded)
  ]
  require_images(part.images, files)
  if part.masks == part.images:
    matches = split_beside(files, part.images)
  else:
    matches = match_masks(name_images(files, part.images), find_images(part.masks))
  if part.prefix:
    matches = Matches(
      {part.prefix + name: path for name, path in matches.images.items()},
      {part.prefix + name: path for name, path in matches.masks.items()},
      matches.unused,
    )
  if part.names is None or not matches.images:
    return matches
  return _choose(matches, _read_list(part.names, matches.images))


def read_unlabeled(directory: Path) -> dict[str, Path]:
  """Returns name -> image of images without labels; those below masks/ are left out.

  Raises:
    UserError: there are none.
  """
  excluded = special_children(directory)
  files = [p for p in image_paths(directory) if not any(map(p.is_relative_to, excluded))]
  require_images(directory, files)
  return name_images(files, directory)


def require_images(directory: Path, files: Collection[Path]) -> None:
  """Raises UserError if a directory holds no images."""
  if not files:
    extensions = ', '.join(extension[1:] for extension in EXTENSIONS)
    unused = ' '.join(describe_unused([directory]))
    raise UserError(
      f'{directory} holds no images ({extensions}). {unused or "Add some or remove the directory."}'
    )


def merge(matches: Iterable[Matches]) -> Matches:
  """Returns the images and masks of several parts together, sorted by name."""
  images: dict[str, Path] = {}
  masks: dict[str, Path] = {}
  unused: list[Path] = []
  for match in matches:
    images |= match.images
    masks |= match.masks
    unused += match.unused
  return Matches(dict(sorted(images.items())), masks, unused)
