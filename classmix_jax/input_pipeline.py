"""From sources to batches: the tf.data room, the only one that knows TensorFlow.

Synopsis:

    batches = train_batches(labeled, unlabeled, batch_size=4, unlabeled_batch_size=4,
                            geometry=Geometry(crop=(160, 224), flip=True), seed=0,
                            start_step=0, stop_step=1000, local_devices=jax.local_device_count())
    batch = next(batches)      # Batch of NumPy arrays [devices, per_device, ...]

A training batch is a pure function of (seed, step): example k of step s sits at
position s*B + k of an endless stream, and the position alone decides which image
it is and how it is cropped. Resuming at step s therefore reads nothing before s,
and neither the number of devices nor of processes changes the global batch.
"""

import atexit
from collections.abc import Callable, Iterator, Sequence
import contextlib
import functools
from typing import TypeVar
import weakref

import numpy as np
import tensorflow as tf

from classmix_jax.geometry import Geometry, draw_view
from classmix_jax.parallel import THREADS
from classmix_jax.splits import LABELED, UNLABELED, index_stream, share_of_batch
from classmix_jax.types import VOID, Batch, Example, Source, UserError

_OPEN: weakref.WeakSet = weakref.WeakSet()  # iterators that may have readers at work
_Packed = TypeVar('_Packed')

for _kind in ('GPU', 'TPU'):  # accelerators belong to JAX; TensorFlow would take their memory
  with contextlib.suppress(RuntimeError):  # too late: somebody has used TensorFlow already
    tf.config.set_visible_devices([], _kind)


def train_batches(
    labeled: Source, unlabeled: Source | None, *, batch_size: int, unlabeled_batch_size: int,
    geometry: Geometry, seed: int, start_step: int, stop_step: int, local_devices: int,
    process_index: int = 0, process_count: int = 1,
) -> Iterator[Batch]:
  """Returns the batches of the steps start_step..stop_step-1.

  Every example is resized by a random factor, cropped, mirrored and padded at
  the bottom and right to the crop; image, label and valid move together.
  Images are resized bilinearly (averaging when they shrink), labels take the
  nearest pixel, both on half-pixel centres.

  Args:
    labeled: source of the labelled stream.
    unlabeled: source of the unlabelled stream; pseudo-labels are read where it has any.
    batch_size, unlabeled_batch_size: global, multiples of the number of devices.
      0 unlabelled (or no source) gives an empty Example, `[D, 0, ...]`.
    geometry: how the examples of both streams are cut from their frames.
    seed: 0 or more.
    start_step, stop_step: global steps.
    local_devices: D, devices of this process.
    process_index, process_count: which contiguous share of the batch is read.

  Returns:
    Iterator of `Batch`; the Examples hold read-only NumPy arrays: image
    `[D, B/D, H, W, 3]` uint8, label `[D, B/D, H, W]` uint8, valid the same, bool.

  Raises:
    UserError: at the call for batches that cannot be shared; from the
      iterator for frames of unequal size and for what the readers report.

  Example: `next(train_batches(source, None, batch_size=8, unlabeled_batch_size=0, ...))`
  """
  if labeled.read_label is None:
    raise UserError('The labelled examples have no labels: check config.data.root')
  errors: list[Exception] = []
  common = _OneSize() if geometry.crop is None else None

  def stream(source: Source, number: int, size: int, field: str) -> tf.data.Dataset:
    share = share_of_batch(size, local_devices, process_count, field)
    index_stream(seed, number, len(source), 0, 1)  # an empty source or a bad seed: say so now
    positions = _positions(start_step, stop_step, size, share, process_index)
    read = _reader(source, geometry, seed, number, common)
    dataset = _mapped(positions, read, [tf.uint8, tf.uint8, tf.int32], errors)
    dataset = dataset.map(functools.partial(_cut, geometry), THREADS)
    return dataset.batch(share, drop_remainder=True)

  parts = [stream(labeled, LABELED, batch_size, 'config.batch_size')]
  if unlabeled is not None and unlabeled_batch_size:
    parts.append(stream(
        unlabeled, UNLABELED, unlabeled_batch_size, 'config.unlabeled_batch_size'))
  dataset = _finished(tf.data.Dataset.zip(tuple(parts)))
  return _run(dataset, errors, lambda streams: _batch(streams, local_devices))


