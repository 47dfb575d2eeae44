"""The global batch as one device sees it: keys, partners, reductions over all devices.

A device holds A b images: b images of each of A micro-batches (A is 1 without accumulation), one
micro-batch after another. In the global batch of N = A D b images, image k of micro-batch a on
device d has the index (a D + d) b + k. So a micro-batch consists of the same images on any number
of devices, and the global batch is the same for any A.

Synopsis:

    global_batch = GlobalBatch(AXIS, micro_batches=2)    # inside pmap over AXIS
    keys = global_batch.keys(key, len(image))            # one key per image
    partner = global_batch.partner(image)
"""

from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

from classmix_jax.core.microbatch import merge_micro_batches, split_micro_batches
from classmix_jax.types import AXIS, Array


class GlobalBatch(NamedTuple):
  """How this device's images are placed in the global batch.

  Without arguments, the images of this device are the global batch.

  Attributes:
    axis_name: device axis of `pmap`, None outside.
    micro_batches: A, number of micro-batches that the images of a device form.
    reverse_partners: whether the partner of image i is image N - 1 - i instead of the next one.
  """

  axis_name: str | None = None
  micro_batches: int = 1
  reverse_partners: bool = False

  def mean(self, x: Array) -> Array:
    """Returns the mean of `x` over the devices."""
    return x if self.axis_name is None else lax.pmean(x, self.axis_name)

  def sum(self, x: Array) -> Array:
    """Returns the sum of `x` over the devices."""
    return x if self.axis_name is None else lax.psum(x, self.axis_name)

  def max(self, x: Array) -> Array:
    """Returns the largest `x` of all devices, element by element."""
    return x if self.axis_name is None else lax.pmax(x, self.axis_name)

  def partner(self, x: Array) -> Array:
    """Returns the image that each image is mixed with, `[A b, ...]`."""
    return self.reversed_image(x) if self.reverse_partners else self.next_image(x)

  def reversed_image(self, x: Array) -> Array:
    """Returns, for image i, image N - 1 - i of the *global* batch.

    If N is odd, the image in the middle is its own partner.

    Args:
      x: `[A b, ...]`, this device's images.

    Example:
      >>> GlobalBatch(micro_batches=2).reversed_image(jnp.arange(4)).tolist()
      [3, 2, 1, 0]
    """
    x = x[::-1]
    if self.axis_name is None:
      return x
    devices = lax.axis_size(self.axis_name)
    mirror = [(device, devices - 1 - device) for device in range(devices)]
    return lax.ppermute(x, self.axis_name, mirror)

  def next_image(self, x: Array) -> Array:
    """Returns, for image i, image (i + 1) mod N of the *global* batch.

    The first image of each micro-batch moves one device around the ring, so a device that holds a
    single image gets a partner too.

    Args:
      x: `[A b, ...]`, this device's images.

    Example:
      >>> GlobalBatch(micro_batches=2).next_image(jnp.arange(4)).tolist()
      [1, 2, 3, 0]
    """
    x = split_micro_batches(x, self.micro_batches)
    first = x[:, :1]
    # The last device's part of a micro-batch is followed by the first of the next micro-batch.
    sent = jnp.roll(first, -1, axis=0)
    if self.axis_name is not None:
      devices = lax.axis_size(self.axis_name)
      ring = [(device, (device - 1) % devices) for device in range(devices)]
      sent = jnp.where(lax.axis_index(self.axis_name) == 0, sent, first)
      sent = lax.ppermute(sent, self.axis_name, ring)
    return merge_micro_batches(jnp.concatenate([x[:, 1:], sent], axis=1))

  def indices(self, count: int) -> Array:
    """Returns the index of each image in the *global* batch, `[A b]` int32.

    Args:
      count: A b, number of images on this device.

    Example:
      >>> GlobalBatch().indices(3).tolist()
      [0, 1, 2]
    """
    index = split_micro_batches(jnp.arange(count), self.micro_batches)
    if self.axis_name is not None:
      per_device = count // self.micro_batches
      # Before micro-batch a come a parts of each other device, and those of devices 0 to d - 1.
      others = jnp.arange(self.micro_batches) * (lax.axis_size(self.axis_name) - 1)
      index = index + per_device * (others + lax.axis_index(self.axis_name))[:, None]
    return merge_micro_batches(index)

  def keys(self, key: Array, count: int) -> Array:
    """Returns one key per image, `[A b]`, derived from its index in the *global* batch.

    Args:
      key: random key, equal on all devices.
      count: A b, number of images on this device.
    """
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, self.indices(count))

  def random_half(self, key: Array, count: int) -> Array:
    """Returns True for floor(N / 2) random images of the *global* batch, `[A b]`.

    Args:
      key: random key, equal on all devices.
      count: A b, number of images on this device.

    Example:
      >>> int(GlobalBatch().random_half(jax.random.key(0), 5).sum())
      2
    """
    devices = 1 if self.axis_name is None else lax.axis_size(self.axis_name)
    rank = jax.random.permutation(key, devices * count)
    return rank[self.indices(count)] < devices * count // 2


ONE_DEVICE = GlobalBatch()
ALL_DEVICES = GlobalBatch(AXIS)
