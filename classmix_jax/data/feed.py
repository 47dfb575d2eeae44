"""Groups batches by dispatch and copies them to the devices."""

from collections.abc import Iterable, Iterator
import itertools

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
import numpy as np

from classmix_jax.core.devices import Devices
from classmix_jax.types import AXIS, Batch, PyTree


def dispatches(start: int, stop: int, together: int) -> list[range]:
  """Divides the steps start..stop-1 into dispatches of up to `together` steps.

  Dispatches end at multiples of `together`, wherever a training run starts, and at `stop`.

  Example:
    >>> dispatches(2, 9, together=4)
    [range(2, 4), range(4, 8), range(8, 9)]
  """
  marks = [start, *range(start - start % together + together, stop, together), stop]
  return [range(first, last) for first, last in itertools.pairwise(marks) if first < last]


def micro_batches(batches: Iterable[Batch], counts: Iterable[int]) -> Iterator[Batch]:
  """Joins consecutive batches `[D, b, ...]` to `[D, count, b, ...]`, for each of the counts."""
  batches = iter(batches)
  for count in counts:
    group = list(itertools.islice(batches, count))
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
