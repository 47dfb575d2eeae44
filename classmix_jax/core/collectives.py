"""The global batch, seen from one device.

Every function takes `axis_name=None` outside of `pmap` and means the same
there: a batch on one device is the global batch.
"""

import jax
from jax import lax
import jax.numpy as jnp

from classmix_jax.types import Array


def mean_over_devices(x: Array, axis_name: str | None = None) -> Array:
  """Mean of `x` over the devices; `x` itself where there is no device axis."""
  return x if axis_name is None else lax.pmean(x, axis_name)


def sum_over_devices(x: Array, axis_name: str | None = None) -> Array:
  """Sum of `x` over the devices; `x` itself where there is no device axis."""
  return x if axis_name is None else lax.psum(x, axis_name)


def next_image(x: Array, axis_name: str | None = None) -> Array:
  """Returns, for image i, image (i + 1) mod N of the *global* batch.

  The first image of every device travels one step around the ring, so a
  device that holds a single image still gets a partner.

  Args:
    x: `[B, ...]`, this device's share of the global batch, in device order.
    axis_name: the device axis of `pmap`, None outside.
  """
  first = x[:1]
  if axis_name is not None:
    devices = lax.axis_size(axis_name)
    ring = [(device, (device - 1) % devices) for device in range(devices)]
    first = lax.ppermute(first, axis_name, ring)
  return jnp.concatenate([x[1:], first])


def example_keys(key: Array, batch_size: int, axis_name: str | None = None) -> Array:
  """Returns one key per image, derived from its index in the *global* batch.

  Args:
    key: the step's key, equal on all devices.
    batch_size: images on this device.
    axis_name: the device axis of `pmap`, None outside.
  """
  index = jnp.arange(batch_size)
  if axis_name is not None:
    index = index + batch_size * lax.axis_index(axis_name)
  return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, index)
