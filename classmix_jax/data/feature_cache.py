"""Features of a frozen backbone, computed once per frame and kept on the disk.

Synopsis:

    read = cache_features(dataset.train, encode, Path('cache'), identity='dinov2 4f3a', mirror=True)
    read(0, mirrored=1)                                       # [h, w, F] float16
    batches = with_features(batches, streams, reads, steps)   # images become `EncodedImage`
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
import itertools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from classmix_jax.core.encoded import EncodedImage
from classmix_jax.data.disk_cache import copy_features
from classmix_jax.data.random_crop import Geometry, View, draw_example
from classmix_jax.data.sampler import share_of_batch, share_positions
from classmix_jax.data.source import Source
from classmix_jax.types import Batch, Example, Size

Encode = Callable[[np.ndarray], np.ndarray]  # [H, W, 3] uint8 -> [h, w, F] float16
ReadFeatures = Callable[[int, int], np.ndarray]  # (index, mirrored) -> [h, w, F] float16


def cache_features(
  source: Source, encode: Encode, directory: Path, *, identity: str, mirror: bool
) -> ReadFeatures:
  """Returns `read(index, mirrored)` from a copy on the disk; computes a missing copy first.

  Args:
    source: frames of one size.
    encode: maps a frame `[H, W, 3]` uint8 to features `[h, w, F]` float16.
    directory: of all copies.
    identity: text that changes with the backbone and its weights.
    mirror: whether to compute the features of mirrored frames, too.

  Raises:
    UserError: a frame is unreadable, the disk is full, or the directory cannot be written.
  """
  count = len(source)

  def read_bytes(index: int) -> np.ndarray:
    frame = source.read_image(index % count)
    features = encode(frame[:, ::-1] if index >= count else frame)
    return np.ascontiguousarray(features, np.float16).view(np.uint8)

  names = source.names + tuple(f'{name} mirrored' for name in source.names if mirror)
  frames = Source(names, read_bytes, version=_version(source, identity))
  read_copy = copy_features(frames, directory)

  def read(index: int, mirrored: int) -> np.ndarray:
    return read_copy(index + count * mirrored).view(np.float16)

  return read


def _version(source: Source, identity: str) -> Callable[[], str] | None:
  version = source.version
  return None if version is None else lambda: f'{identity}\n{version()}'


class FeatureStream(NamedTuple):
  """Where the features of one stream of examples come from.

  Attributes:
    read: features by the index of a frame.
    number: of the stream, see `sampler`.
    length: number of frames.
    size: examples of a global batch.
    frame: (H, W) of the frames.
  """

  read: ReadFeatures
  number: int
  length: int
  size: int
  frame: Size


def cut_features(features: np.ndarray, view: View, frame: Size) -> np.ndarray:
  """Returns the cells of a view.

  Args:
    features: `[h, w, F]` of a frame, or of its mirror image if the view is mirrored.
    view: its corner and extent are multiples of a cell, (H / h, W / w) pixels, or it is the frame.
    frame: (H, W).
  """
  top, bottom, left, right = (
    edge * features.shape[axis] // frame[axis]
    for axis in (0, 1)
    for edge in (view.corner[axis], view.corner[axis] + view.extent[axis])
  )
  if view.mirrored:
    left, right = features.shape[1] - right, features.shape[1] - left
  return features[top:bottom, left:right]


def with_features(
  batches: Iterable[Batch],
  streams: Sequence[FeatureStream],
  numbers: Iterable[int],
  *,
  geometry: Geometry,
  seed: int,
  local_devices: int,
  process_index: int = 0,
  process_count: int = 1,
) -> Iterator[Batch]:
  """Adds features to the images of batches `[D, b, ...]`, whose examples it draws again.

  Args:
    batches: of any pipeline.
    streams: that of the labelled and, if there is one, of the unlabelled examples.
    numbers: the number of each batch.
    geometry, seed: of the pipeline.
    local_devices, process_index, process_count: that share a batch.
  """

  def read(stream: FeatureStream, number: int) -> np.ndarray:
    share = share_of_batch(stream.size, local_devices, process_count, 'the batch size')
    arrays = []
    for position in share_positions([number], stream.size, share, process_index):
      index, view = draw_example(
        geometry,
        seed=seed,
        stream=stream.number,
        position=position,
        length=stream.length,
        frame=stream.frame,
      )
      features = stream.read(index, view.mirrored)
      arrays.append(cut_features(features, view, stream.frame))
    return np.stack(arrays).reshape(local_devices, -1, *arrays[0].shape)

  def encode(example: Example, features: Any) -> Example:
    return example._replace(image=EncodedImage(example.image, features))

  for number, batch in zip(numbers, batches, strict=False):
    examples = list(batch)
    for index, stream in enumerate(streams):
      examples[index] = encode(examples[index], read(stream, number))
    if len(streams) == 1:  # the unlabelled stream is empty
      examples[1] = encode(examples[1], examples[0].image.features[:, :0])
    yield Batch(*examples)


def with_frame_features(
  examples: Iterable[Example],
  positions: Iterator[int],
  read: ReadFeatures,
  indices: Sequence[int],
) -> Iterator[Example]:
  """Adds features to batches `[D, b, ...]` of whole frames.

  Args:
    examples: batches of NumPy arrays.
    positions: of the frames among `indices`; those beyond are padding, with the last features.
    read: features of a frame.
    indices: of the evaluated frames.
  """
  for example in examples:
    lead = example.image.shape[:2]
    chosen = itertools.islice(positions, lead[0] * lead[1])
    last = len(indices) - 1
    features: Any = np.stack([read(indices[min(position, last)], 0) for position in chosen])
    features = features.reshape(*lead, *features.shape[1:])
    yield example._replace(image=EncodedImage(example.image, features))
