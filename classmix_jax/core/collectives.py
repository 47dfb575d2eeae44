"""The global batch, seen from one device.

Every function takes `axis_name=None` outside of `pmap` and means the same
there: a batch on one device is the global batch.

A device holds A b images: b of each of A micro-batches (A is 1 without
accumulation), one micro-batch after the other. In the global batch of N = A D b
images, image k of micro-batch a on device d has the index (a D + d) b + k: a
micro-batch is the same images on any number of devices, and the global batch is
the same for any A.
"""

import jax
from jax import lax
import jax.numpy as jnp

from classmix_jax.core.microbatch import divided, joined
from classmix_jax.types import Array


def mean_over_devices(x: Array, axis_name: str | None = None) -> Array:
  """Mean of `x` over the devices; `x` itself where there is no device axis."""
  return x if axis_name is None else lax.pmean(x, axis_name)


def sum_over_devices(x: Array, axis_name: str | None = None) -> Array:
  """Sum of `x` over the devices; `x` itself where there is no device axis."""
  return x if axis_name is None else lax.psum(x, axis_name)


def next_image(x: Array, axis_name: str | None = None, micro_batches: int = 1) -> Array:
  """Returns, for image i, image (i + 1) mod N of the *global* batch.

  The first image of every device's micro-batch travels one step around the
  ring, so a device that holds a single image still gets a partner.

  Args:
    x: `[A b, ...]`, this device's share of the global batch.
    axis_name: the device axis of `pmap`, None outside.
    micro_batches: A.

  Example:
    >>> next_image(jnp.arange(4), micro_batches=2).tolist()
    [1, 2, 3, 0]
  """
  x = divided(x, micro_batches)
  first = x[:, :1]
  # Behind the last device's share of a micro-batch the next micro-batch begins.
  sent = jnp.roll(first, -1, axis=0)
  if axis_name is not None:
    devices = lax.axis_size(axis_name)
    ring = [(device, (device - 1) % devices) for device in range(devices)]
    sent = jnp.where(lax.axis_index(axis_name) == 0, sent, first)
    sent = lax.ppermute(sent, axis_name, ring)
  return joined(jnp.concatenate([x[:, 1:], sent], axis=1))


def example_keys(
  key: Array, count: int, axis_name: str | None = None, micro_batches: int = 1
) -> Array:
  """Returns one key per image, derived from its index in the *global* batch.

  Args:
    key: the step's key, equal on all devices.
    count: A b, images on this device.
    axis_name: the device axis of `pmap`, None outside.
    micro_batches: A.
  """
  index = divided(jnp.arange(count), micro_batches)
  if axis_name is not None:
    share = count // micro_batches
    # Before micro-batch a stand a shares of the other devices, and those of devices 0 to d - 1.
    others = jnp.arange(micro_batches) * (lax.axis_size(axis_name) - 1)
    index = index + share * (others + lax.axis_index(axis_name))[:, None]
  return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, joined(index))
