"""The size of the images for formats that have one, and for the test of the others."""

from collections.abc import Sequence
from pathlib import Path
import re

from classmix_jax.config.load import read_config
from classmix_jax.errors import UserError
from classmix_jax.types import Size
from classmix_jax.workdir import run_files

OF_IMAGES = re.compile(r' at (\d+)x(\d+)')  # in the description of a protocol


def evaluation_size(run: Path) -> tuple[Size, str]:
  """Returns the (H, W) at which a run is evaluated, and what it is.

  Without an evaluation of images of one size it is the training crop.

  Raises:
    UserError: there is none of them.
  """
  config = read_config(run)
  for size, title in (
    (config['data']['size'], 'the working size of the run'),
    (config['eval']['pad'], 'config.eval.pad of the run'),
    (_recorded_size(run), 'the size of the validation images'),
    (config['data']['crop'], 'the training crop of the run'),
  ):
    if size:
      height, width = size
      return (height, width), title
  raise UserError('the run has images of many sizes: give --sizes=HEIGHTxWIDTH.')


def _recorded_size(run: Path) -> Size | None:
  """Returns the size of all validation images, as the last evaluation recorded it."""
  for _, result in sorted(run_files.read_results(run).items(), reverse=True):
    if match := OF_IMAGES.search(result['protocol']):
      return int(match[1]), int(match[2])
  return None


def choose_tested_sizes(size: Size) -> list[Size]:
  """Returns a size and an odd one, at which exported files are tested.

  Example:
    >>> choose_tested_sizes((360, 480))
    [(360, 480), (271, 361)]
  """
  height, width = (side * 3 // 4 | 1 for side in size)
  return [size, (height, width)]


def parse_sizes(texts: Sequence[str]) -> list[Size]:
  """Parses --sizes=HEIGHTxWIDTH,...; raises UserError if one is no size.

  Example:
    >>> parse_sizes(['360x480', '512x1024'])
    [(360, 480), (512, 1024)]
  """
  sizes = []
  for text in texts:
    match = re.fullmatch(r'([1-9]\d*)x([1-9]\d*)', text)
    if match is None:
      raise UserError(
        f'--sizes={",".join(texts)} must be HEIGHTxWIDTH, or several with commas in between, for '
        'example 360x480,512x1024.'
      )
    sizes.append((int(match[1]), int(match[2])))
  return sizes
