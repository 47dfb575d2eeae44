"""Builds a training step with a batch of random images, and times it.

Synopsis:

    step, state, (batch, images) = build_step(config, num_classes=11, devices=jax.local_devices())
    state, metrics = step(state, batch)
    milliseconds, images = time_steps(config, num_classes=11, count=5)
"""

from collections.abc import Callable
import time
from typing import Any

import jax
import numpy as np

from classmix_jax.config.model import (
  build_method,
  build_optimizer,
  choose_devices,
  needs_unlabeled,
)
from classmix_jax.core.devices import Devices
from classmix_jax.core.packing import PackedState, pack
from classmix_jax.data.feed import to_devices
from classmix_jax.errors import UserError
from classmix_jax.training.create_state import create_state
from classmix_jax.training.step import TrainStep, make_train_step
from classmix_jax.types import Batch, Example

WARM_UP = 3  # calls before the timed ones: the first compiles


def image_size(config) -> tuple[int, int]:
  """Returns the (H, W) of training images: the crop, or the working size of whole images.

  Raises:
    UserError: both fields are empty.
  """
  size = tuple(config.data.crop) or tuple(config.data.size)
  if not size:
    raise UserError(
      'config.data.crop and config.data.size are empty, so the size of training images is only '
      'known from the data; give one, for example --config.data.crop=(512,512).'
    )
  return size


def random_batch(config, num_classes: int, devices: Devices) -> tuple[Batch, int]:
  """Returns the noise of one step, `[D, A, b, ...]` on the devices, and its number of images."""
  random = np.random.default_rng(0)

  def example(count: int) -> Example:
    per_device = count // len(devices) // config.accumulate
    shape = (len(devices), config.accumulate, per_device, *image_size(config))
    arrays: Any = (
      random.integers(0, 256, (*shape, 3), np.uint8),
      random.integers(0, num_classes, shape, np.uint8),
      np.ones(shape, bool),
    )
    return Example(*arrays)  # NumPy's until they are on the devices

  unlabeled = config.unlabeled_batch_size if needs_unlabeled(config) else 0
  no_images: Any = None  # methods that need none do not read them
  batch = Batch(example(config.batch_size), example(unlabeled) if unlabeled else no_images)
  return next(to_devices([batch], devices)), config.batch_size + unlabeled


def build_step(
  config, num_classes: int, devices: Devices
) -> tuple[TrainStep, PackedState, tuple[Batch, int]]:
  """Returns the step of a config, the packed state before it, and `random_batch`'s result."""
  method = build_method(config, num_classes)
  tx = build_optimizer(config, method, config.steps)
  image = jax.ShapeDtypeStruct((1, *image_size(config), 3), np.float32)
  state = pack(create_state(method, tx, jax.random.key(0, impl='rbg'), image, devices))
  step = make_train_step(method, tx, 0, devices, accumulate=config.accumulate)
  return step, state, random_batch(config, num_classes, devices)


def time_calls(program: Callable[[], Any], count: int) -> float:
  """Returns the milliseconds of each of `count` calls in a row, with one wait at the end."""
  begin = time.perf_counter()
  for _ in range(count):
    result = program()
  jax.block_until_ready(result)
  return 1000 * (time.perf_counter() - begin) / count


def time_steps(config, num_classes: int, count: int) -> tuple[float, int]:
  """Times warm training steps on the devices that a training takes.

  Returns:
    `(milliseconds, images)` of a step.
  """
  step, state, (batch, images) = build_step(config, num_classes, choose_devices(config))

  def run():
    nonlocal state
    state, metrics = step(state, batch)
    return metrics

  time_calls(run, WARM_UP)
  return time_calls(run, count), images
