"""Reads, checks and pads examples, and joins them to batches; NumPy only.

Synopsis:

    streams = open_streams(labeled, unlabeled, batch_size=4, unlabeled_batch_size=4,
                           geometry=Geometry(crop=(160, 224)), seed=0, local_devices=1)
    image, label, view = streams[0].read(17)      # at position 17 of the labelled stream
    example = read_padded(dataset.val, 3, size=(180, 240))
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from classmix_jax.data.random_crop import Geometry, View, draw_view
from classmix_jax.data.sampler import LABELED, UNLABELED, index_stream, share_of_batch
from classmix_jax.data.source import Source
from classmix_jax.errors import UserError
from classmix_jax.types import VOID, Batch, Example, Size

ReadExample = Callable[[int], tuple[np.ndarray, np.ndarray, View]]


class Stream(NamedTuple):
  """The endless stream of examples of a source.

  Attributes:
    read: position -> image `[H, W, 3]` uint8, label `[H, W]` uint8, and view.
    size: examples of a global batch.
    share: examples of a batch that this process reads.
  """

  read: ReadExample
  size: int
  share: int


def open_streams(
  labeled: Source,
  unlabeled: Source | None,
  *,
  batch_size: int,
  unlabeled_batch_size: int,
  geometry: Geometry,
  seed: int,
  local_devices: int,
  process_count: int = 1,
) -> list[Stream]:
  """Returns the labelled stream and, if there is one, the unlabelled stream.

  Args:
    labeled: source of the labelled stream.
    unlabeled: source of the unlabelled stream, or None; its labels, if any, are pseudo-labels.
    batch_size, unlabeled_batch_size: global; 0 for no unlabelled stream.
    geometry: how examples are cut from their frames.
    seed: 0 or more.
    local_devices, process_count: number of devices and processes that share a batch.

  Raises:
    UserError: the labelled source has no labels, a source is empty, the seed is negative, or a
      batch cannot be shared; from `read` if an example is unreadable, or if whole frames differ
      in size.
  """
  if labeled.read_label is None:
    raise UserError('The labelled examples have no labels: check config.data.root')
  check_size = _SameSize().check if geometry.crop is None else None

  def open_stream(source: Source, number: int, size: int, field: str) -> Stream:
    share = share_of_batch(size, local_devices, process_count, field)
    index_stream(seed, number, len(source), 0, 1)  # raises now for an empty source or a bad seed
    return Stream(_make_reader(source, geometry, seed, number, check_size), size, share)

  streams = [open_stream(labeled, LABELED, batch_size, 'config.batch_size')]
  if unlabeled is not None and unlabeled_batch_size:
    streams.append(
      open_stream(unlabeled, UNLABELED, unlabeled_batch_size, 'config.unlabeled_batch_size')
    )
  return streams


class _SameSize:
  """Raises UserError for images that differ in size from the first: whole frames must stack."""

  def __init__(self) -> None:
    self._first: dict[str, tuple] = {}

  def check(self, name: str, shape: tuple[int, ...]) -> None:
    first, expected = self._first.setdefault('first', (name, shape))  # atomic between threads
    if shape[:2] != expected[:2]:
      raise UserError(
        f'Image {name!r} is {shape[0]}x{shape[1]} and {first!r} {expected[0]}x{expected[1]}, but '
        'whole frames must have one size: set config.data.size=(H, W) or config.data.crop=(H, W)'
      )


def _make_reader(
  source: Source,
  geometry: Geometry,
  seed: int,
  stream: int,
  check_size: Callable[[str, tuple[int, ...]], None] | None,
) -> ReadExample:
  """Returns position -> (image, label, view): the frame at a position, and its window."""

  def read(position: int) -> tuple[np.ndarray, np.ndarray, View]:
    index = int(index_stream(seed, stream, len(source), position, position + 1)[0])
    image, label = _read_frame(source, index)
    if check_size is not None:
      check_size(source.names[index], image.shape)
    view = draw_view(geometry, seed=seed, stream=stream, position=position, frame=label.shape)
    return image, label, view

  return read


def _read_frame(
  source: Source, index: int, same_size: bool = True
) -> tuple[np.ndarray, np.ndarray]:
  """Returns `[H, W, 3]` and `[H, W]` uint8; the label is all `VOID` if the source has none."""
  image, name = source.read_image(index), source.names[index]
  if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
    raise ValueError(f'{name}: expected image [H, W, 3] uint8, got {image.shape} {image.dtype}')
  if source.read_label is None:
    return image, np.full(image.shape[:2], VOID, np.uint8)
  label = source.read_label(index)
  if label.dtype != np.uint8:
    raise ValueError(f'{name}: expected label [H, W] uint8, got {label.shape} {label.dtype}')
  if same_size and label.shape != image.shape[:2]:
    raise UserError(
      f'The label of {name!r} is {"x".join(map(str, label.shape))} and its image '
      f'{image.shape[0]}x{image.shape[1]}: they must have one size'
    )
  return image, label


def padding(size: Size, label_size: Size | None = None) -> Example:
  """Returns an Example of padding alone, without the axes of devices and batch.

  Example: `padding((2, 3)).label.tolist() == [[255] * 3] * 2`.
  """
  labels = label_size or size
  image, label = np.zeros((*size, 3), np.uint8), np.full(labels, VOID, np.uint8)
  arrays: Any = (image, label, np.zeros(labels, bool))  # of NumPy until they are on the devices
  return Example(*arrays)


def read_padded(source: Source, index: int, size: Size, label_size: Size | None = None) -> Example:
  """Reads one example, padded to `size` and its label to `label_size`.

  Args:
    source: without labels the label is all `VOID`.
    index: 0 or more; past the end the example is padding alone.
    size: (H, W) of the image.
    label_size: (H, W) of label and valid; None is `size`, and the label must then have its
      image's size.

  Raises:
    UserError: the example is unreadable, or the label does not fit its image.
    ValueError: an image or label is larger than its size, or not uint8.
  """
  example = padding(size, label_size)
  if index < len(source):
    image, label = _read_frame(source, index, same_size=label_size is None)
    for target, array in zip(example, (image, label, np.ones(label.shape, bool)), strict=True):
      (h, w), (height, width) = array.shape[:2], target.shape[:2]
      if h > height or w > width:
        raise ValueError(f'{source.names[index]}: {h}x{w} does not fit into {height}x{width}')
      target[:h, :w] = array
  return example


def stack(examples: Sequence[Example], local_devices: int) -> Example:
  """Stacks N examples `[...]` to one Example `[D, N / D, ...]`, D the local devices."""
  return split([np.stack(arrays) for arrays in zip(*examples, strict=True)], local_devices)


def split(arrays: Sequence[np.ndarray], local_devices: int) -> Example:
  """Splits image, label and valid `[N, ...]` by device: one Example `[D, N / D, ...]`."""
  per_device: Any = (x.reshape(local_devices, -1, *x.shape[1:]) for x in arrays)
  return Example(*per_device)


def join(examples: Sequence[Example]) -> Batch:
  """Joins the Examples of one or two streams to a Batch; a missing second one is empty."""
  labeled = examples[0]
  return Batch(labeled, *(examples[1:] or [Example(*(x[:, :0] for x in labeled))]))
