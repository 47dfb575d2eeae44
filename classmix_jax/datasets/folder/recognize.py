"""Recognizes the layout of a directory.

Synopsis:

    root, layout = recognize(Path('DIR'))
    find_class_file(root, layout)
"""

import os
from pathlib import Path

from classmix_jax.datasets.folder.foreign import describe_annotations
from classmix_jax.datasets.folder.layouts import LAYOUTS, Layout
from classmix_jax.datasets.folder.layouts.words import children, image_files
from classmix_jax.datasets.folder.patterns import describe_content
from classmix_jax.errors import UserError

MAX_LEVELS = 4  # of directories that hold one directory only
PATTERNS = (
  "--config.data.images='images/*' and --config.data.masks='masks/{name}.png', patterns below the "
  'root'
)
CLASS_FILES = (
  'classes.txt', '_classes.csv', 'labelmap.txt', 'class_names.txt', 'label_names.txt',
  'labels.txt', 'names.txt', 'codes.txt', 'label_colors.txt', 'objectinfo150.txt', 'obj.names',
  'classes.names', 'classes.csv', 'labels.csv', 'class_dict.csv', '_class_dict.csv', 'classes.json',
  'labels.json', 'class_names.json', 'categories.json', 'meta.json', 'label_map.pbtxt',
  'labelmap.pbtxt',
)  # fmt: skip


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
      note = f'{root} holds {directory.relative_to(root)}/ only, which is read.'
      nested = (note,) if directory != root else ()
      return directory, layout._replace(notes=(*nested, *layout.notes))
    inner = children(directory)
    if len(inner) != 1 or image_files(directory):
      break
    directory = inner[0]
  hint = describe_annotations(root)
  raise UserError(
    f'{root} has no layout that is known: it holds {describe_content(root)}. '
    + (hint or f'Known are {", ".join(LAYOUTS)}; or set {PATTERNS}.')
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


def find_class_file(root: Path, layout: Layout | None) -> Path:
  """Returns the file of class names: of the format, in the root, or beside the images.

  Returns root/classes.txt if there is none.

  Raises:
    UserError: a directory has several, and none is classes.txt.
  """
  if layout is None:
    return _class_file_in(root) or root / 'classes.txt'
  if layout.class_file is not None and not (root / 'classes.txt').is_file():
    return layout.class_file
  parts = [*layout.train, *layout.val]
  places = [root, *(place for part in parts for place in (part.images.parent, part.images))]
  files = (_class_file_in(place) for place in dict.fromkeys(places))
  return next(filter(None, files), root / 'classes.txt')


def _class_file_in(directory: Path) -> Path | None:
  if not directory.is_dir():
    return None
  names = {name.lower(): name for name in os.listdir(directory)}
  files = [directory / names[name] for name in CLASS_FILES if name in names]
  files = [path for path in files if path.is_file()]
  if len(files) > 1 and files[0].name != 'classes.txt':
    listing = ' and '.join(path.name for path in files)
    raise UserError(
      f'{directory} holds {listing}: choose the file of class names by --config.data.classes=FILE.'
    )
  return files[0] if files else None
