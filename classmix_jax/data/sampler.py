"""Index streams: which example is at which position, as a pure function of the seed."""

from collections.abc import Iterable, Iterator
import functools

import numpy as np

from classmix_jax.errors import UserError

LABELED, UNLABELED = 0, 1  # streams of one seed


def share_of_batch(size: int, local_devices: int, process_count: int, field: str) -> int:
  """Returns how many examples of a global batch belong to each process.

  Raises:
    UserError: the batch cannot be shared evenly; names the nearest sizes that can.
  """
  devices = local_devices * process_count
  if size < 1 or size % devices:
    low, high = size // devices * devices, (max(size, 0) // devices + 1) * devices
    near = f'{low} or {high}' if low > 0 else f'{high}'
    raise UserError(f'{field}={size} cannot be shared by {devices} devices: set it to {near}')
  return size // process_count


def share_positions(
  batches: Iterable[int],
  size: int,
  share: int,
  process_index: int,
) -> Iterator[int]:
  """Yields the positions of a process: its contiguous share of each of the numbered batches.

  Args:
    batches: their numbers in the stream, 0 or more.
    size: examples of a global batch.
    share: of these, how many belong to each process.
    process_index: of this process.

  Example: `list(share_positions(range(2), size=4, share=2, process_index=1)) == [2, 3, 6, 7]`.
  """
  for batch in batches:
    first = batch * size + process_index * share
    yield from range(first, first + share)


def index_stream(seed: int, stream: int, length: int, start: int, stop: int) -> np.ndarray:
  """Returns positions start..stop-1 of an endless shuffled stream of 0..length-1.

  Shuffle, then repeat: epoch e is the positions e*length..(e+1)*length-1 and holds
  every index once, in an order that depends on (seed, stream, e) alone. So any
  window can be had without what came before it, which is how a run resumes.

  Args:
    seed: 0 or more.
    stream: tells apart the streams of one seed (labelled 0, unlabelled 1).
    length: number of examples.
    start, stop: window of positions, 0 <= start <= stop.

  Returns:
    `[stop - start]` int64 indices.

  Raises:
    UserError: `length` is 0 or the seed negative.
    ValueError: the window is not one.

  Example:

      a = index_stream(0, 0, 10, 0, 30)
      (a[7:12] == index_stream(0, 0, 10, 7, 12)).all()
  """
  if length < 1:
    raise UserError('There are no examples to draw from: check config.data.root')
  if not 0 <= start <= stop:
    raise ValueError(f'expected 0 <= start <= stop, got start={start}, stop={stop}')
  first, last = start // length, -(-stop // length)
  epochs = [_permutation(seed, stream, epoch, length) for epoch in range(first, last)]
  flat = np.concatenate([np.zeros(0, np.int64), *epochs])
  return flat[start - first * length :][: stop - start]


@functools.lru_cache(maxsize=16)  # the pipeline asks for one position at a time
def _permutation(seed: int, stream: int, epoch: int, length: int) -> np.ndarray:
  """Returns a `[length]` int64 permutation, a pure function of the arguments."""
  if seed < 0:
    raise UserError(f'A seed must be 0 or more, not {seed}: see config.seed, data.split_seed')
  bits = np.random.Philox(np.random.SeedSequence([seed, stream, epoch])).random_raw(length)
  order = np.argsort(bits, kind='stable').astype(np.int64)
  order.flags.writeable = False  # shared by every caller
  return order
