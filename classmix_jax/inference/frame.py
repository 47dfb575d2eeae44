"""The size at which a network sees an image, in the program as in a prediction.

Synopsis:

    Frame(multiple=None, pad=(505, 505), size=None).of((375, 500))        # (505, 505)
    Frame().of((375, 500))                                                # (384, 512)
"""

from typing import NamedTuple

from jax.core import max_dim, min_dim

from classmix_jax.config.setup import EvaluationSetup
from classmix_jax.evaluation.native import native_frame
from classmix_jax.evaluation.protocols import PROTOCOLS, Protocol
from classmix_jax.types import Size

MULTIPLE = 32  # sizes are padded to multiples of this, which compiles fewer shapes


class Frame(NamedTuple):
  """How images of any size are fitted to a network.

  Attributes:
    size: (H, W) to which images are resized, or None if they keep their size.
    pad: (H, W) to which images that keep their size are padded, or None for the next multiple.
    multiple: of the protocol `native`, or None in other protocols.
  """

  size: Size | None = None
  pad: Size | None = None
  multiple: int | None = None

  def of(self, size: Size) -> Size:
    """Returns the size of the padded image; sizes may be symbolic, except in `native`."""
    if self.multiple:
      return native_frame(size, self.multiple)
    height, width = (MULTIPLE * ((side + MULTIPLE - 1) // MULTIPLE) for side in size)
    if self.pad is None:
      return height, width
    # 1 if a side exceeds `pad`, else 0; symbolic sizes have no conditions.
    exceeds = min_dim(1, sum(max_dim(0, a - b) for a, b in zip(size, self.pad, strict=True)))
    return (
      self.pad[0] + exceeds * (height - self.pad[0]),
      self.pad[1] + exceeds * (width - self.pad[1]),
    )


def list_left_out(protocol: Protocol) -> list[str]:
  """Returns what a protocol averages over, which a single pass of the network leaves out.

  Example:
    >>> list_left_out(Protocol('sliding', flip=True))
    ['windows', 'mirrored images']
  """
  parts = {
    'windows': protocol.name == 'sliding',
    'scales': protocol.scales != (1.0,),
    'mirrored images': protocol.flip,
  }
  return [name for name, is_used in parts.items() if is_used]


def choose_frame(evaluation: EvaluationSetup) -> Frame:
  """Returns how a run that is evaluated in this way predicts images of any size."""
  protocol = evaluation.protocol
  return Frame(
    size=None if PROTOCOLS[protocol.name].native_image else evaluation.size,
    pad=protocol.pad if protocol.name == 'paper' else None,
    multiple=protocol.multiple if protocol.name == 'native' else None,
  )
