"""The decoder of a U-Net: from the coarsest level up, joined by a skip at every stride.

    level 16 x coarser -> doubled -+
                                   +-> 3x3, 3x3 -> doubled -+
    next finer level --------------+                        +-> ... -> 3x3 classifier
                                     next finer level ------+

Every 3x3 but the classifier is followed by BN and ReLU.
"""

from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp

from classmix_jax.core.resize import get_size, resize_centers
from classmix_jax.models.layers.conv_bn import conv_bn
from classmix_jax.models.layers.convolution import same_size
from classmix_jax.types import Array, Features, Size

WIDTHS = (256, 128, 64, 32, 16)  # at strides 16, 8, 4, 2, 1, as in segmentation-models-pytorch
COARSEST = 16  # stride of the first width


def double(x: Array) -> Array:
  """Repeats each cell of `[B, h, w, F]` in both directions, to `[B, 2 h, 2 w, F]`.

  Example:
    >>> double(jnp.array([1.0, 2.0]).reshape(1, 1, 2, 1))[0, :, :, 0].tolist()
    [[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]
  """
  batch, height, width, features = x.shape
  x = jnp.broadcast_to(x[:, :, None, :, None], (batch, height, 2, width, 2, features))
  return x.reshape(batch, 2 * height, 2 * width, features)


def enlarge_to(x: Array, size: Size) -> Array:
  """Repeats cells if a level is half of `size`, rounded up; otherwise resizes bilinearly.

  Args:
    x: `[B, h, w, F]`.
    size: (H, W), at least (h, w).
  """
  if get_size(x) == size:
    return x
  if get_size(x) == (-(-size[0] // 2), -(-size[1] // 2)):
    return double(x)[:, : size[0], : size[1]]
  return resize_centers(x, size)


def width_of(stride: int, widths: tuple[int, ...]) -> int:
  """Returns the channels at a stride, of the next finer one in the list if it is not there.

  Example:
    >>> width_of(8, WIDTHS), width_of(14, WIDTHS), width_of(1, WIDTHS)
    (128, 128, 16)
  """
  strides = [COARSEST >> index for index in range(len(widths))]
  return next((w for s, w in zip(strides, widths, strict=True) if s <= stride), widths[-1])


class UNet(nn.Module):
  """The decoder of a U-Net (arXiv 1505.04597) as in segmentation-models-pytorch.

  Attributes:
    num_classes: C.
    widths: channels at strides 16, 8, 4, 2 and 1; without the last, or the last two, the logits
      have a stride of 2 or 4.
    output_stride: has no effect.
    bn: 'batch' or 'running', see `batch_norm.batch_norm`.
    dtype: of the computation; parameters are float32.
  """

  num_classes: int
  widths: tuple[int, ...] = WIDTHS
  output_stride: int = 32
  bn: str = 'batch'
  dtype: Any = jnp.float32

  pyramid: ClassVar[bool] = True

  @nn.compact
  def __call__(self, features: Features, train: bool) -> Array:
    """Maps levels, finest first, to `[B, h, w, C]`, h and w at the stride of the last width.

    At an odd size the logits of stride 1 have one row or column more than the image.
    """
    finest = COARSEST >> (len(self.widths) - 1)
    skips = [
      (level, stride)
      for level, stride in zip(features.levels[:-1], features.strides[:-1], strict=True)
      if stride >= finest
    ]
    x, stride, block = features.levels[-1], features.strides[-1], 0
    while skips or stride > finest:
      block += 1
      if skips:
        skip, stride = skips.pop()
        x = jnp.concatenate([enlarge_to(x, get_size(skip)), skip], axis=-1)
      else:
        x, stride = double(x), stride // 2
      for index in (1, 2):
        x = nn.relu(
          conv_bn(
            x, width_of(stride, self.widths), 3, f'{block}_{index}', train=train, bn=self.bn,
            dtype=self.dtype,
          )
        )  # fmt: skip
    return nn.Conv(
      self.num_classes,
      (3, 3),
      padding=[(1, 1)] * 2,
      dtype=self.dtype,
      kernel_init=nn.initializers.normal(0.01),
      conv_general_dilated=same_size,
      name='classifier',
    )(x)
