"""Recognizes the layout of a directory.

Synopsis:

    root, layout = choose_layout(Path('DIR'), Patterns())
    locate_class_file([root], layout)
"""

from collections.abc import Sequence
import os
from pathlib import Path

from classmix_jax.data.class_files.discovery import find_class_file
from classmix_jax.datasets.folder.foreign import describe_annotations
from classmix_jax.datasets.folder.layouts import LAYOUTS, Layout, Part
from classmix_jax.datasets.folder.layouts.words import (
  MASKS,
  MAX_LEVELS,
  children,
  find_child,
  image_files,
  spell,
)
from classmix_jax.datasets.folder.patterns import Patterns, describe_content
from classmix_jax.errors import UserError

PATTERNS = (
  "--config.data.images='images/*' and --config.data.masks='masks/{name}.png', patterns below the "
  'root'
)


def check_root(root: str) -> Path:
  """Returns the path of `config.data.root`; raises UserError if it is no directory.

  Example: `check_root('~/data') == Path.home() / 'data'`.
  """
  remedy = (
    'Set --config.data.root=DIR to a directory of images and masks; docs/layouts.md lists how they '
    'may lie in it.'
  )
  if not root:
    raise UserError(f'config.data.root is empty. {remedy}')
  path = Path(os.path.expanduser(root))
  if not path.is_dir():
    raise UserError(f'{path} is not a directory. {remedy}')
  return path


def choose_layout(root: Path, patterns: Patterns) -> tuple[Path, Layout | None]:
  """Returns the directory with the data, and its layout or None if patterns replace all of it.

  Raises:
    UserError: the layout of images or masks without a pattern is not known, or several match.
  """
  if patterns.images and patterns.masks:
    return root, None
  masks = find_child(root, MASKS) if patterns.images else None
  if masks is not None:
    return root, Layout(train=(Part(root, masks),))
  return recognize(root)


def recognize(root: Path) -> tuple[Path, Layout]:
  """Returns the directory with the data, `root` or its only directory, and its layout.

  Raises:
    UserError: no layout matches, or several do.

  Example: `recognize(Path('DIR'))[1].train[0].masks` may be `DIR/masks`.
  """
  directory = root
  for _ in range(MAX_LEVELS):
    layout = match_layout(directory)
    if layout is not None:
      return directory, layout
    inner = children(directory)
    if len(inner) != 1 or image_files(directory):
      break
    if spell(inner[0].name) in MASKS and image_files(inner[0]):
      break  # masks without images
    directory = inner[0]
  hint = describe_annotations([root], root)
  raise UserError(
    f'{root} has no layout that is known: it holds {describe_content(root)}. '
    + (hint or f'Known are {", ".join(LAYOUTS)}. Or set {PATTERNS}.')
  )


def match_layout(directory: Path) -> Layout | None:
  """Returns the layout of a directory, None if it has no known one.

  Raises:
    UserError: several layouts match.
  """
  matches = {name: layout for name, find in LAYOUTS.items() if (layout := find(directory))}
  marked = {name: layout for name, layout in matches.items() if layout.marked}
  matches = marked or matches
  if len(matches) > 1:
    raise UserError(
      f'{directory} can be read in {len(matches)} ways, as {" or as ".join(matches)}: choose by '
      f'{PATTERNS}.'
    )
  return next(iter(matches.values()), None)


def locate_class_file(roots: Sequence[Path], layout: Layout | None) -> Path:
  """Returns the file of class names: in a root, beside the directories of images, or in them.

  Returns classes.txt of the first root if there is none.

  Raises:
    UserError: several files disagree, or the only one is malformed.

  Example: `locate_class_file([Path('DIR')], None)` may be `DIR/_classes.csv`.
  """
  parts = [*layout.train, *layout.val] if layout else []
  places = [*roots, *(place for part in parts for place in (part.images.parent, part.images))]
  return find_class_file(*dict.fromkeys(places)) or roots[0] / 'classes.txt'
