"""The decoder of a U-Net: from the coarsest level up, joined by a skip at every stride.

    coarsest level -> doubled -+
                               +-> 3x3, 3x3 -> doubled -+
    next finer level ----------+                        +-> ... -> 3x3 classifier
                                 next finer level ------+

Every 3x3 but the classifier is followed by BN and ReLU.
"""

from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp

from classmix_jax.core.resize import get_size
from classmix_jax.errors import UserError
from classmix_jax.models.layers.conv_bn import conv_bn
from classmix_jax.models.layers.convolution import same_size
from classmix_jax.models.layers.enlarge import double, enlarge_to
from classmix_jax.types import Array, Features

COARSEST = 16  # stride of the first width
WIDTHS = (256, 128, 64, 32, 16)  # at strides 16, 8, 4, 2, 1, as in segmentation-models-pytorch


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
      have a stride of 2 or 4, and finer levels are not joined.
    output_stride: has no effect.
    bn: 'batch' or 'running', see `batch_norm.batch_norm`. With 'running', a new head keeps its
      initial statistics, mean 0 and variance 1.
    dtype: of the computation; parameters are float32.

  Raises:
    UserError: there are no widths, or more than five.
  """

  num_classes: int
  widths: tuple[int, ...] = WIDTHS
  output_stride: int = 32
  bn: str = 'batch'
  dtype: Any = jnp.float32

  pyramid: ClassVar[bool] = True

  def __post_init__(self):
    if not 1 <= len(self.widths) <= len(WIDTHS):
      raise UserError(
        f'config.model.widths is {tuple(self.widths)}; of a unet they are one to five numbers, the '
        f'channels at strides 16, 8, 4, 2 and 1, such as {WIDTHS}.'
      )
    super().__post_init__()

  @nn.compact
  def __call__(self, features: Features, train: bool) -> Array:
    """Maps levels, finest first, to `[B, h, w, C]`, h and w at the stride of the last width.

    At an odd size the logits of stride 1 have one row or column more than the image.
    """
    finest = COARSEST >> (len(self.widths) - 1)
    *finer, (x, stride) = zip(features.levels, features.strides, strict=True)
    skips = [(level, stride) for level, stride in finer if stride >= finest]
    block = 0
    while skips or stride > finest:
      block += 1
      if skips:
        coarse, (skip, stride) = stride, skips.pop()
        x = enlarge_to(x, get_size(skip), coarse / stride)
        x = jnp.concatenate([x, skip], axis=-1)
      else:
        x, stride = double(x), stride // 2
      for index in (1, 2):
        x = self.convolve(x, width_of(stride, self.widths), f'{block}_{index}', train)
    return nn.Conv(
      self.num_classes,
      (3, 3),
      padding=[(1, 1)] * 2,
      dtype=self.dtype,
      kernel_init=nn.initializers.normal(0.01),
      conv_general_dilated=same_size,
      name='classifier',
    )(x)

  def convolve(self, x: Array, width: int, suffix: str, train: bool) -> Array:
    """Applies a 3x3 convolution, BN and ReLU."""
    return conv_bn(
      x, width, 3, suffix, train=train, bn=self.bn, dtype=self.dtype, activation='relu'
    )
