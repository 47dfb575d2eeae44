"""Names of the results of predicted images, and what they would replace.

Synopsis:

    check_results(inputs.images, Path('OUT'))    # raises UserError before anything is written
"""

from collections.abc import Callable, Sequence
import os
from pathlib import Path
import unicodedata

from classmix_jax.data.files.directory_walk import RESULT_SUFFIXES
from classmix_jax.errors import UserError
from classmix_jax.inference.predict_inputs import Input
from classmix_jax.utils.text import listed

MAX_PAIRS = 3  # that are named


def list_results(name: str) -> list[str]:
  """Returns the names of an image's results.

  Example: `list_results('a') == ['a.png', 'a_overlay.png', 'a_confidence.png']`.
  """
  return [f'{name}.png', *(f'{name}{suffix}' for suffix in RESULT_SUFFIXES)]


def check_results(images: Sequence[Input], output: Path) -> None:
  """Checks the names of all results before the first is written.

  Raises:
    UserError: two images would have the same result, or one a file and another a directory of
      this name, also if they differ in case and the file system ignores that; or a result would
      replace an image.
  """
  fold = str.casefold if ignores_case(output) else str
  pairs = list_collisions(images, fold)
  if pairs:
    raise UserError(
      f'{listed(pairs, MAX_PAIRS)}: rename one of each pair, or predict them apart, by a pattern '
      "such as --input='DIR/*.jpg' for each and an --output of its own."
    )
  check_not_replaced(images, output, fold)


def list_collisions(images: Sequence[Input], fold: Callable[[str], str] = str) -> list[str]:
  """Returns a clause for each pair of images that would have a result in common.

  Args:
    images: of which results are written.
    fold: maps names that the file system takes for one to the same text.

  Example: `['a.jpg and a.png both have the name 'a'']`.
  """
  owners: dict[str, Input] = {}
  clauses: dict[tuple[str, str], str] = {}
  for one in images:
    for result in list_results(one.name):
      other = owners.setdefault(fold(result), one)
      if other is not one:
        name = f'name {one.name!r}' if fold(one.name) == fold(other.name) else f'result {result!r}'
        clauses.setdefault((str(other.image), str(one.image)), name)
  for one in images:
    for parent in map(Path.as_posix, Path(one.name).parents):
      other = owners.get(fold(parent), one)
      if other is not one:
        clauses.setdefault((str(other.image), str(one.image)), f'result {parent!r}')
  return [f'{first} and {second} both have the {name}' for (first, second), name in clauses.items()]


def check_not_replaced(
  images: Sequence[Input], output: Path, fold: Callable[[str], str] = str
) -> None:
  """Raises UserError if a result would replace an image or the file of a link to one.

  Args:
    images: of which results are written.
    output: directory of the results.
    fold: maps names that the file system of `output` takes for one to the same text.
  """
  root = os.path.realpath(output)
  results = {fold(os.path.join(root, path)) for one in images for path in list_results(one.name)}
  files = [one.image for one in images if isinstance(one.image, Path)]
  parents = {file.parent: os.path.realpath(file.parent) for file in files}
  replaced = []
  for file in files:
    paths = [os.path.join(parents[file.parent], file.name), os.path.realpath(file)]
    if not results.isdisjoint(fold(unicodedata.normalize('NFC', path)) for path in paths):
      replaced.append(file)
  if replaced:
    raise UserError(
      f'--output={output} would replace the image {listed(replaced, 1)} by results: choose another '
      'directory.'
    )


def ignores_case(directory: Path) -> bool:
  """Returns whether the file system of a directory, which may not exist, ignores case."""
  for path in (directory.absolute(), *directory.absolute().parents):
    swapped = path.with_name(path.name.swapcase()) if path.name else path
    if swapped != path and path.exists():
      return swapped.exists() and path.samefile(swapped)
  return False
