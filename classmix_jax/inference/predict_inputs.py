"""Finds the images that predict reads: a file, a directory, a pattern, a list or a video.

Synopsis:

    inputs = find_inputs('photos', output=Path('OUT'))
    inputs.total, [one.name for one in inputs.images], inputs.notes
"""

from collections.abc import Iterator
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from classmix_jax.data.files.find_images import image_name, image_paths, is_image_name
from classmix_jax.data.files.unused import describe_groups, describe_unused, find_remedy
from classmix_jax.errors import UserError
from classmix_jax.inference.listed_files import Files, links_to_result, match_pattern, read_list
from classmix_jax.inference.video import VIDEOS, count_frames, read_frames
from classmix_jax.utils.paths import is_within

LIST = '.txt'


class Input(NamedTuple):
  """An image to predict.

  Attributes:
    name: of its results, without extension.
    image: its file, or the frame of a video `[H, W, 3]` uint8.
  """

  name: str
  image: Path | np.ndarray


class Inputs(NamedTuple):
  """The images of a source.

  Attributes:
    total: their number, None for a video that does not say it.
    images: the images; those of files are a list, sorted by name.
    notes: sentences about files that are not read.
    errors: sentences about images that have no name for their results.
  """

  total: int | None
  images: list[Input] | Iterator[Input]
  notes: tuple[str, ...] = ()
  errors: tuple[str, ...] = ()


def find_inputs(source: str, output: Path | None = None, flag: str = 'input') -> Inputs:
  """Finds the images of a source; results of predict are none, and `output` is left out.

  Args:
    source: an image; a directory (searched recursively); a pattern such as 'photos/**/*.jpg'; a
      text file with a path in every line; or a video, whose frames are named NAME/000000 and so
      on.
    output: directory of the results, which may lie below the source.
    flag: that names the source, for the message.

  Raises:
    UserError: there are no images.

  Example: `find_inputs('photos', Path('photos/out')).total` does not count what is in photos/out.
  """
  path = Path(os.path.expanduser(source))
  if path.suffix.lower() in VIDEOS and path.is_file():
    frames = (Input(f'{path.stem}/{index:06d}', image) for index, image in read_frames(path))
    return Inputs(count_frames(path), frames)
  files = find_files(path, output)
  if not files.paths:
    kind = 'neither an image, a video, a directory with images nor a glob that matches any'
    if path.is_dir():
      kind = 'a directory without images that are read'
    elif path.is_file():
      kind = 'a list without images that are read'
    raise UserError(f'--{flag}={source} is {kind}. {" ".join(files.notes)}'.rstrip())
  images, errors, notes = [], [], list(files.notes)
  links = [file for file in files.paths if links_to_result(file)]
  notes += describe_groups({'results of predict': links} if links else {})
  for file in sorted(set(files.paths) - set(links)):
    try:
      images.append(Input(image_name(file, files.base), file))
    except UserError as error:
      errors.append(str(error))
  images.sort(key=lambda one: one.name)
  return Inputs(len(images), images, tuple(notes), tuple(errors))


def find_files(path: Path, output: Path | None = None) -> Files:
  """Returns the files of a source that is no video; the arguments are those of `find_inputs`."""
  if path.is_dir():
    exclude = [output] if output and not is_within(*map(os.path.realpath, (path, output))) else []
    paths = list(image_paths(path, exclude, without_results=True))
    return Files(path, paths, describe_unused([path], exclude, without_results=True))
  if not path.is_file():
    return match_pattern(str(path), output)
  if path.suffix.lower() == LIST:
    return read_list(path, output)
  remedy = '' if is_image_name(path.name) else find_remedy(path.suffix)
  if remedy:
    raise UserError(f'{path} is a file *{path.suffix}, which is not read: {remedy}.')
  return Files(path.parent, [path], [])
