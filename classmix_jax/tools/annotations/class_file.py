"""Chooses the order and colours of an export's classes and writes classes.txt.

Synopsis:

    names = order_classes(list_classes(table), 'ground', export, images)
    write_class_file(Path('OUT/classes.txt'), names, choose_colors(names, export.colors), False)
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from classmix_jax.data.class_files.reader import read_classes
from classmix_jax.data.class_files.words import is_void
from classmix_jax.data.files.colors import Color
from classmix_jax.errors import UserError
from classmix_jax.tools.annotations.annotation import AnnotatedImage, Export
from classmix_jax.types import VOID
from classmix_jax.utils.atomic_write import write_atomically
from classmix_jax.utils.text import listed


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
    images: their regions may have further names.

  Raises:
    UserError: there are fewer than two or too many for 8 bits, or a name cannot be written
      to a class file.

  Example: `order_classes((), 'ground', export, images) == ('ground', 'car', 'road')`.
  """
  if is_void(background):
    raise UserError(f'--background={background} is not a class; without the option it is void.')
  used = {name for image in images for name, _ in image.shapes}
  names = list(fixed) or [*export.class_names, *sorted(used - set(export.class_names))]
  names = [name for name in names if not is_void(name)]
  if background and not (fixed and background in fixed):
    names = [background, *(name for name in names if name != background)]
  if not 2 <= len(names) < VOID:
    raise UserError(
      f'there are {len(names)} classes{": " * bool(names)}{listed(names, 3)}; a data set has '
      f'2 to {VOID - 1}. With one class, name its surroundings: --background=NAME.'
    )
  for name in names:
    words = name.split()
    if name.startswith('#') or (len(words) > 3 and all(map(str.isdecimal, words[-3:]))):
      raise UserError(
        f"the class name '{name}' would be read as a comment or a colour in classes.txt: rename it "
        'in the export.'
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


def write_class_file(
  path: Path,
  names: Sequence[str],
  colors: Sequence[Color | None],
  overwrite: bool,
) -> None:
  """Writes the class file; keeps an existing one with the same names.

  Args:
    path: of classes.txt.
    names: in the order of their ids.
    colors: of the classes; None writes the name only.
    overwrite: replaces an existing file.

  Raises:
    UserError: an existing file has other names, or the file cannot be written.
  """
  if path.exists() and not overwrite:
    present, _ = read_classes(path)
    if present != tuple(names):
      raise UserError(
        f'{path} has other classes ({listed(present, 4)}) than this export '
        f'({listed(names, 4)}). Set --classes={path} to keep their ids, choose another --output, '
        'or --overwrite all.'
      )
    return
  lines = [
    f'{name} {" ".join(map(str, color))}' if color else name
    for name, color in zip(names, colors, strict=True)
  ]
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, '\n'.join(lines) + '\n')
  except OSError as error:
    raise UserError(f'{path} cannot be written ({error.strerror}): check --output.') from None
