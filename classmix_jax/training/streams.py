"""Streams the training batches of a stage to the devices.

Synopsis:

    stream = open_streams(setup.batches, setup.split, setup.devices)
    for batch in stream(0, 1000):      # of the first 1000 steps
      ...
"""

from collections.abc import Callable, Iterator
import importlib.util

import jax

from classmix_jax.config.data import Split
from classmix_jax.config.setup import BatchSetup
from classmix_jax.data.device_pipeline import device_stream
from classmix_jax.data.feature_cache import FeatureStream, ReadFeatures, with_features
from classmix_jax.data.feed import micro_batches, to_devices
from classmix_jax.data.sampler import LABELED, UNLABELED, index_stream
from classmix_jax.data.source import Source
from classmix_jax.training.features import CachedFeatures
from classmix_jax.types import Batch

BatchStream = Callable[[int, int], Iterator[Batch]]


def has_tensorflow() -> bool:
  """Returns whether tf.data can make the batches."""
  return importlib.util.find_spec('tensorflow') is not None


def pipeline_name(batches: BatchSetup) -> str:
  """Returns a description of the pipeline that `open_streams` chooses."""
  if batches.on_device:
    return 'cut on the devices'
  return 'tf.data' if has_tensorflow() else 'threads (TensorFlow is not installed)'


def feature_streams(
  batches: BatchSetup, split: Split, features: CachedFeatures
) -> list[FeatureStream]:
  """Returns where the features of the labelled and the unlabelled stream come from."""
  height, width, _ = split.labeled.read_image(0).shape

  def stream(read: ReadFeatures, number: int, source: Source, size: int) -> FeatureStream:
    size //= batches.accumulate
    return FeatureStream(read, number, len(source), size, (height, width))

  streams = [stream(features.labeled, LABELED, split.labeled, batches.labeled)]
  if features.unlabeled is not None and split.unlabeled is not None:
    streams.append(stream(features.unlabeled, UNLABELED, split.unlabeled, batches.unlabeled))
  return streams


def open_streams(
  batches: BatchSetup, split: Split, devices: list, features: CachedFeatures | None = None
) -> BatchStream:
  """Returns `stream(start_step, stop_step)`: batches `[D, A, b, ...]` on the devices.

  Args:
    batches: what decides a batch.
    split: labelled and unlabelled images; the latter may be None.
    devices: local devices.
    features: of the frames, or None if the network computes them.

  Raises:
    UserError: the batch does not divide by the devices, or images of a batch differ in size.
  """
  unlabeled = batches.unlabeled if split.unlabeled is not None else 0
  parts = batches.accumulate
  options = dict(
    labeled=split.labeled,
    unlabeled=split.unlabeled if unlabeled else None,
    batch_size=batches.labeled // parts,
    unlabeled_batch_size=unlabeled // parts,
    geometry=batches.geometry,
    seed=batches.seed,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
  )
  if batches.on_device:
    return device_stream(devices=devices, accumulate=parts, **options)
  if has_tensorflow():
    from classmix_jax.data.input_pipeline import train_batches
  else:
    from classmix_jax.data.thread_pipeline import train_batches

  def stream(start_step: int, stop_step: int) -> Iterator[Batch]:
    host_batches = train_batches(
      start_step=start_step * parts,
      stop_step=stop_step * parts,
      local_devices=len(devices),
      **options,
    )
    if features is not None:
      host_batches = with_features(
        host_batches,
        feature_streams(batches, split, features),
        range(start_step * parts, stop_step * parts),
        geometry=batches.geometry,
        seed=batches.seed,
        local_devices=len(devices),
        process_index=jax.process_index(),
        process_count=jax.process_count(),
      )
    return to_devices(micro_batches(host_batches, parts), devices)

  return stream


def batch_names(batches: BatchSetup, split: Split, step: int) -> dict[str, list[str]]:
  """Returns the names of the images in the batch of a step, which counts from 1."""
  streams = [('labeled', LABELED, split.labeled, batches.labeled)]
  if split.unlabeled is not None and batches.unlabeled:
    streams.append(('unlabeled', UNLABELED, split.unlabeled, batches.unlabeled))
  names = {}
  for part, number, source, size in streams:
    start, stop = (step - 1) * size, step * size
    indices = index_stream(batches.seed, number, len(source), start, stop)
    names[part] = [source.names[index] for index in indices]
  return names
