"""Validation batches: read by threads, padded to one shape; NumPy only.

Synopsis:

    for example in eval_batches(dataset.val, batch_size=8, size=(180, 240), local_devices=2):
      ...                      # Example of NumPy arrays [2, 4, 180, 240, 3], ...
"""

from collections.abc import Iterator
import itertools

from classmix_jax.data.example_reader import read_padded, stack
from classmix_jax.data.sampler import share_of_batch, share_positions
from classmix_jax.data.source import Source
from classmix_jax.errors import UserError
from classmix_jax.types import Example, Size
from classmix_jax.utils.threads import in_parallel


def eval_batches(
  source: Source,
  *,
  batch_size: int,
  size: Size,
  local_devices: int,
  label_size: Size | None = None,
  process_index: int = 0,
  process_count: int = 1,
) -> Iterator[Example]:
  """Returns every example of a source once, in order, in full batches of one shape.

  Images are padded at the bottom and right (0, `VOID`, valid False) to `size`. The last batch is
  filled with examples of padding alone, so that every pixel counts once and all processes see
  the same number of batches. At most two batches are read ahead, or as many examples as keep the
  threads busy.

  Args:
    source: examples; without labels all labels are `VOID`.
    batch_size: global, a multiple of the number of devices.
    size: (H, W) of the batches.
    local_devices: D, devices of this process.
    label_size: (H, W) of label and valid, if labels differ in size from their images; None is
      `size`, and every label must have its image's size.
    process_index, process_count: choose the contiguous share of a batch that is read.

  Returns:
    Iterator of `Example`: `[D, B/D, H, W, 3]` uint8, `[D, B/D, H, W]` uint8 and bool.

  Raises:
    UserError: there are no examples, the batch size is not a multiple of the number of devices,
      or an example is unreadable.
    ValueError: from the iterator, if an image or label is larger than its size.

  Example: `sum(e.valid.any((2, 3)).sum() for e in eval_batches(...)) == len(source)`
  """
  share = share_of_batch(batch_size, local_devices, process_count, 'config.eval_batch_size')
  if not len(source):
    raise UserError('There are no examples to evaluate: check config.data.root')
  batches = range(-(-len(source) // batch_size))

  def read() -> Iterator[Example]:
    examples = in_parallel(
      lambda index: read_padded(source, index, size, label_size),
      share_positions(batches, batch_size, share, process_index),
      ahead=2 * share,
    )
    for _ in batches:
      yield stack(list(itertools.islice(examples, share)), local_devices)

  return read()
