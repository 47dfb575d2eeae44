"""Training batches by threads, equal to those of `input_pipeline`, without TensorFlow.

Synopsis:

    batches = train_batches(labeled, unlabeled, batch_size=4, unlabeled_batch_size=4,
                            geometry=Geometry(crop=(160, 224), flip=True), seed=0,
                            start_step=0, stop_step=1000, local_devices=jax.local_device_count())
    batch = next(batches)      # Batch of NumPy arrays [devices, per_device, ...]

Labels and valid are bit-equal, and so are images unless frames are resized: PIL rounds after it
has resized the columns and again after the rows, so that bytes may differ by 1.
"""

from collections.abc import Iterator
import itertools

import numpy as np
from PIL import Image

from classmix_jax.data.example_reader import Stream, join, open_streams, padding, stack
from classmix_jax.data.random_crop import Geometry, View
from classmix_jax.data.sampler import share_positions
from classmix_jax.data.source import Source
from classmix_jax.types import Batch, Example
from classmix_jax.utils.threads import in_parallel


def train_batches(
  labeled: Source,
  unlabeled: Source | None,
  *,
  batch_size: int,
  unlabeled_batch_size: int,
  geometry: Geometry,
  seed: int,
  start_step: int,
  stop_step: int,
  local_devices: int,
  process_index: int = 0,
  process_count: int = 1,
) -> Iterator[Batch]:
  """Returns the batches of the steps start_step..stop_step-1.

  Arguments, arrays and errors are those of `input_pipeline.train_batches`. Threads read the
  examples of two steps ahead.
  """
  streams = open_streams(
    labeled,
    unlabeled,
    batch_size=batch_size,
    unlabeled_batch_size=unlabeled_batch_size,
    geometry=geometry,
    seed=seed,
    local_devices=local_devices,
    process_count=process_count,
  )
  steps = range(start_step, stop_step)

  def read(place: tuple[Stream, int]) -> Example:
    stream, position = place
    return cut(geometry, *stream.read(position))

  def places() -> Iterator[tuple[Stream, int]]:
    for step in steps:
      for stream in streams:
        for position in share_positions([step], stream.size, stream.share, process_index):
          yield stream, position

  def batches() -> Iterator[Batch]:
    ahead = 2 * sum(stream.share for stream in streams)
    examples = in_parallel(read, places(), ahead)
    for _ in steps:
      yield join(
        [stack(list(itertools.islice(examples, stream.share)), local_devices) for stream in streams]
      )

  return batches()


def cut(geometry: Geometry, image: np.ndarray, label: np.ndarray, view: View) -> Example:
  """Cuts a view from one frame: resizes, crops, mirrors, and pads to the crop.

  Args:
    geometry: the options.
    image: `[H, W, 3]` uint8.
    label: `[H, W]` uint8.
    view: the window, see `random_crop.draw_view`.

  Returns:
    Example of `[h, w, 3]`, `[h, w]`, `[h, w]` with (h, w) the crop.
  """
  if geometry.resizes:
    image, label = _resize_image(image, view), _resize_label(label, view)
  else:
    window = tuple(
      slice(start, start + n) for start, n in zip(view.corner, view.extent, strict=True)
    )
    image, label = image[window], label[window]
  if view.mirrored:
    image, label = image[:, ::-1], label[:, ::-1]
  example = padding(geometry.crop or view.extent)
  inside = tuple(map(slice, view.extent))
  for target, values in zip(example, (image, label, True), strict=True):
    target[inside] = values
  return example


def _resize_label(label: np.ndarray, view: View) -> np.ndarray:
  """Returns the window of the label, resized by the nearest pixel.

  Pixel i of h' comes from pixel floor((i + 1/2) h / h'), in integers, so that no rounding moves a
  label.
  """
  rows, columns = (
    (2 * (corner + np.arange(extent)) + 1) * size // (2 * scaled)
    for corner, extent, size, scaled in zip(
      view.corner, view.extent, label.shape, view.scaled, strict=True
    )
  )
  return label[rows][:, columns]


def _resize_image(image: np.ndarray, view: View) -> np.ndarray:
  """Returns the window of the image, resized bilinearly with antialiasing."""
  height, width = view.extent
  (top, bottom), (left, right) = (
    # The edges of the window in pixels of the frame, for each axis.
    [edge * size / scaled for edge in (corner, corner + extent)]
    for corner, extent, size, scaled in zip(
      view.corner, view.extent, image.shape[:2], view.scaled, strict=True
    )
  )
  return np.asarray(
    Image.fromarray(image).resize(
      (width, height), Image.Resampling.BILINEAR, box=(left, top, right, bottom)
    )
  )
