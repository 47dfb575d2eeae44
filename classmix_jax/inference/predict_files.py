"""Predicts files, directories, globs and videos; the program launch/predict.py.

OUT/NAME.png             class ids
OUT/NAME_overlay.png     class colours over the image
OUT/NAME_confidence.png  confidence, 0 to 255
OUT/classes.json         the names of the ids
"""

from collections.abc import Iterator
import contextlib
import errno
import json
import os
from pathlib import Path

import numpy as np
from PIL import Image

from classmix_jax.data.files.reading import Reading
from classmix_jax.errors import UserError
from classmix_jax.inference.predict_inputs import Input, find_inputs
from classmix_jax.inference.predictor import Prediction, Predictor, load
from classmix_jax.utils.atomic_write import write_atomically, write_png
from classmix_jax.utils.paths import inside
from classmix_jax.utils.progress import progress
from classmix_jax.utils.visualize import colorize, overlay

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # no other image could be written
MAX_NAMED = 20  # failed images that are printed


def check_not_overwritten(image: Input, output: Path) -> None:
  """Raises UserError if the class ids would be written over the image itself."""
  result = output / f'{image.name}.png'
  if image.file and os.path.exists(result) and os.path.samefile(result, image.file):
    raise UserError(
      f'--output={output} would replace the image {image.file} by its class ids: choose another '
      'directory.'
    )


def write_prediction(
  output: Path, name: str, image: np.ndarray, prediction: Prediction, predictor: Predictor
) -> None:
  """Writes the three result files of one image, or none of them.

  Raises:
    UserError: a file cannot be written, e.g. its name is too long.
    OSError: no file can be written: the disk is full or read-only.
  """
  results = {
    '': prediction.label,
    '_overlay': overlay(image, colorize(prediction.label, predictor.palette)),
    '_confidence': (255 * prediction.confidence).round().astype(np.uint8),
  }
  paths = [inside(output, f'{name}{suffix}.png') for suffix in results]
  try:
    for path, array in zip(paths, results.values(), strict=True):
      path.parent.mkdir(parents=True, exist_ok=True)
      write_png(path, Image.fromarray(array))
  except OSError as error:
    for path in paths:
      with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
    if error.errno in DISK_ERRORS:
      raise
    raise UserError(
      f"the results of '{name}' cannot be written to {output} ({error.strerror}): rename the image "
      'or choose another --output.'
    ) from None


@contextlib.contextmanager
def convert_output_errors(output: Path) -> Iterator[None]:
  """Converts errors of the output directory inside the block to UserError."""
  try:
    yield
  except OSError as error:
    raise UserError(
      f'{output} cannot be written ({error.strerror}): free disk space, give write permission, or '
      'choose another --output. The images before are finished; the same command starts again.'
    ) from error


def read_images(
  inputs: Iterator[Input],
  reading: Reading,
  output: Path,
  pending: list[tuple[str, np.ndarray]],
  errors: list[str],
) -> Iterator[np.ndarray]:
  """Yields the readable images.

  Args:
    inputs: the images.
    reading: bands and range of values of the images.
    output: directory of the results, which must not overwrite the images.
    pending: receives (name, image) of every image that is yielded.
    errors: receives one sentence for every unreadable image.

  Raises:
    UserError: a result would overwrite its image.
  """
  for one in inputs:
    check_not_overwritten(one, output)
    try:
      image = one.read(reading)
    except UserError as error:
      errors.append(str(error))
      continue
    pending.append((one.name, image))
    yield image


def predict_files(
  run: Path,
  source: str,
  output: Path,
  *,
  step: str = 'best',
  network: str = '',
  batch_size: int = 8,
) -> None:
  """Predicts all images of a source; the program launch/predict.py.

  Images that are unreadable, or whose results cannot be written, are left out and reported at the
  end.

  Args:
    run: directory of the run.
    source: see `find_inputs`.
    output: directory of the results.
    step: 'latest', 'best' or a step.
    network: e.g. 'teacher'; '' takes the config's `eval_network`.
    batch_size: images of one size that are predicted at once.

  Raises:
    UserError: the run or the source does not exist, images are unreadable, or results cannot be
      written.
  """
  count, inputs, notes = find_inputs(source, output)
  for note in notes:
    print(f'note: {note}')
  predictor = load(run, step=step, network=network)
  pending: list[tuple[str, np.ndarray]] = []
  errors: list[str] = []
  report = progress('predicting', count) if count else lambda done: None
  images = read_images(inputs, predictor.reading, output, pending, errors)
  written = 0
  with convert_output_errors(output):
    output.mkdir(parents=True, exist_ok=True)
    # First: it marks the directory as one of results, see data/files/directory_walk.py.
    classes = dict(enumerate(predictor.class_names))
    write_atomically(output / 'classes.json', json.dumps(classes, indent=2) + '\n')
    for prediction in predictor.predict_all(images, min(batch_size, count or batch_size)):
      try:
        write_prediction(output, *pending.pop(0), prediction, predictor)
        written += 1
      except UserError as error:
        errors.append(str(error))
      report(written + len(errors))
  print(
    f'wrote class ids, overlays and confidence of {written} images and classes.json to {output}'
  )
  if len(errors) > 1:
    print(*(f'left out: {sentence}' for sentence in errors[:MAX_NAMED]), sep='\n')
  if errors:
    raise UserError(f'{len(errors)} of {written + len(errors)} images were left out: {errors[0]}')
