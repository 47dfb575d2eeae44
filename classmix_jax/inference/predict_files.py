"""Predicts files, folders, globs and videos; the program launch/predict.py.

OUT/NAME.png             class ids
OUT/NAME_overlay.png     colours above the image
OUT/NAME_confidence.png  0 (unsure) to 255 (sure)
OUT/classes.json         the names of the ids
"""

from collections.abc import Callable, Iterator
import glob
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from classmix_jax.data.files.image_io import read_image
from classmix_jax.data.files.pairs import find_images
from classmix_jax.errors import UserError
from classmix_jax.inference.predictor import Prediction, Predictor, load
from classmix_jax.utils.atomic_write import write_atomically, write_png
from classmix_jax.utils.paths import inside
from classmix_jax.utils.progress import progress
from classmix_jax.utils.visualize import colorize, overlay

VIDEOS = ('.mp4', '.mov', '.avi', '.mkv', '.webm', '.m4v')


class Input(NamedTuple):
  """One picture: the name of its results, how it is read, and its file, '' for a frame."""

  name: str
  read: Callable[[], np.ndarray]
  file: str | Path = ''


def inputs(source: str) -> tuple[int | None, Iterator[Input]]:
  """Returns how many pictures there are, None where nobody knows, and the pictures.

  Args:
    source: an image, a folder (nested ones too), a glob such as 'photos/**/*.jpg', or a video,
      whose frames are called NAME/000000 and so on.

  Raises:
    UserError: there is none.
  """
  path = Path(os.path.expanduser(source))
  if path.suffix.lower() in VIDEOS and path.is_file():
    return None, frames(path)
  files = {path.stem: path} if path.is_file() else find_images(path) if path.is_dir() else {}
  files = files or globbed(str(path))
  if not files:
    raise UserError(
      f'--input={source} is neither an image, a video, a folder with images nor a glob that '
      'matches any.'
    )
  return len(files), (
    Input(name, lambda file=file: read_image(file), file) for name, file in files.items()
  )


def globbed(pattern: str) -> dict[str, Path]:
  """Returns name -> file of all files that match, named from their common folder on.

  Raises:
    UserError: two files would have one name.
  """
  # Without '..', which a common folder would leave inside of the names.
  matching = (Path(os.path.abspath(file)) for file in sorted(glob.glob(pattern, recursive=True)))
  files = [file for file in matching if file.is_file()]
  found: dict[str, Path] = {}
  folder = os.path.commonpath([file.parent.absolute() for file in files]) if files else ''
  for file in files:
    name = file.absolute().relative_to(folder).with_suffix('').as_posix()
    if name in found:
      raise UserError(f"{found[name]} and {file} both have the name '{name}': rename one of them.")
    found[name] = file
  return found


def frames(video: Path) -> Iterator[Input]:
  """Yields the frames of a video.

  Raises:
    UserError: PyAV is not installed, or the file is no video.
  """
  try:
    import av
  except ImportError:
    raise UserError(
      f"{video} is a video, which PyAV reads: pip install 'classmix_jax[video]' adds it."
    ) from None
  try:
    with av.open(str(video)) as container:
      for index, frame in enumerate(container.decode(video=0)):
        image = frame.to_ndarray(format='rgb24')
        yield Input(f'{video.stem}/{index:06d}', lambda image=image: image)
  except (av.error.FFmpegError, IndexError) as error:
    raise UserError(f'{video} cannot be read as a video: {error}') from None


def check_not_input(picture: Input, output: Path) -> None:
  """Raises UserError where class ids would be written over the picture itself."""
  result = output / f'{picture.name}.png'
  if picture.file and result.exists() and os.path.samefile(result, picture.file):
    raise UserError(
      f'--output={output} would replace the picture {picture.file} by its class ids: choose '
      'another folder.'
    )


def write(
  output: Path, name: str, image: np.ndarray, found: Prediction, predictor: Predictor
) -> None:
  """Writes the three pictures of one image."""
  pictures = {
    '': found.label,
    '_overlay': overlay(image, colorize(found.label, predictor.palette)),
    '_confidence': (255 * found.confidence).round().astype(np.uint8),
  }
  for word, picture in pictures.items():
    path = inside(output, f'{name}{word}.png')
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, Image.fromarray(picture))


def predict_files(
  run: Path,
  source: str,
  output: Path,
  *,
  step: str = 'best',
  network: str = '',
  batch_size: int = 8,
) -> None:
  """Predicts all pictures of a source, see `inputs`; launch/predict.py.

  An image that cannot be read is reported at the end; the others are finished.

  Raises:
    UserError: no such run or input, or images that could not be read.
  """
  count, pictures = inputs(source)
  predictor = load(run, step=step, network=network)
  failures: list[str] = []
  waiting: list[tuple[str, np.ndarray]] = []

  def readable() -> Iterator[np.ndarray]:
    for picture in pictures:
      check_not_input(picture, output)
      try:
        image = picture.read()
      except UserError as error:
        failures.append(str(error))
        continue
      waiting.append((picture.name, image))
      yield image

  output.mkdir(parents=True, exist_ok=True)
  say = progress('predicting', count) if count else lambda done: None
  done = 0
  for found in predictor.predict_all(readable(), min(batch_size, count or batch_size)):
    write(output, *waiting.pop(0), found, predictor)
    done += 1
    say(done + len(failures))
  classes = dict(enumerate(predictor.class_names))
  write_atomically(output / 'classes.json', json.dumps(classes, indent=2) + '\n')
  print(f'wrote class ids, overlays and confidence of {done} images and classes.json to {output}')
  if failures:
    raise UserError(
      f'{len(failures)} of {done + len(failures)} images were left out: {failures[0]}'
    )
