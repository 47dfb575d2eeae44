"""Placement of arrays on the devices."""

from collections.abc import Sequence

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
import numpy as np

from classmix_jax.types import AXIS

Devices = Sequence[jax.Device]


def replicated(devices: Devices) -> NamedSharding:
  """Returns the sharding of the state: a full copy on every device, no device axis."""
  return NamedSharding(Mesh(np.asarray(devices), (AXIS,)), PartitionSpec())
