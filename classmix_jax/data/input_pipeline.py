"""Training batches by tf.data; the only module of training that uses TensorFlow.

Synopsis:

    batches = train_batches(labeled, unlabeled, batch_size=4, unlabeled_batch_size=4,
                            geometry=Geometry(crop=(160, 224), flip=True), seed=0,
                            start_step=0, stop_step=1000, local_devices=jax.local_device_count())
    batch = next(batches)      # Batch of NumPy arrays [devices, per_device, ...]

A training batch is a pure function of (seed, step): example k of step s is at position s B + k of
an endless stream, and image and crop are functions of the position. Resuming at step s therefore
reads nothing before s, and neither the number of devices nor of processes changes the global batch.
"""

import atexit
from collections.abc import Iterator
import contextlib
import functools
import weakref

import numpy as np
import tensorflow as tf

from classmix_jax.data.example_reader import ReadExample, Stream, join, open_streams, split
from classmix_jax.data.random_crop import Geometry
from classmix_jax.data.sampler import global_position
from classmix_jax.data.source import Source
from classmix_jax.types import VOID, Batch
from classmix_jax.utils.threads import THREADS

_OPEN: weakref.WeakSet = weakref.WeakSet()  # iterators whose readers may be running

for _kind in ('GPU', 'TPU'):  # accelerators are for JAX; TensorFlow would take their memory
  with contextlib.suppress(RuntimeError):  # TensorFlow was initialized before
    tf.config.set_visible_devices([], _kind)


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

  Every example is resized by a random factor, cropped, mirrored, and padded at the bottom and
  right to the crop; image, label and valid alike. Images are resized bilinearly with
  antialiasing, labels by the nearest pixel, both with half-pixel centres.

  Args:
    labeled: source of the labelled stream.
    unlabeled: source of the unlabelled stream, or None; its labels, if any, are pseudo-labels.
    batch_size, unlabeled_batch_size: global, multiples of the number of devices. Without an
      unlabelled stream (None, or size 0) its Example is empty, `[D, 0, ...]`.
    geometry: how the examples of both streams are cut from their frames.
    seed: 0 or more.
    start_step, stop_step: global steps.
    local_devices: D, devices of this process.
    process_index, process_count: choose the contiguous share of the batch that is read.

  Returns:
    Iterator of `Batch`; the Examples have read-only NumPy arrays: image `[D, B/D, H, W, 3]` uint8,
    label `[D, B/D, H, W]` uint8, valid `[D, B/D, H, W]` bool.

  Raises:
    UserError: a batch cannot be shared by the devices; from the iterator if frames differ in
      size, or an example is unreadable.

  Example: `next(train_batches(source, None, batch_size=8, unlabeled_batch_size=0, ...))`
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
  errors: list[Exception] = []

  def make_dataset(stream: Stream) -> tf.data.Dataset:
    _, size, share = stream
    dataset = tf.data.Dataset.range(start_step * share, stop_step * share)
    dataset = dataset.map(lambda local: global_position(local, size, share, process_index))
    dataset = _read_examples(dataset, stream.read, errors)
    dataset = dataset.map(functools.partial(_cut, geometry), THREADS)
    return dataset.batch(share, drop_remainder=True)

  dataset = tf.data.Dataset.zip(tuple(map(make_dataset, streams)))
  return _iterate(_prefetch(dataset), errors, local_devices)


def _read_examples(
  positions: tf.data.Dataset, read: ReadExample, errors: list[Exception]
) -> tf.data.Dataset:
  """Maps positions to (image, label, packed view), several at a time, in order.

  Appends exceptions of `read` to `errors`, because TensorFlow keeps only their text.
  """

  def read_or_record(position: np.ndarray) -> tuple[np.ndarray, ...]:
    try:
      image, label, view = read(int(position))
    except Exception as error:
      errors.append(error)
      raise
    return image, label, np.array(view.packed(), np.int32)

  def call(position: tf.Tensor) -> tuple[tf.Tensor, ...]:
    types = [tf.uint8, tf.uint8, tf.int32]
    return tuple(tf.numpy_function(read_or_record, [position], types, stateful=False))

  return positions.map(call, THREADS)


