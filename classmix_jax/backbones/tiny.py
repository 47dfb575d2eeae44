"""A small residual network with a top-down path, for tests, laptops and small images.

    stem     3x3 stride 2, 3x3 stride 2            stride 4, `width` channels
    fine     one residual block                     stride 4, `width`
    coarse   four residual blocks, dilation 1 2 4 1 stride 8, 2 `width`
    merged   fine + upsampled coarse, 3x3           stride 4, 2 `width`

Thin things (poles, signs) need stride 4; context needs stride 8 and dilation.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from classmix_jax.backbones.layers import batch_norm, conv
from classmix_jax.core.resize import resize_bilinear
from classmix_jax.types import Array

KERNEL_INIT = nn.initializers.variance_scaling(2.0, 'fan_out', 'normal')


class Tiny(nn.Module):
  """See the module's picture.

  Attributes:
    width: channels at stride 4.
    bn: 'batch' or 'running', see `layers.batch_norm`.
    dtype: of the computation; parameters are float32.
  """

  width: int = 32
  bn: str = 'batch'
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, image: Array, train: bool) -> Array:
    """Maps `[B, H, W, 3]` in 0..1 to `[B, ceil(H / 4), ceil(W / 4), 2 width]`."""

    def conv_bn(x, features, size, name, **options):
      x = conv(features, size, name=f'conv_{name}', kernel_init=KERNEL_INIT, dtype=self.dtype,
               **options)(x)
      return batch_norm(train=train, bn=self.bn, dtype=self.dtype, name=f'bn_{name}')(x)

    def residual(x, features, name, dilation=1):
      y = nn.relu(conv_bn(x, features, 3, f'{name}_1', dilation=dilation))
      return nn.relu(x + conv_bn(y, features, 3, f'{name}_2', dilation=dilation))

    x = (image - 0.45) / 0.25
    x = nn.relu(conv_bn(x, self.width // 2, 3, 'stem_1', stride=2))
    x = nn.relu(conv_bn(x, self.width, 3, 'stem_2', stride=2))
    fine = residual(x, self.width, 'fine')
    coarse = nn.relu(conv_bn(fine, 2 * self.width, 3, 'down', stride=2))
    for index, dilation in enumerate((1, 2, 4, 1)):
      coarse = residual(coarse, 2 * self.width, f'coarse{index}', dilation)
    lateral = conv_bn(fine, 2 * self.width, 1, 'lateral')
    merged = nn.relu(lateral + resize_bilinear(coarse, lateral.shape[1:3]))
    return nn.relu(conv_bn(merged, 2 * self.width, 3, 'merge'))
