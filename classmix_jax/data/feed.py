"""Joins micro-batches and copies batches to the devices."""

from collections.abc import Iterable, Iterator
import itertools

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
import numpy as np

from classmix_jax.core.devices import Devices
from classmix_jax.types import AXIS, Batch, PyTree


def micro_batches(batches: Iterable[Batch], count: int) -> Iterator[Batch]:
  """Joins consecutive batches `[D, b, ...]` to `[D, count, b, ...]`."""
  batches = iter(batches)
  while group := list(itertools.islice(batches, count)):
    yield jax.tree.map(lambda *arrays: np.stack(arrays, axis=1), *group)


def to_devices(batches: Iterable[PyTree], devices: Devices, ahead: int = 1) -> Iterator[PyTree]:
  """Copies batches `[D, ...]` to the devices while they compute the step before.

  Args:
    batches: pytrees of NumPy arrays, whose leading axis is the local devices.
    devices: the local devices.
    ahead: how many batches wait on the devices.
  """
  sharding = NamedSharding(Mesh(np.asarray(devices), (AXIS,)), PartitionSpec(AXIS))
  waiting = []
  for batch in batches:
    waiting.append(jax.device_put(batch, sharding))
    if len(waiting) > ahead:
      yield waiting.pop(0)
  yield from waiting
