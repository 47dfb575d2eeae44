"""Writes the result files of predicted images.

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

import numpy as np

from classmix_jax.errors import UserError
from classmix_jax.inference.predictor import Prediction
from classmix_jax.inference.result_names import list_results
from classmix_jax.inference.result_pictures import PICTURES, Palette
from classmix_jax.utils.atomic_write import write_atomically, write_png
from classmix_jax.utils.paths import inside
from classmix_jax.utils.text import describe_error

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # no other image could be written
REMEDIES = {
  (errno.ENOSPC, errno.EDQUOT): 'free disk space',
  (errno.EROFS, errno.EACCES, errno.EPERM): 'give write permission',
  (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL): 'rename the image',
  (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY): 'remove what stands in its place',
}


def write_class_names(output: Path, names: Sequence[str]) -> None:
  """Writes classes.json, which also marks a directory of results, see `directory_walk.py`.

  Raises:
    UserError: there is a classes.json that predict has not written, as in a run or a data set.
    OSError: it cannot be written.
  """
  path = output / 'classes.json'
  if os.path.lexists(path) and not path.is_symlink() and not holds_class_names(path):
    raise UserError(
      f'--output={output} would replace {path}, which has other content: choose another directory.'
    )
  output.mkdir(parents=True, exist_ok=True)
  write_atomically(path, json.dumps(dict(enumerate(names)), indent=2) + '\n')


def holds_class_names(path: Path) -> bool:
  """Returns whether a file has the form of our classes.json: {"0": "road", "1": "car"}."""
  try:
    content = json.loads(path.read_text(encoding='utf-8'))
  except (OSError, ValueError):
    return False
  return isinstance(content, dict) and list(content) == [str(key) for key in range(len(content))]


def write_results(
  output: Path,
  name: str,
  image: np.ndarray,
  prediction: Prediction,
  palette: Palette,
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
  pictures = [draw(image, prediction, palette) for draw in PICTURES.values()]
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
