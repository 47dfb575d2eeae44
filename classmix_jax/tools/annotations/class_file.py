"""Chooses the order and colours of an export's classes and writes classes.txt.

Synopsis:

    names = order_classes(list_classes(table), 'ground', export, images)
    write_class_file(Path('OUT/classes.txt'), names, choose_colors(names, export.colors), False)
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from classmix_jax.data.class_files import text_table
from classmix_jax.data.class_files.class_table import build_table
from classmix_jax.data.class_files.reader import read_classes
from classmix_jax.data.class_files.words import is_background, is_void
from classmix_jax.data.files.colors import Color
from classmix_jax.errors import UserError
from classmix_jax.tools.annotations.annotation import AnnotatedImage, Export
from classmix_jax.types import VOID
from classmix_jax.utils.atomic_write import write_atomically
from classmix_jax.utils.text import listed

RESERVED_BACKGROUNDS = ('_background_', '__background__')  # of labelme and of TensorFlow


def choose_background(background: str, fixed: Sequence[str], used: Iterable[str]) -> str:
  """Returns the class of pixels outside all regions, '' if they are void.

  Args:
    background: of --background, or ''.
    fixed: the names of --classes; may be empty.
    used: the names of shapes.

  Returns:
    `background`; without it labelme's name for the background if a class has it.

  Raises:
    UserError: `background` means void.

  Example:
    >>> choose_background('', ('_background_', 'crane'), ())
    '_background_'
  """
  if is_void(background):
    raise UserError(f'--background={background} is not a class; without the option it is void.')
  reserved = [name for name in (*fixed, *sorted(used)) if name.lower() in RESERVED_BACKGROUNDS]
  return background or (reserved[0] if reserved else '')


def rename_background(name: str, background: str) -> str:
  """Returns `background` for any name of the background, and other names as they are.

  Example:
    >>> rename_background('_background_', 'ground'), rename_background('car', 'ground')
    ('ground', 'car')
  """
  return background if background and is_background(name) else name


def order_classes(
  fixed: Sequence[str],
  background: str,
  export: Export,
  images: Sequence[AnnotatedImage],
) -> tuple[str, ...]:
  """Returns the class names in the order of their ids.

  Args:
    fixed: the names of --classes, whose order is kept; may be empty.
    background: class of pixels outside all regions, or ''; class 0 unless it is in `fixed`.
    export: declares names and their order.
    images: their shapes may have further names.

  Raises:
    UserError: there are fewer than two or too many for 8 bits.

  Example: `order_classes((), 'ground', export, images) == ('ground', 'car', 'road')`.
  """
  used = {shape.name for image in images for shape in image.shapes if shape.name}
  names = list(fixed) or [*export.class_names, *sorted(used - set(export.class_names))]
  names = [rename_background(name, background) for name in names if not is_void(name)]
  if background and not (fixed and background in names):
    names = [background, *names]
  names = list(dict.fromkeys(names))
  if not 2 <= len(names) < VOID:
    raise UserError(
      f'there are {len(names)} classes{": " * bool(names)}{listed(names, 3)}; a data set has '
      f'2 to {VOID - 1}. With one class, name its surroundings: --background=NAME.'
    )
  return tuple(names)


def choose_colors(
  names: Sequence[str],
  colors: Mapping[str, Color | None],
) -> tuple[Color | None, ...]:
  """Returns the colour of each class; None if it has none or an earlier class has the same.

  Example:
    >>> choose_colors(('a', 'b', 'c'), {'a': (1, 2, 3), 'c': (1, 2, 3)})
    ((1, 2, 3), None, None)
  """
  chosen: list[Color | None] = []
  for name in names:
    color = colors.get(name)
    chosen.append(None if color in chosen else color)
  return tuple(chosen)


def format_classes(names: Sequence[str], colors: Sequence[Color | None]) -> str:
  """Returns the content of a class file; raises UserError if it would have other classes.

  Example:
    >>> format_classes(('car', 'sky'), ((1, 2, 3), None))
    'car 1 2 3\\nsky\\n'
  """
  lines = [
    f'{name} {" ".join(map(str, color))}' if color else name
    for name, color in zip(names, colors, strict=True)
  ]
  text = '\n'.join(lines) + '\n'
  table = build_table(text_table.parse(text, 'classes.txt'), 'classes.txt')
  wrong = [name for name, other in zip(names, table.names, strict=False) if name != other]
  if wrong or len(table.names) != len(names):
    raise UserError(
      f"the class name '{(wrong or names)[0]}' would not be read as a name in classes.txt: rename "
      'it in the export.'
    )
  return text


def write_class_file(
  path: Path,
  names: Sequence[str],
  colors: Sequence[Color | None],
  overwrite: bool,
  others: Sequence[str] = (),
) -> None:
  """Writes the class file; keeps an existing one with the same names.

  Args:
    path: of classes.txt.
    names: in the order of their ids.
    colors: of the classes; None writes the name only.
    overwrite: replaces an existing file.
    others: masks that are not replaced, whose ids are those of an existing file.

  Raises:
    UserError: an existing file has other names and may not be replaced, a name would not be read
      as such, or the file cannot be written.
  """
  text = format_classes(names, colors)
  if path.exists() and (others or not overwrite):
    present, _ = read_classes(path)
    if present != tuple(names):
      remedy = '--overwrite all'
      if others:
        remedy = f'remove its {len(others)} other masks ({listed(others, 3)}) and --overwrite all'
      raise UserError(
        f'{path} has other classes ({listed(present, 4)}) than this export '
        f'({listed(names, 4)}). Set --classes={path} to keep their ids, choose another --output, '
        f'or {remedy}.'
      )
    if not overwrite:
      return
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)
  except OSError as error:
    raise UserError(f'{path} cannot be written ({error.strerror}): check --output.') from None
