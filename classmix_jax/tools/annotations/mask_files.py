"""Writes masks, and keeps those that exist and were edited by hand.

Synopsis:

    files = MaskFiles(Path('OUT/masks'), palette, Decoding(names, table), overwrite=False)
    outcome, mask = files.save('city/a', mask)     # ('written', mask)
    files.close()
"""

from collections.abc import Iterable, Sequence
import io
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from classmix_jax.data.files.decoding import Decoding
from classmix_jax.data.files.image_io import load_image
from classmix_jax.data.files.mask_io import read_mask
from classmix_jax.errors import UserError
from classmix_jax.tools.annotations.mask_record import read_record
from classmix_jax.utils.atomic_write import replacing
from classmix_jax.utils.paths import inside

# 'same': the file has these pixels already. 'changed': this program wrote it from another
# annotation or with other options. 'edited': it has other pixels by another hand, and is kept.
Outcome = Literal['written', 'same', 'changed', 'edited']


class MaskFiles:
  """The masks of a conversion in a directory, with the record of their checksums beside it."""

  def __init__(
    self, directory: Path, palette: Sequence[int], decoding: Decoding, overwrite: bool
  ) -> None:
    self._directory = directory
    self._palette = palette
    self._decoding = decoding
    self._overwrite = overwrite
    self._record = read_record(directory.parent / f'{directory.name}.sha256')
    remove_leftovers(directory)

  def save(self, name: str, mask: np.ndarray) -> tuple[Outcome, np.ndarray]:
    """Writes a mask unless it exists with the same pixels or was edited.

    Args:
      name: of the image.
      mask: `[H, W]` uint8 class ids.

    Returns:
      The outcome, and the ids that the file has then.

    Raises:
      UserError: the name leads out of the directory, the file cannot be written, or an edited
        mask has other ids.
    """
    path = inside(self._directory, f'{name}.png')
    if self._overwrite or not path.exists():
      self._write(name, path, mask)
      return 'written', mask
    data = read_bytes(path)
    if has_pixels(path, mask):
      if not self._record.holds(name, data):  # a conversion without a record
        self._add(name, data)
      return 'same', mask
    if self._record.holds(name, data):
      self._write(name, path, mask)
      return 'changed', mask
    return 'edited', read_mask(path, self._decoding)

  def close(self) -> None:
    """Shortens the record; raises UserError if it cannot be written."""
    try:
      self._record.compact()
    except OSError as error:
      raise UserError(describe_failure(self._directory, error)) from None

  def _write(self, name: str, path: Path, mask: np.ndarray) -> None:
    data = encode_mask(mask, self._palette)
    self._add(name, data)
    write_mask(data, path)

  def _add(self, name: str, data: bytes) -> None:
    try:
      self._record.add(name, data)
    except OSError as error:
      raise UserError(describe_failure(self._directory, error)) from None


def remove_leftovers(directory: Path) -> None:
  """Removes incomplete masks of a killed conversion; raises UserError if it cannot."""
  for path in directory.rglob('.*.tmp'):
    try:
      path.unlink(missing_ok=True)
    except OSError as error:
      raise UserError(describe_failure(path, error)) from None


def find_others(directory: Path, names: Iterable[str]) -> list[str]:
  """Returns the paths of the masks in a directory that have none of these names, sorted."""
  expected = {str(directory / f'{name}.png') for name in names}
  return sorted({str(path) for path in directory.rglob('*.png')} - expected)


def find_masks(directory: Path, names: Iterable[str]) -> tuple[list[str], list[str]]:
  """Finds the masks of these names that exist.

  Returns:
    The names of those that this program wrote, and of those that were edited or that it did not
    write.

  Raises:
    UserError: a file cannot be read.
  """
  record = read_record(directory.parent / f'{directory.name}.sha256')
  written: list[str] = []
  edited: list[str] = []
  for name in names:
    path = inside(directory, f'{name}.png')
    if path.is_file():
      (written if record.holds(name, read_bytes(path)) else edited).append(name)
  return written, edited


def encode_mask(mask: np.ndarray, palette: Sequence[int]) -> bytes:
  """Encodes `[H, W]` uint8 ids as an 8-bit palette PNG; `palette` has 768 numbers."""
  image = Image.fromarray(mask)
  image.putpalette(palette)
  buffer = io.BytesIO()
  image.save(buffer, 'PNG')
  return buffer.getvalue()


def write_mask(data: bytes, path: Path) -> None:
  """Writes the content of a mask file atomically; raises UserError if it cannot be written."""
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
      temporary.write_bytes(data)
  except OSError as error:
    raise UserError(describe_failure(path, error)) from None


def read_bytes(path: Path) -> bytes:
  """Returns the content of a file; raises UserError if it is unreadable."""
  try:
    return path.read_bytes()
  except OSError as error:
    raise UserError(
      f'{path} cannot be read ({error.strerror}): remove it, or choose another --output.'
    ) from None


def has_pixels(path: Path, mask: np.ndarray) -> bool:
  """Returns whether an image file has the values of `mask`; False if it does not decode."""
  try:
    image = load_image(path)
  except UserError:
    return False
  return image.mode in ('L', 'P') and np.array_equal(np.asarray(image), mask)


def describe_failure(path: Path, error: OSError) -> str:
  """Returns the sentence for an output that cannot be written."""
  return f'{path} cannot be written ({error.strerror}): check --output.'
