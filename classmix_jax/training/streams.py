"""Training batches of a config, on the devices."""

from collections.abc import Callable, Iterator
import importlib.util

import jax

from classmix_jax.config.data import (
  Split,
  build_geometry,
)
from classmix_jax.config.lookup import Config
from classmix_jax.config.model import (
  needs_unlabeled,
)
from classmix_jax.data.device_pipeline import device_stream
from classmix_jax.data.feed import dispatches, micro_batches, to_devices
from classmix_jax.data.sampler import LABELED, UNLABELED, index_stream
from classmix_jax.data.source import Dataset
from classmix_jax.types import Batch


def crop_size(config: Config, dataset: Dataset) -> tuple[int, int]:
  """The (H, W) of training images: the crop, the working size, or the first image's."""
  return tuple(config.data.crop) or tuple(config.data.size) or dataset.train.read_image(0).shape[:2]


def unlabeled_batch_size(config: Config) -> int:
  return config.unlabeled_batch_size if needs_unlabeled(config) else 0


def has_tensorflow() -> bool:
  """Returns whether tf.data can make the batches."""
  return importlib.util.find_spec('tensorflow') is not None


def pipeline(config: Config) -> str:
  """Returns in words what makes the batches, see `open_streams`."""
  if config.data.working_copy == 'device':
    return 'cut on the devices'
  return 'tf.data' if has_tensorflow() else 'threads (TensorFlow is not installed)'


def open_streams(
  config: Config, split: Split, devices: list
) -> Callable[[int, int], Iterator[Batch]]:
  """Returns `stream(start_step, stop_step)`: batches `[D, A, b, ...]` on the devices."""
  unlabeled = unlabeled_batch_size(config) if split.unlabeled is not None else 0
  parts, together = config.accumulate, config.steps_per_dispatch
  options = dict(
    labeled=split.labeled,
    unlabeled=split.unlabeled if unlabeled else None,
    batch_size=config.batch_size // parts,
    unlabeled_batch_size=unlabeled // parts,
    geometry=build_geometry(config),
    seed=config.seed,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
  )
  if config.data.working_copy == 'device':
    return device_stream(devices=devices, accumulate=parts, together=together, **options)
  if has_tensorflow():
    from classmix_jax.data.input_pipeline import train_batches
  else:
    from classmix_jax.data.thread_pipeline import train_batches

  def stream(start_step: int, stop_step: int) -> Iterator[Batch]:
    batches = train_batches(
      start_step=start_step * parts,
      stop_step=stop_step * parts,
      local_devices=len(devices),
      **options,
    )
    counts = (parts * len(steps) for steps in dispatches(start_step, stop_step, together))
    return to_devices(micro_batches(batches, counts), devices)

  return stream


def batch_names(config: Config, split: Split, step: int) -> dict[str, list[str]]:
  """Returns who is in the batch of the step of this number, from 1."""
  streams = [('labeled', LABELED, split.labeled, config.batch_size)]
  if split.unlabeled is not None and unlabeled_batch_size(config):
    streams.append(('unlabeled', UNLABELED, split.unlabeled, config.unlabeled_batch_size))
  return {
    part: [
      source.names[i]
      for i in index_stream(config.seed, number, len(source), (step - 1) * size, step * size)
    ]
    for part, number, source, size in streams
  }