def _cut(
  geometry: Geometry, image: tf.Tensor, label: tf.Tensor, view: tf.Tensor
) -> tuple[tf.Tensor, ...]:
  """Cuts a view, to (image, label, valid): resized, cropped, mirrored, padded to the crop."""
  image, label = tf.ensure_shape(image, [None, None, 3]), tf.ensure_shape(label, [None, None])
  scaled, corner, extent, mirrored = tf.split(tf.ensure_shape(view, [7]), [2, 2, 2, 1])
  if geometry.resizes:
    frame = tf.shape(label)
    image = _bilinear(image, frame, scaled, corner, extent)
    label = _nearest(label, frame, scaled, corner, extent)
  else:
    image, label = (tf.slice(x, _fit(corner, x, 0), _fit(extent, x, -1)) for x in (image, label))
  valid = tf.ones(extent, tf.bool)
  if geometry.flip:
    image, label = (_mirror(x, mirrored[0] > 0) for x in (image, label))
  if geometry.crop is not None:  # after the mirror: the padding stays at the bottom and right
    arrays = ((image, 0), (label, VOID), (valid, False))
    image, label, valid = (_pad(x, geometry.crop - extent, fill) for x, fill in arrays)
  return image, label, valid


def _fit(pair: tf.Tensor, x: tf.Tensor, third: int) -> tf.Tensor:
  """Extends a vector (height, width) by `third` if `x` has channels."""
  return tf.concat([pair, [third] * (x.shape.rank - 2)], 0)


def _nearest(
  label: tf.Tensor, frame: tf.Tensor, scaled: tf.Tensor, corner: tf.Tensor, extent: tf.Tensor
) -> tf.Tensor:
  """Resizes `[h, w]` from `frame` to `scaled` by the nearest pixel; returns the window.

  Pixel i of h' comes from pixel floor((i + 1/2) h / h'), in integers, so that no rounding moves a
  label.
  """
  for axis in (0, 1):
    i = corner[axis] + tf.range(extent[axis])
    label = tf.gather(label, (2 * i + 1) * frame[axis] // (2 * scaled[axis]), axis=axis)
  return label


def _bilinear(
  image: tf.Tensor, frame: tf.Tensor, scaled: tf.Tensor, corner: tf.Tensor, extent: tf.Tensor
) -> tf.Tensor:
  """Resizes like `tf.image.resize(antialias=True)`, which uses this op, but only the window."""
  window = tf.raw_ops.ScaleAndTranslate(
    images=image[None],
    size=extent,
    scale=tf.cast(scaled / frame, tf.float32),
    translation=-tf.cast(corner, tf.float32),
    kernel_type='triangle',
    antialias=True,
  )
  return tf.cast(window[0] + 0.5, tf.uint8)  # weights sum to 1: never beyond 255.5


def _mirror(x: tf.Tensor, flag: tf.Tensor) -> tf.Tensor:
  """Reverses the columns of `[h, w, ...]` if `flag` is True."""
  return tf.raw_ops.Reverse(tensor=x, dims=tf.stack([False, flag, False][: x.shape.rank]))


def _pad(x: tf.Tensor, missing: tf.Tensor, fill: int | bool) -> tf.Tensor:
  """Appends `missing` rows and columns of `fill`."""
  ends = _fit(missing, x, 0)
  return tf.pad(x, tf.stack([tf.zeros_like(ends), ends], 1), constant_values=fill)


def _prefetch(dataset: tf.data.Dataset) -> tf.data.Dataset:
  """Prefetches in a deterministic order, on few threads: the training step needs the cores."""
  options = tf.data.Options()
  options.deterministic = True
  options.autotune.enabled = False
  options.threading.private_threadpool_size = THREADS
  options.threading.max_intra_op_parallelism = 1
  return dataset.prefetch(2).with_options(options)


def _iterate(
  dataset: tf.data.Dataset, errors: list[Exception], local_devices: int
) -> Iterator[Batch]:
  """Returns an iterator over the Batches, which raises a reader's exception unchanged."""

  def batches() -> Iterator[Batch]:
    try:
      for streams in dataset.as_numpy_iterator():
        yield join([split(arrays, local_devices) for arrays in streams])
    except tf.errors.OpError:
      if errors:
        raise errors[0] from None
      raise

  iterator = batches()
  _OPEN.add(iterator)
  return iterator


@atexit.register
def _close_all() -> None:
  """Stops the readers at exit, where they would block in a Python that no longer runs."""
  for iterator in list(_OPEN):
    with contextlib.suppress(ValueError):  # in use by another thread
      iterator.close()
