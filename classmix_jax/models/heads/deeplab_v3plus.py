"""The head of DeepLab-v3+: multi-scale context, refined by features of an early layer.

    high -> 1x1, three dilated 3x3, image pooling -> 1x1 ----- upsampled -+
                                                                          +-> 3x3, 3x3, classifier
    low  -> 1x1, 48 channels ---------------------------------------------+

Every convolution except the classifier is followed by BN and ReLU, and has 256 channels unless the
figure says otherwise.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from classmix_jax.core.resize import get_size, resize_bilinear
from classmix_jax.models.layers.conv_bn import conv_bn
from classmix_jax.types import Array, Features


class DeepLabV3Plus(nn.Module):
  """ASPP with image pooling and a decoder with one skip (arXiv 1802.02611, section 3).

  Uses full convolutions, not the paper's separable variant, and no dropout.

  Attributes:
    num_classes: C.
    rates: dilations of the 3x3 convolutions at output stride 16; doubled at 8, so that
      they cover the same part of the image.
    width: channels of ASPP and decoder.
    low_width: channels of the skip.
    output_stride: of the last level.
    bn: 'batch' or 'running', see `batch_norm.batch_norm`. With 'running', a new head
      keeps its initial statistics, mean 0 and variance 1.
    dtype: of the computation; parameters are float32.
  """

  num_classes: int
  rates: tuple[int, ...] = (6, 12, 18)
  width: int = 256
  low_width: int = 48
  output_stride: int = 16
  bn: str = 'batch'
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, features: Features, train: bool) -> Array:
    """Maps features to `[B, h, w, C]`, h and w those of the first level (stride 4)."""

    def layer(x, features, size, name, dilation=1):
      return conv_bn(
        x,
        features,
        size,
        f'_{name}',
        dilation=dilation,
        train=train,
        bn=self.bn,
        dtype=self.dtype,
        activation='relu',
      )

    low, high = features.levels[0], features.levels[-1]
    # Each image has its own mean; images interact through BN statistics only.
    pooled = layer(jnp.mean(high, axis=(1, 2), keepdims=True), self.width, 1, 'pool')
    branches = [layer(high, self.width, 1, 'point')]
    for rate in self.rates:
      dilation = max(1, rate * 16 // self.output_stride)
      branches.append(layer(high, self.width, 3, f'rate{rate}', dilation))
    branches.append(jnp.broadcast_to(pooled, branches[0].shape))
    x = layer(jnp.concatenate(branches, axis=-1), self.width, 1, 'project')

    x = resize_bilinear(x, get_size(low))
    x = jnp.concatenate([layer(low, self.low_width, 1, 'low'), x], axis=-1)
    x = layer(x, self.width, 3, 'decoder1')
    x = layer(x, self.width, 3, 'decoder2')
    return nn.Conv(
      self.num_classes,
      (1, 1),
      dtype=self.dtype,
      name='classifier',
      kernel_init=nn.initializers.normal(0.01),
    )(x)
