"""Images from which the ranges of values in a network are measured, to store them in 8 bits.

Synopsis:

    images = open_calibration(Path('RUN'))                      # 32 unlabelled images of the run
    images = open_calibration(Path('RUN'), 'photos')            # of a directory
    for image in images: ...                                    # [1, H, W, 3] uint8
    for image in images.fitted(360, 480): ...                   # [1, 360, 480, 3] uint8
"""

from collections.abc import Callable, Iterator
import dataclasses
import functools
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from classmix_jax.config.load import read_config
from classmix_jax.data.label_statistics import spread
from classmix_jax.errors import UserError
from classmix_jax.inference.as_array import as_array
from classmix_jax.inference.export.run_images import open_unlabeled_images
from classmix_jax.inference.predict_inputs import find_inputs
from classmix_jax.inference.predictor import run_reading

COUNT = 32  # images


@dataclasses.dataclass(frozen=True)
class CalibrationImages:
  """Images that are read when they are used.

  Attributes:
    readers: one for each image, which returns `[H, W, 3]` uint8 RGB.
    description: of the images, as in '32 of 321 unlabelled images of the run'.
    notes: a sentence for each image that is left out.
  """

  readers: tuple[Callable[[], np.ndarray], ...]
  description: str
  notes: tuple[str, ...] = ()

  def __len__(self) -> int:
    return len(self.readers)

  def __iter__(self) -> Iterator[np.ndarray]:
    """Yields the images at their own sizes, `[1, H, W, 3]` uint8."""
    return (read()[None] for read in self.readers)

  def fitted(self, height: int, width: int) -> Iterator[np.ndarray]:
    """Yields the images resized to cover a size and cut to it, `[1, height, width, 3]` uint8."""
    for read in self.readers:
      image = ImageOps.fit(Image.fromarray(read()), (width, height), Image.Resampling.BILINEAR)
      yield np.asarray(image)[None]


def open_calibration(run: Path, directory: str = '', count: int = COUNT) -> CalibrationImages:
  """Chooses images for a calibration, evenly spaced over the sorted list.

  Args:
    run: directory of the run, whose bands and range of values are read.
    directory: of images, or a pattern or list as for `predict`; '' takes unlabelled images of the
      run.
    count: most images.

  Raises:
    UserError: there are no images, or none is readable.
  """
  if directory:
    readers, kind = list_files(run, directory), f'images of {directory}'
  else:
    readers, kind = list_run_images(run), 'images of the run'
  chosen = [readers[index] for index in spread(len(readers), count)]
  errors = [find_error(read) for read in chosen]
  readable = tuple(read for read, error in zip(chosen, errors, strict=True) if not error)
  notes = tuple(filter(None, errors))
  if not readable:
    raise UserError(f'no image for the calibration is readable: {notes[0]}')
  return CalibrationImages(readable, f'{len(readable)} of {len(readers)} {kind}', notes)


def list_run_images(run: Path) -> list[Callable[[], np.ndarray]]:
  """Returns a reader for each unlabelled image of a run.

  Raises:
    UserError: they are not there.
  """
  try:
    source = open_unlabeled_images(run)
  except UserError as error:
    raise UserError(
      f'int8 is calibrated on images, but {str(error).rstrip(".")}; --calibration=DIR gives others.'
    ) from None
  return [functools.partial(source.read_image, index) for index in range(len(source))]


def list_files(run: Path, directory: str) -> list[Callable[[], np.ndarray]]:
  """Returns a reader for each image of a directory, pattern or list.

  Raises:
    UserError: there are none.
  """
  inputs = find_inputs(directory, flag='calibration')
  if not isinstance(inputs.images, list):
    raise UserError(f'--calibration={directory} is a video; expected is a directory of images.')
  reading = run_reading(read_config(run))
  return [functools.partial(as_array, one.image, reading) for one in inputs.images]


def find_error(read: Callable[[], np.ndarray]) -> str:
  """Returns why an image is unreadable, '' if it is not."""
  try:
    read()
  except UserError as error:
    return str(error)
  return ''
