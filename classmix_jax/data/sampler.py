"""Which example is at which position of a stream, as a pure function of the seed.

A stream is an endless shuffled sequence of examples. Batch s consists of the positions s B to
(s+1) B - 1, of which every process reads a contiguous share.
"""

from collections.abc import Iterable, Iterator
import functools
from typing import Any, TypeVar

import numpy as np

from classmix_jax.errors import UserError

LABELED, UNLABELED = 0, 1  # numbers of the streams of one seed

Index = TypeVar('Index', int, Any)  # an int, or a tensor of ints


def share_of_batch(size: int, local_devices: int, process_count: int, field: str) -> int:
  """Returns how many examples of a global batch each process reads.

  Args:
    size: examples of a global batch.
    local_devices: devices of each process.
    process_count: number of processes.
    field: the config field of `size`, for the error.

  Raises:
    UserError: the batch is not a multiple of the number of devices; the message has the nearest
      sizes that are.
  """
  devices = local_devices * process_count
  if size < 1 or size % devices:
    low, high = size // devices * devices, (max(size, 0) // devices + 1) * devices
    near = f'{low} or {high}' if low > 0 else f'{high}'
    raise UserError(f'{field}={size} cannot be shared by {devices} devices: set it to {near}')
  return size // process_count


def global_position(local: Index, size: int, share: int, process_index: int) -> Index:
  """Returns the position in the stream of the `local`-th example that a process reads.

  Args:
    local: 0 or more; an int or a tensor.
    size: examples of a global batch.
    share: examples of a batch that each process reads.
    process_index: index of the process.

  Example: `[global_position(i, 4, 2, 1) for i in range(4)] == [2, 3, 6, 7]`.
  """
  return local // share * size + process_index * share + local % share


def share_positions(
  batches: Iterable[int],
  size: int,
  share: int,
  process_index: int,
) -> Iterator[int]:
  """Yields the positions that a process reads of each of the numbered batches.

  Arguments are those of `global_position`.

  Example: `list(share_positions(range(2), size=4, share=2, process_index=1)) == [2, 3, 6, 7]`.
  """
  for batch in batches:
    for local in range(batch * share, (batch + 1) * share):
      yield global_position(local, size, share, process_index)


def index_stream(seed: int, stream: int, length: int, start: int, stop: int) -> np.ndarray:
  """Returns the examples at positions start..stop-1 of a shuffled endless stream.

  Epoch e is the positions e*length..(e+1)*length-1 and has every example once, in an order that
  is a function of (seed, stream, e) alone. So a resumed training run computes any window of the
  stream without the positions before it.

  Args:
    seed: 0 or more.
    stream: number of the stream: `LABELED`, `UNLABELED`, ...
    length: number of examples.
    start, stop: window of positions, 0 <= start <= stop.

  Returns:
    `[stop - start]` int64 indices in 0..length-1.

  Raises:
    UserError: `length` is 0 or the seed negative.
    ValueError: the window is invalid.

  Example:

      a = index_stream(0, 0, 10, 0, 30)
      (a[7:12] == index_stream(0, 0, 10, 7, 12)).all()
  """
  if length < 1:
    raise UserError('There are no examples to draw from: check config.data.root')
  if not 0 <= start <= stop:
    raise ValueError(f'expected 0 <= start <= stop, got start={start}, stop={stop}')
  first, last = start // length, -(-stop // length)
  epochs = [random_permutation(seed, stream, epoch, length) for epoch in range(first, last)]
  flat = np.concatenate([np.zeros(0, np.int64), *epochs])
  return flat[start - first * length :][: stop - start]


@functools.lru_cache(maxsize=16)  # pipelines read one position at a time
def random_permutation(seed: int, stream: int, epoch: int, length: int) -> np.ndarray:
  """Returns a read-only `[length]` int64 permutation, a pure function of the arguments.

  It ranks the raw bits of a counter-based generator, which NumPy keeps stable between versions
  (the stream of `Generator.permutation` may change, NEP 19).
  """
  if seed < 0:
    raise UserError(f'A seed must be 0 or more, not {seed}: see config.seed, data.split_seed')
  bits = np.random.Philox(np.random.SeedSequence([seed, stream, epoch])).random_raw(length)
  order = np.argsort(bits, kind='stable').astype(np.int64)
  order.flags.writeable = False  # shared by all callers
  return order