def eval_batches(
    source: Source, *, batch_size: int, size: tuple[int, int], local_devices: int,
    label_size: tuple[int, int] | None = None, process_index: int = 0, process_count: int = 1,
) -> Iterator[Example]:
  """Returns every example of a source once, in order, in full batches of one shape.

  Images are padded at the bottom and right (0, `VOID`, valid False) to `size`.
  The last batch is filled up with examples that are padding altogether,
  so every pixel of the set counts once and all processes see as many batches.

  Args:
    source: examples; without labels all labels are `VOID`.
    batch_size: global, a multiple of the number of devices.
    size: (H, W) of the batches.
    local_devices: D, devices of this process.
    label_size: (H, W) of label and valid, where labels have other sizes than
      their images; None is `size`, and every label must have its image's size.
    process_index, process_count: which contiguous share of a batch is read.

  Returns:
    Iterator of `Example`: `[D, B/D, H, W, 3]` uint8, `[D, B/D, H, W]` uint8 and bool.

  Raises:
    UserError: no examples, the batch does not divide, or a reader reports something.
    ValueError: from the iterator, for an image or label larger than its size.

  Example: `sum(e.valid.any((2, 3)).sum() for e in eval_batches(...)) == len(source)`
  """
  share = share_of_batch(batch_size, local_devices, process_count, 'config.eval_batch_size')
  if not len(source):
    raise UserError('There are no examples to evaluate: check config.data.root')
  positions = _positions(0, -(-len(source) // batch_size), batch_size, share, process_index)
  errors: list[Exception] = []
  dataset = _mapped(
      positions, lambda i: framed(source, i, size, label_size),
      [tf.uint8, tf.uint8, tf.bool], errors)
  dataset = _finished(dataset.batch(share, drop_remainder=True))
  return _run(dataset, errors, lambda arrays: _split(arrays, local_devices))


class _OneSize:
  """Remembers the first image's size and refuses any other: whole frames must stack."""

  def __init__(self) -> None:
    self._first: dict[str, tuple] = {}

  def check(self, name: str, shape: tuple[int, ...]) -> None:
    first, want = self._first.setdefault('first', (name, shape))
    if shape[:2] != want[:2]:
      raise UserError(
          f'Image {name!r} is {shape[0]}x{shape[1]} and {first!r} {want[0]}x{want[1]}, but whole '
          'frames must have one size: set config.data.size=(H, W) or config.data.crop=(H, W)')


def _reader(
    source: Source, geometry: Geometry, seed: int, stream: int, common: _OneSize | None,
) -> Callable[[int], tuple]:
  """Returns position -> (image, label, packed view): the frame there, and its window."""

  def read(position: int) -> tuple[np.ndarray, ...]:
    index = int(index_stream(seed, stream, len(source), position, position + 1)[0])
    image, label = _read(source, index, source.read_label is not None)
    if common is not None:
      common.check(source.names[index], image.shape)
    view = draw_view(geometry, seed=seed, stream=stream, position=position, frame=label.shape)
    return image, label, np.array(view.packed(), np.int32)

  return read


def _read(
    source: Source, index: int, with_label: bool, one_size: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
  """Returns `[H, W, 3]` and `[H, W]` uint8; the label is all `VOID` if it is not wanted."""
  image, name = source.read_image(index), source.names[index]
  if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
    raise ValueError(f'{name}: expected image [H, W, 3] uint8, got {image.shape} {image.dtype}')
  if not with_label:
    return image, np.full(image.shape[:2], VOID, np.uint8)
  label = source.read_label(index)
  if label.dtype != np.uint8:
    raise ValueError(f'{name}: expected label [H, W] uint8, got {label.shape} {label.dtype}')
  if one_size and label.shape != image.shape[:2]:
    raise UserError(
        f'The label of {name!r} is {"x".join(map(str, label.shape))} and its image '
        f'{image.shape[0]}x{image.shape[1]}: they must have one size')
  return image, label


def framed(
    source: Source, index: int, size: tuple[int, int], label_size: tuple[int, int] | None = None,
) -> Example:
  """Returns one example padded to `size`, its label to `label_size`; all padding past the end."""
  labels = label_size or size
  frame = Example(
      np.zeros((*size, 3), np.uint8), np.full(labels, VOID, np.uint8), np.zeros(labels, bool))
  if index < len(source):
    image, label = _read(source, index, source.read_label is not None, label_size is None)
    for target, array in zip(frame, (image, label, np.ones(label.shape, bool)), strict=True):
      (h, w), (height, width) = array.shape[:2], target.shape[:2]
      if h > height or w > width:
        raise ValueError(f'{source.names[index]}: {h}x{w} does not fit into {height}x{width}')
      target[:h, :w] = array
  return frame


def _positions(
    start_step: int, stop_step: int, size: int, share: int, process_index: int,
) -> tf.data.Dataset:
  """Returns the positions of a process: its contiguous share of every batch of `size`."""

  def position(j: tf.Tensor) -> tf.Tensor:
    return j // share * size + process_index * share + j % share

  return tf.data.Dataset.range(start_step * share, stop_step * share).map(position)


def _mapped(
    positions: tf.data.Dataset, read: Callable[[int], tuple], types: Sequence[tf.DType],
    errors: list[Exception],
) -> tf.data.Dataset:
  """Maps positions to (position, *read(position)), several at a time, in order.

  Exceptions of `read` also go to `errors`, because TensorFlow keeps only their text.
  """

  def guarded(position: np.ndarray) -> tuple[np.ndarray, ...]:
    try:
      return read(int(position))
    except Exception as error:
      errors.append(error)
      raise

  def call(position: tf.Tensor) -> tuple[tf.Tensor, ...]:
    return position, *tf.numpy_function(guarded, [position], types, stateful=False)

  return positions.map(call, THREADS)


def _cut(
    geometry: Geometry, position: tf.Tensor, image: tf.Tensor, label: tf.Tensor, view: tf.Tensor,
) -> tuple[tf.Tensor, ...]:
  """Returns (image, label, valid) of a view: resized, cropped, mirrored, padded to the crop."""
  del position
  image, label = tf.ensure_shape(image, [None, None, 3]), tf.ensure_shape(label, [None, None])
  scaled, corner, kept, mirrored = tf.split(tf.ensure_shape(view, [7]), [2, 2, 2, 1])
  if geometry.resizes:
    frame = tf.shape(label)
    image = _bilinear(image, frame, scaled, corner, kept)
    label = _nearest(label, frame, scaled, corner, kept)
  else:
    image, label = (tf.slice(x, _fit(corner, x, 0), _fit(kept, x, -1)) for x in (image, label))
  valid = tf.ones(kept, tf.bool)
  if geometry.flip:
    image, label = (_mirror(x, mirrored[0] > 0) for x in (image, label))
  if geometry.crop is not None:  # after the mirror: the padding stays at the bottom and right
    arrays = ((image, 0), (label, VOID), (valid, False))
    image, label, valid = (_pad(x, geometry.crop - kept, fill) for x, fill in arrays)
  return image, label, valid


def _fit(pair: tf.Tensor, x: tf.Tensor, third: int) -> tf.Tensor:
  """Returns (height, width) as a vector with one entry per axis of `x`: `third` for channels."""
  return tf.concat([pair, [third] * (x.shape.rank - 2)], 0)


def _nearest(
    label: tf.Tensor, frame: tf.Tensor, scaled: tf.Tensor, corner: tf.Tensor, kept: tf.Tensor,
) -> tf.Tensor:
  """Resizes `[h, w]` from `frame` to `scaled` by the nearest pixel; returns the window.

  In integers, so that no rounding moves a label: pixel i is floor((i + 1/2) h / h').
  """
  for axis in (0, 1):
    i = corner[axis] + tf.range(kept[axis])
    label = tf.gather(label, (2 * i + 1) * frame[axis] // (2 * scaled[axis]), axis=axis)
  return label


def _bilinear(
    image: tf.Tensor, frame: tf.Tensor, scaled: tf.Tensor, corner: tf.Tensor, kept: tf.Tensor,
) -> tf.Tensor:
  """Resizes like `tf.image.resize(antialias=True)`, but computes only the window.

  Both use this op; the translation spares the pixels of a large frame that the
  crop throws away.
  """
  window = tf.raw_ops.ScaleAndTranslate(
      images=image[None], size=kept, scale=tf.cast(scaled / frame, tf.float32),
      translation=-tf.cast(corner, tf.float32), kernel_type='triangle', antialias=True)
  return tf.cast(window[0] + 0.5, tf.uint8)  # weights sum to 1: never beyond 255.5


def _mirror(x: tf.Tensor, flag: tf.Tensor) -> tf.Tensor:
  """Reverses the columns of `[h, w, ...]` where `flag` is True."""
  return tf.raw_ops.Reverse(tensor=x, dims=tf.stack([False, flag, False][:x.shape.rank]))


def _pad(x: tf.Tensor, missing: tf.Tensor, fill: int | bool) -> tf.Tensor:
  """Appends `missing` rows and columns of `fill`."""
  ends = _fit(missing, x, 0)
  return tf.pad(x, tf.stack([tf.zeros_like(ends), ends], 1), constant_values=fill)


def _finished(dataset: tf.data.Dataset) -> tf.data.Dataset:
  """Prefetches in a deterministic order, on few threads: the step needs the cores."""
  options = tf.data.Options()
  options.deterministic = True
  options.autotune.enabled = False
  options.threading.private_threadpool_size = THREADS
  options.threading.max_intra_op_parallelism = 1
  return dataset.prefetch(2).with_options(options)


def _run(
    dataset: tf.data.Dataset, errors: list[Exception], pack: Callable[[Sequence], _Packed],
) -> Iterator[_Packed]:
  """Returns `pack` of every element; a reader's exception comes out as it was raised."""

  def elements() -> Iterator[_Packed]:
    try:
      yield from map(pack, dataset.as_numpy_iterator())
    except tf.errors.OpError:
      if errors:
        raise errors[0] from None
      raise

  iterator = elements()
  _OPEN.add(iterator)
  return iterator


@atexit.register
def _close_all() -> None:
  """Stops the readers while Python still runs: at its end they would wait for it for ever."""
  for iterator in list(_OPEN):
    with contextlib.suppress(ValueError):  # in use by another thread
      iterator.close()


def _split(arrays: Sequence[np.ndarray], local_devices: int) -> Example:
  """Returns an Example with leading axes `[local_devices, per_device]`."""
  return Example(*(x.reshape(local_devices, -1, *x.shape[1:]) for x in arrays[-3:]))


def _batch(streams: Sequence[Sequence[np.ndarray]], local_devices: int) -> Batch:
  """Returns the Batch of one or two streams; without a second, `unlabeled` is empty."""
  examples = [_split(arrays, local_devices) for arrays in streams]
  if len(examples) == 1:
    examples.append(Example(*(x[:, :0] for x in examples[0])))
  return Batch(*examples)
