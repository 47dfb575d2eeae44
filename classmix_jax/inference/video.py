"""Reads the frames of videos, with PyAV.

Synopsis:

    for index, image in read_frames(Path('drive.mp4')):
      ...
"""

from collections.abc import Iterator
import contextlib
from pathlib import Path

import numpy as np

from classmix_jax.errors import UserError

VIDEOS = ('.mp4', '.mov', '.avi', '.mkv', '.webm', '.m4v')


def read_frames(video: Path) -> Iterator[tuple[int, np.ndarray]]:
  """Yields the number, from 0, and the pixels `[H, W, 3]` uint8 of the frames of a video.

  Raises:
    UserError: PyAV is not installed, or the file is unreadable as a video from some frame on.
  """
  try:
    import av
  except ImportError:
    raise UserError(
      f"{video} is a video, which PyAV reads: install it with pip install 'classmix_jax[video]'."
    ) from None
  index = -1
  try:
    with av.open(str(video)) as container:
      for index, frame in enumerate(container.decode(video=0)):
        yield index, frame.to_ndarray(format='rgb24')
  except (av.error.FFmpegError, IndexError) as error:
    part = f' after frame {index}' if index >= 0 else ''
    raise UserError(f'{video} cannot be read as a video{part}: {error}') from None


def count_frames(video: Path) -> int | None:
  """Returns the number of frames in the header of a video, None if that does not say it."""
  with contextlib.suppress(Exception):  # `read_frames` reports what is wrong
    import av

    with av.open(str(video)) as container:
      return container.streams.video[0].frames or None
  return None
