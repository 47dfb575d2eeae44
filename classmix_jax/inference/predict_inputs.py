"""Finds the images that predict reads: a file, a directory, a glob or the frames of a video.

Synopsis:

    inputs = find_inputs('photos', output=Path('OUT'))
    inputs.total, [one.name for one in inputs.images], inputs.notes
"""

from collections.abc import Callable, Iterator, Sequence
import functools
import glob
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from classmix_jax.data.files.directory_walk import find_results, is_system_file
from classmix_jax.data.files.find_images import find_images, is_image_name
from classmix_jax.data.files.image_io import read_image
from classmix_jax.data.files.reading import Reading
from classmix_jax.data.files.unused import describe_files, describe_unused, find_remedy
from classmix_jax.errors import UserError
from classmix_jax.utils.paths import is_within

VIDEOS = ('.mp4', '.mov', '.avi', '.mkv', '.webm', '.m4v')


class Input(NamedTuple):
  """An image to predict.

  Attributes:
    name: of its results, without extension.
    read: returns the image, `[H, W, 3]` uint8, by the bands and the range of values that a run
      reads; raises UserError if it is unreadable.
    file: the file of the image, or '' for the frame of a video.
  """

  name: str
  read: Callable[[Reading], np.ndarray]
  file: str | Path = ''


class Inputs(NamedTuple):
  """The images of a source.

  Attributes:
    total: their number, None for a video.
    images: the images.
    notes: sentences about files that are not read.
  """

  total: int | None
  images: Iterator[Input]
  notes: tuple[str, ...] = ()


def find_inputs(source: str, output: Path | None = None) -> Inputs:
  """Finds the images of a source; results of predict are none, and `output` is left out.

  Args:
    source: an image, a directory (searched recursively), a glob such as 'photos/**/*.jpg', or a
      video, whose frames are named NAME/000000 and so on.
    output: directory of the results, which may lie below the source.

  Raises:
    UserError: there are no images, or two files would have one name.
  """
  path = Path(os.path.expanduser(source))
  if path.suffix.lower() in VIDEOS and path.is_file():
    return Inputs(None, read_frames(path))
  notes: list[str] = []
  exclude = [output] if output else []
  if path.is_file():
    check_extension(path)
    files = {path.stem: path}
  elif path.is_dir():
    files = find_images(path, exclude, without_results=True)
    notes = describe_unused([path], exclude, without_results=True)
  else:
    files, notes = match_glob(str(path), exclude)
  if not files:
    kind = 'a directory without images that are read' if path.is_dir() else ''
    kind = kind or 'neither an image, a video, a directory with images nor a glob that matches any'
    raise UserError(f'--input={source} is {kind}. {" ".join(notes)}'.rstrip())
  images = (
    Input(name, functools.partial(read_image, file, None), file) for name, file in files.items()
  )
  return Inputs(len(files), images, tuple(notes))


def check_extension(path: Path) -> None:
  """Raises UserError if files of such an extension are known and not read."""
  remedy = '' if is_image_name(path.name) else find_remedy(path.suffix)
  if remedy:
    raise UserError(f'{path} is a file *{path.suffix}, which is not read: {remedy}.')


def match_glob(pattern: str, exclude: Sequence[Path]) -> tuple[dict[str, Path], list[str]]:
  """Finds the files that match a pattern, without results of predict.

  Args:
    pattern: as 'photos/**/*.jpg'.
    exclude: directories whose files are left out.

  Returns:
    Name -> file, by names relative to their common directory; and sentences on matching files
    that are not read.

  Raises:
    UserError: two files would have one name.
  """
  # abspath removes '..', which a common directory would leave inside the names.
  matches = (Path(os.path.abspath(file)) for file in sorted(glob.glob(pattern, recursive=True)))
  excluded = [os.path.realpath(path) for path in exclude]
  files = [
    file
    for file in matches
    if file.is_file()
    and not any(is_within(os.path.realpath(file.parent), root) for root in excluded)
  ]
  results = {
    parent / name
    for parent in {file.parent for file in files}
    for name in find_results(os.listdir(parent))
  }
  files = [file for file in files if file not in results and not is_system_file(file.name)]
  unread = [file for file in files if not is_image_name(file.name) and find_remedy(file.suffix)]
  return name_files([file for file in files if file not in unread]), describe_files(unread)


def name_files(files: Sequence[Path]) -> dict[str, Path]:
  """Returns name -> file; raises UserError if two files would have one name."""
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
        yield Input(f'{video.stem}/{index:06d}', functools.partial(_frame, image))
  except (av.error.FFmpegError, IndexError) as error:
    raise UserError(f'{video} cannot be read as a video: {error}') from None


def _frame(image: np.ndarray, reading: Reading) -> np.ndarray:
  """Returns a frame of a video, which has no other bands and range."""
  del reading
  return image
