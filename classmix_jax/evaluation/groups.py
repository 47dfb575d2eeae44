"""Groups of validation images whose batches have one shape.

Synopsis:

    groups = group_images(Protocol('native', multiple=14), [(375, 500), (500, 375)])
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from classmix_jax.errors import UserError
from classmix_jax.evaluation.native import native_frame
from classmix_jax.evaluation.protocols import Protocol
from classmix_jax.types import Size


class Group(NamedTuple):
  """Images that are padded to the same size.

  Attributes:
    indices: of the images.
    size: (H, W) to which they are padded.
    label_size: that of their labels, None if it is the same.
  """

  indices: Sequence[int]
  size: Size
  label_size: Size | None = None


def group_images(
  protocol: Protocol, sizes: Sequence[Size], working: Size | None = None
) -> list[Group]:
  """Divides images into groups: one, or in the protocol `native` one per size of the input.

  Args:
    protocol: how the images are evaluated.
    sizes: (height, width) of each label.
    working: size of the network's input in `full`.

  Raises:
    UserError: an image is larger than `config.eval.pad`.

  Example:
    >>> groups = group_images(Protocol('native', multiple=14), [(375, 500), (99, 9), (374, 499)])
    >>> [(group.indices, group.size) for group in groups]
    [([0, 2], (384, 510)), ([1], (104, 20))]
  """
  indices = range(len(sizes))
  if protocol.name == 'native':
    frames = [native_frame(size, protocol.multiple) for size in sizes]
    distinct = dict.fromkeys(frames)
    return [Group([i for i in indices if frames[i] == frame], frame) for frame in distinct]
  heights, widths = zip(*sizes, strict=True)
  largest = int(max(heights)), int(max(widths))
  if protocol.name == 'full' and working:
    return [Group(indices, working, largest)]
  if protocol.name != 'paper' or protocol.pad is None:
    return [Group(indices, largest)]
  if np.any(np.greater(largest, protocol.pad)):
    raise UserError(
      f'config.eval.pad is {protocol.pad}, but validation images are up to {largest}: '
      f'set config.eval.pad={largest} or more.'
    )
  return [Group(indices, protocol.pad)]
