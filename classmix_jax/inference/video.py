"""Reads the frames of videos, with PyAV.

Synopsis:

    for index, image in read_frames(Path('drive.mp4')):
      ...
"""

from collections.abc import Iterator
import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from classmix_jax.errors import UserError

VIDEOS = ('.mp4', '.mov', '.avi', '.mkv', '.webm', '.m4v')


@contextlib.contextmanager
def open_video(video: Path) -> Iterator[Any]:
  """Opens a video as PyAV's container; converts its errors inside the block to UserError.

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
      yield container
  except (av.error.FFmpegError, IndexError) as error:
    raise UserError(f'{video} cannot be read as a video: {error}') from None


def read_frames(video: Path) -> Iterator[tuple[int, np.ndarray]]:
  """Yields the number, from 0, and the pixels `[H, W, 3]` uint8 of the frames of a video.

  Raises:
    UserError: as `open_video`, also behind frames that are readable.
  """
  with open_video(video) as container:
    for index, frame in enumerate(container.decode(video=0)):
      yield index, frame.to_ndarray(format='rgb24')


def count_frames(video: Path) -> int | None:
  """Returns the number of frames by the header of a video, None if that does not have it.

  Raises:
    UserError: as `open_video`.
  """
  with open_video(video) as container:
    return container.streams.video[0].frames or None
