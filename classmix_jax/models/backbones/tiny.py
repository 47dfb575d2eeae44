"""A small residual network with a top-down path, for tests, laptops and small images.

    stem     3x3 stride 2, 3x3 stride 2      stride 4,  24 channels
    fine     1 residual block                stride 4,  24
    middle   3x3 stride 2, 2 blocks          stride 8,  48
    coarse   3x3 stride 2, 2 blocks          stride 16, 96
    merged   middle + upsampled coarse       stride 8,  32
    merged   fine + upsampled middle, 3x3    stride 4,  32

Thin objects (poles, signs) need stride 4. Context is cheapest at stride 16, without dilation.

With a stem of stride 2, its second convolution has stride 1, and with one of stride 1 both have:
all strides are then a half or a quarter of these.
"""

import functools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from classmix_jax.core.resize import get_size, resize_bilinear
from classmix_jax.models.backbones.preprocessing import PREPROCESSING, Preprocessing, preprocess
from classmix_jax.models.backbones.strides import choose_strides
from classmix_jax.models.layers.conv_bn import conv_bn, rematerialize
from classmix_jax.types import Array, Features

FEATURES = 32  # channels of the top-down path
STEM_STRIDES = (1, 2, 4)


class Tiny(nn.Module):
  """Tiny backbone; the module docstring has its structure.

  Attributes:
    bn: 'batch' or 'running', see `batch_norm.batch_norm`.
    dtype: of the computation; parameters are float32.
    preprocessing: of the image, see `preprocessing.py`.
    stem_stride: 1, 2 or 4; 0 is 4.
    output_stride: must be that of the stem, or four times that of a pyramid; 0 is this.
    remat: whether the backward pass recomputes the convolutions of residual blocks.
    pyramid: whether the features have a level at every stride, without the top-down path.

  Raises:
    UserError: a stride is not supported.
  """

  bn: str = 'batch'
  dtype: Any = jnp.float32
  preprocessing: Preprocessing = PREPROCESSING['plain']
  stem_stride: int = 0
  output_stride: int = 0
  remat: bool = False
  pyramid: bool = False

  def __post_init__(self):
    own = 16 if self.pyramid else 4
    self.stem_stride, self.output_stride = choose_strides(
      self.stem_stride, STEM_STRIDES, self.output_stride, (own,), own, 'tiny'
    )
    super().__post_init__()

  @nn.compact
  def __call__(self, image: Array, train: bool) -> Features:
    """Maps `[B, H, W, 3]` in 0..1 to 24 and 32 channels at `ceil(H / 4)`, `ceil(W / 4)`.

    A pyramid has 24, 48 and 96 channels, and before them 16 of a stem of stride 4.
    """

    layer = functools.partial(conv_bn, train=train, bn=self.bn, dtype=self.dtype)
    rectified = functools.partial(layer, activation='relu')

    def residual(x, name):
      def block(module, x):
        del module  # flax creates the layers in the module that is being called
        y = rectified(x, x.shape[-1], 3, f'_{name}_1')
        y, _ = rectified(y, x.shape[-1], 3, f'_{name}_2', residual=x)
        return y

      return rematerialize(block, self.remat)(self, x)

    def stage(x, features, name):
      x = rectified(x, features, 3, f'_{name}_down', stride=2)
      return residual(residual(x, f'{name}1'), f'{name}2')

    def merge(fine, coarse, name):
      upsampled = resize_bilinear(coarse, get_size(fine))
      merged, _ = rectified(fine, FEATURES, 1, f'_lateral_{name}', residual=upsampled)
      return merged

    x = preprocess(image, self.preprocessing)
    first_stride = min(self.stem_stride, 2)
    stem = rectified(x, 16, 3, '_stem_1', stride=first_stride)
    x = rectified(stem, 24, 3, '_stem_2', stride=self.stem_stride // first_stride)
    fine = residual(x, 'fine')
    middle = stage(fine, 48, 'middle')
    coarse = stage(middle, 96, 'coarse')
    if self.pyramid:
      strides = tuple(self.stem_stride * factor for factor in (1, 2, 4))
      if self.stem_stride == STEM_STRIDES[-1]:
        return Features((stem, fine, middle, coarse), (2, *strides))
      return Features((fine, middle, coarse), strides)
    coarse = layer(coarse, FEATURES, 1, '_lateral_coarse')
    merged = merge(fine, merge(middle, coarse, 'middle'), 'fine')
    coarse = rectified(merged, FEATURES, 3, '_merge')
    return Features((fine, coarse), (self.stem_stride,) * 2)
