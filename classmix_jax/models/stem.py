"""A small convolutional stem, which adds the details that patches of 14 pixels lack.

Synopsis:

    levels = Stem(name='stem')(image, train)      # [B, H / 2, W / 2, 16], [B, H / 4, W / 4, 32]
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from classmix_jax.models.backbones.preprocessing import PREPROCESSING, preprocess
from classmix_jax.models.layers.conv_bn import conv_bn
from classmix_jax.types import Array

WIDTHS = (16, 32)  # channels at stride 2 and 4


class Stem(nn.Module):
  """Two 3x3 convolutions at stride 2, and two more at stride 4.

  Attributes:
    bn: 'batch' or 'running', see `batch_norm.batch_norm`.
    dtype: of the computation; parameters are float32.
  """

  bn: str = 'batch'
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, image: Array, train: bool) -> tuple[Array, ...]:
    """Maps `[B, H, W, 3]` in 0..1 to levels of stride 2 and 4."""
    x, levels = preprocess(image, PREPROCESSING['imagenet']), []
    for level, width in enumerate(WIDTHS, start=1):
      for index, stride in enumerate((2, 1), start=1):
        options = {'stride': stride, 'train': train, 'bn': self.bn, 'dtype': self.dtype}
        x = conv_bn(x, width, 3, f'{level}_{index}', activation='relu', **options)
      levels.append(x)
    return tuple(levels)
