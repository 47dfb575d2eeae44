"""Predicts files, directories, globs and videos; the program launch/predict.py.

OUT/NAME.png             class ids
OUT/NAME_overlay.png     class colours over the image
OUT/NAME_confidence.png  confidence, 0 to 255
OUT/classes.json         the names of the ids
"""

from collections.abc import Callable, Iterator
import functools
import glob
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from classmix_jax.data.files.find_images import find_images
from classmix_jax.data.files.image_io import read_image
from classmix_jax.errors import UserError
from classmix_jax.inference.predictor import Prediction, Predictor, load
from classmix_jax.utils.atomic_write import write_atomically, write_png
from classmix_jax.utils.paths import inside
from classmix_jax.utils.progress import progress
from classmix_jax.utils.visualize import colorize, overlay

VIDEOS = ('.mp4', '.mov', '.avi', '.mkv', '.webm', '.m4v')


class Input(NamedTuple):
  """An image to predict.

  Attributes:
    name: of its results, without extension.
    read: returns the image, `[H, W, 3]` uint8; raises UserError if it is unreadable.
    file: the file of the image, or '' for the frame of a video.
  """

  name: str
  read: Callable[[], np.ndarray]
  file: str | Path = ''


def find_inputs(source: str) -> tuple[int | None, Iterator[Input]]:
  """Finds the images of a source.

  Args:
    source: an image, a directory (searched recursively), a glob such as 'photos/**/*.jpg', or a
      video, whose frames are named NAME/000000 and so on.

  Returns:
    The number of images, None for a video, and the images.

  Raises:
    UserError: there are no images, or two files would have one name.
  """
  path = Path(os.path.expanduser(source))
  if path.suffix.lower() in VIDEOS and path.is_file():
    return None, read_frames(path)
  files = {path.stem: path} if path.is_file() else find_images(path) if path.is_dir() else {}
  files = files or match_glob(str(path))
  if not files:
    raise UserError(
      f'--input={source} is neither an image, a video, a directory with images nor a glob that '
      'matches any.'
    )
  return len(files), (
    Input(name, functools.partial(read_image, file), file) for name, file in files.items()
  )


def match_glob(pattern: str) -> dict[str, Path]:
  """Returns name -> file of all matching files; names are relative to their common directory.

  Raises:
    UserError: two files would have one name.
  """
  # abspath removes '..', which a common directory would leave inside the names.
  matches = (Path(os.path.abspath(file)) for file in sorted(glob.glob(pattern, recursive=True)))
  files = [file for file in matches if file.is_file()]
  directory = os.path.commonpath([file.parent for file in files]) if files else ''
  named: dict[str, Path] = {}
  for file in files:
    name = file.relative_to(directory).with_suffix('').as_posix()
    if name in named:
      raise UserError(f"{named[name]} and {file} both have the name '{name}': rename one of them.")
    named[name] = file
  return named


def read_frames(video: Path) -> Iterator[Input]:
  """Yields the frames of a video.

  Raises:
    UserError: PyAV is not installed, or the file is unreadable as a video.
  """
  try:
    import av
  except ImportError:
    raise UserError(
      f"{video} is a video, which PyAV reads: install it with pip install 'classmix_jax[video]'."
    ) from None
  try:
    with av.open(str(video)) as container:
      for index, frame in enumerate(container.decode(video=0)):
        image = frame.to_ndarray(format='rgb24')
        yield Input(f'{video.stem}/{index:06d}', functools.partial(np.asarray, image))
  except (av.error.FFmpegError, IndexError) as error:
    raise UserError(f'{video} cannot be read as a video: {error}') from None


def check_not_overwritten(image: Input, output: Path) -> None:
  """Raises UserError if the class ids would be written over the image itself."""
  result = output / f'{image.name}.png'
  if image.file and result.exists() and os.path.samefile(result, image.file):
    raise UserError(
      f'--output={output} would replace the image {image.file} by its class ids: choose another '
      'directory.'
    )


def write_prediction(
  output: Path, name: str, image: np.ndarray, prediction: Prediction, predictor: Predictor
) -> None:
  """Writes the three result files of one image."""
  results = {
    '': prediction.label,
    '_overlay': overlay(image, colorize(prediction.label, predictor.palette)),
    '_confidence': (255 * prediction.confidence).round().astype(np.uint8),
  }
  for suffix, array in results.items():
    path = inside(output, f'{name}{suffix}.png')
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, Image.fromarray(array))


def read_images(
  inputs: Iterator[Input], output: Path, pending: list[tuple[str, np.ndarray]], errors: list[str]
) -> Iterator[np.ndarray]:
  """Yields the readable images.

  Args:
    inputs: the images.
    output: directory of the results, which must not overwrite the images.
    pending: receives (name, image) of every image that is yielded.
    errors: receives one sentence for every unreadable image.

  Raises:
    UserError: a result would overwrite its image.
  """
  for one in inputs:
    check_not_overwritten(one, output)
    try:
      image = one.read()
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

  Unreadable images are left out and reported at the end.

  Args:
    run: directory of the run.
    source: see `find_inputs`.
    output: directory of the results.
    step: 'latest', 'best' or a step.
    network: e.g. 'teacher'; '' takes the config's `eval_network`.
    batch_size: images of one size that are predicted at once.

  Raises:
    UserError: the run or the source does not exist, or images are unreadable.
  """
  count, inputs = find_inputs(source)
  predictor = load(run, step=step, network=network)
  pending: list[tuple[str, np.ndarray]] = []
  errors: list[str] = []
  output.mkdir(parents=True, exist_ok=True)
  report = progress('predicting', count) if count else lambda done: None
  images = read_images(inputs, output, pending, errors)
  written = 0
  for prediction in predictor.predict_all(images, min(batch_size, count or batch_size)):
    write_prediction(output, *pending.pop(0), prediction, predictor)
    written += 1
    report(written + len(errors))
  classes = dict(enumerate(predictor.class_names))
  write_atomically(output / 'classes.json', json.dumps(classes, indent=2) + '\n')
  print(
    f'wrote class ids, overlays and confidence of {written} images and classes.json to {output}'
  )
  if errors:
    raise UserError(f'{len(errors)} of {written + len(errors)} images were left out: {errors[0]}')
