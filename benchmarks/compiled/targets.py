"""Opens devices to compile for: accelerators that are not present, or one CPU.

Synopsis:

    devices = open_devices('h100:8')      # for `make_train_step`; nothing can run on them
    card = CARDS[family('h100:8')]
"""

from collections.abc import Iterator, Mapping
import contextlib
import os
from typing import Any, NamedTuple
from unittest import mock

import jax
from jax._src.cudnn import fused_attention_stablehlo
from jax.experimental import topologies

from classmix_jax.models.layers import attention

# An H100 SXM5 with 80 GB, from its data sheet and CUDA's table for compute capability 9.0:
# XLA's `GpuTargetConfigProto`, of which it needs what decides tilings and fusions.
H100: Mapping[str, Any] = {
  'platform_name': 'CUDA',
  'device_description_str': 'NVIDIA H100 80GB HBM3',
  'dnn_version_info': {'major': 9, 'minor': 10, 'patch': 0},
  'gpu_device_info': {
    'cuda_compute_capability': {'major': 9, 'feature_extension': 'ACCELERATED_FEATURES'},
    'core_count': 132,
    'fpus_per_core': 128,
    'clock_rate_ghz': 1.98,
    'memory_bandwidth': 3_352_320_000_000,
    'device_memory_size': 84_942_979_072,
    'l2_cache_size': 50 * 2**20,
    'threads_per_warp': 32,
    'threads_per_block_limit': 1024,
    'threads_per_core_limit': 2048,
    'shared_memory_per_core': 228 * 2**10,
    'shared_memory_per_block': 48 * 2**10,
    'shared_memory_per_block_optin': 227 * 2**10,
    'registers_per_core_limit': 2**16,
    'registers_per_block_limit': 2**16,
    'block_dim_limit_x': 2**31 - 1,
    'block_dim_limit_y': 2**16 - 1,
    'block_dim_limit_z': 2**16 - 1,
  },
}
NAMES = ('ACCELERATED_FEATURES',)  # of enumerations, which have no quotes


class Card(NamedTuple):
  """Practical peak of one device, for a roofline.

  Attributes:
    bandwidth: bytes/s of its memory, 90 % of the data sheet.
    operations: per second in bfloat16 products, 70 % of the data sheet; float32 has half of it.
    launch: overhead of a kernel in seconds.
  """

  bandwidth: float
  operations: float
  launch: float


CARDS: Mapping[str, Card] = {
  'h100': Card(3.0e12, 700e12, 1.5e-6),
  'v5e': Card(0.9 * 819e9, 0.7 * 197e12, 0.0),
  'v6e': Card(0.9 * 1640e9, 0.7 * 918e12, 0.0),
}


def text_proto(fields: Mapping[str, Any]) -> str:
  """Writes nested fields in protobuf's text format.

  Example:
    >>> text_proto({'a': {'b': 1}, 'c': 'd'})
    'a { b: 1 } c: "d"'
  """

  def written(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
      return f'{name} {{ {text_proto(value)} }}'
    quoted = isinstance(value, str) and value not in NAMES
    return f'{name}: "{value}"' if quoted else f'{name}: {value}'

  return ' '.join(written(name, value) for name, value in fields.items())


def family(topology: str) -> str:
  """Returns the kind of device of a topology, a key of `CARDS`.

  Example:
    >>> family('h100:8'), family('v5e:2x2')
    ('h100', 'v5e')
  """
  return topology.partition(':')[0]


def open_devices(topology: str) -> list[jax.Device]:
  """Returns devices to compile for.

  Args:
    topology: 'h100', 'h100:8' (of one host), 'v5e:2x2', 'v6e:2x2', ...; '' is one CPU.

  Raises:
    SystemExit: the compiler for this device is not installed, or the topology is unknown.
  """
  if not topology:
    return jax.devices()[:1]
  kind, _, shape = topology.partition(':')
  if kind not in CARDS:
    raise SystemExit(f'--topology={topology}: known are {", ".join(CARDS)}, as in h100:8, v5e:2x2')
  try:
    if kind == 'h100':
      return topologies.get_topology_desc(
        platform='cuda', target_config=text_proto(H100), topology=f'1x1x{shape or 1}'
      ).devices
    # TPU machines set these; without them libtpu searches the network for one.
    # libtpu's lock is for programs on a TPU: compilations may run concurrently.
    os.environ |= {
      'TPU_SKIP_MDS_QUERY': '1',
      'TPU_WORKER_HOSTNAMES': 'localhost',
      'ALLOW_MULTIPLE_LIBTPU_LOAD': '1',
    }
    return topologies.get_topology_desc(topology, 'tpu').devices
  except (RuntimeError, NotImplementedError, ValueError) as error:
    raise SystemExit(
      f"--topology={topology}: {error}. What compiles for it comes with pip install '.[aot]'"
    ) from error


@contextlib.contextmanager
def assume_cudnn(device: jax.Device) -> Iterator[None]:
  """Makes programs for a GPU call cuDNN's attention, which this machine need not have.

  The network looks at the devices of this machine, and JAX at its library's version, before they
  use it (jax 0.10.2 and 0.11.2).
  """
  if device.platform == 'cpu' or device.platform == 'tpu':
    yield
    return
  parts = H100['dnn_version_info']
  version = 10_000 * parts['major'] + 100 * parts['minor'] + parts['patch']
  with (
    mock.patch.object(attention, 'has_cudnn_attention', lambda: True),
    mock.patch.object(fused_attention_stablehlo, 'check_cudnn_version', lambda: version),
  ):
    yield
