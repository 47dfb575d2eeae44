"""Names and writes the result files of predicted images.

OUT/NAME.png             class ids, in the colours of the classes
OUT/NAME_overlay.png     class colours over the image
OUT/NAME_confidence.png  confidence, 0 to 255
OUT/classes.json         the names of the ids
"""

from collections.abc import Iterator, Sequence
import contextlib
import errno
import json
import os
from pathlib import Path
import unicodedata

import numpy as np
from PIL import Image

from classmix_jax.data.files.directory_walk import RESULT_SUFFIXES
from classmix_jax.errors import UserError
from classmix_jax.inference.predict_inputs import Input
from classmix_jax.inference.predictor import Prediction
from classmix_jax.utils.atomic_write import write_atomically, write_png
from classmix_jax.utils.indexed_image import to_indexed
from classmix_jax.utils.paths import inside
from classmix_jax.utils.text import describe_error, listed
from classmix_jax.utils.visualize import colorize, overlay

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # no other image could be written
REMEDIES = {
  (errno.ENOSPC, errno.EDQUOT): 'free disk space',
  (errno.EROFS, errno.EACCES, errno.EPERM): 'give write permission',
  (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL): 'rename the image',
  (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY): 'remove what stands in its place',
}
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
  owners: dict[str, Input] = {}
  pairs: dict[tuple[str, str], str] = {}
  for one in images:
    for result in list_results(one.name):
      other = owners.setdefault(fold(result), one)
      if other is not one:
        name = f'name {one.name!r}' if fold(one.name) == fold(other.name) else f'result {result!r}'
        pairs.setdefault((str(other.image), str(one.image)), name)
  for one in images:
    for parent in Path(one.name).parents:
      other = owners.get(fold(parent.as_posix()))
      if other:
        pairs.setdefault((str(other.image), str(one.image)), f'result {parent.as_posix()!r}')
  if pairs:
    sentences = [
      f'{first} and {second} both have the {name}' for (first, second), name in pairs.items()
    ]
    raise UserError(
      f'{listed(sentences, MAX_PAIRS)}: rename one of each pair, or predict them apart, by a '
      "pattern such as --input='DIR/*.jpg' for each and an --output of its own."
    )
  check_not_replaced(images, output, fold)


def check_not_replaced(images: Sequence[Input], output: Path, fold=str) -> None:
  """Raises UserError if a result would replace an image, by names under `fold`."""
  root = os.path.realpath(output)
  results = {fold(os.path.join(root, path)) for one in images for path in list_results(one.name)}
  files = [one.image for one in images if isinstance(one.image, Path)]
  parents = {file.parent: os.path.realpath(file.parent) for file in files}
  replaced = [
    file
    for file in files
    if fold(unicodedata.normalize('NFC', os.path.join(parents[file.parent], file.name))) in results
  ]
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


def write_class_names(output: Path, names: Sequence[str]) -> None:
  """Writes classes.json, which also marks a directory of results, see `directory_walk.py`."""
  output.mkdir(parents=True, exist_ok=True)
  write_atomically(output / 'classes.json', json.dumps(dict(enumerate(names)), indent=2) + '\n')


def write_results(
  output: Path,
  name: str,
  image: np.ndarray,
  prediction: Prediction,
  palette: Sequence[tuple[int, int, int]],
) -> None:
  """Writes the three result files of one image, or none of them.

  Args:
    output: directory of the results.
    name: of the image.
    image: `[H, W, 3]` uint8.
    prediction: of the image.
    palette: one RGB triple per class.

  Raises:
    UserError: a file cannot be written, e.g. its name is too long.
    OSError: no file can be written: the disk is full or read-only.
  """
  pictures = (
    to_indexed(prediction.label, palette),
    Image.fromarray(overlay(image, colorize(prediction.label, palette))),
    Image.fromarray((255 * prediction.confidence).round().astype(np.uint8)),
  )
  paths = [inside(output, result) for result in list_results(name)]
  try:
    with removing(paths):
      for path, picture in zip(paths, pictures, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, picture)
  except OSError as error:
    if error.errno in DISK_ERRORS:
      raise
    raise UserError(
      f"the results of '{name}' cannot be written to {output} {describe_write_error(error)}."
    ) from None


def describe_write_error(error: OSError) -> str:
  """Returns the reason of an error of writing and the remedy.

  Example:
    >>> describe_write_error(OSError(errno.ENOSPC, 'No space left on device'))
    '(No space left on device): free disk space, or choose another --output'
  """
  remedy = next((text for codes, text in REMEDIES.items() if error.errno in codes), 'try again')
  return f'({error.strerror or describe_error(error)}): {remedy}, or choose another --output'


@contextlib.contextmanager
def removing(paths: Sequence[Path]) -> Iterator[None]:
  """Removes the files if the block does not end, also if it is interrupted."""
  try:
    yield
  except BaseException:
    for path in paths:
      with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
    raise
