"""A small residual network with a top-down path, for tests, laptops and small images.

    stem     3x3 stride 2, 3x3 stride 2      stride 4,  24 channels
    fine     1 residual block                stride 4,  24
    middle   3x3 stride 2, 2 blocks          stride 8,  48
    coarse   3x3 stride 2, 2 blocks          stride 16, 96
    merged   middle + upsampled coarse       stride 8,  32
    merged   fine + upsampled middle, 3x3    stride 4,  32

Thin objects (poles, signs) need stride 4. Context is cheapest at stride 16, without dilation.
"""

from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp

from classmix_jax.core.resize import resize_bilinear
from classmix_jax.models.backbones.preprocessing import PREPROCESSING, Preprocessing, preprocess
from classmix_jax.models.layers.conv_bn import check_output_stride, conv_bn, rematerialize
from classmix_jax.types import Array, Features

FEATURES = 32  # channels of the top-down path


class Tiny(nn.Module):
  """Tiny backbone; the module docstring has its structure.

  Attributes:
    bn: 'batch' or 'running', see `batch_norm.batch_norm`.
    dtype: of the computation; parameters are float32.
    preprocessing: of the image, see `preprocessing.py`.
    output_stride: must be 4, or 16 of a pyramid.
    remat: whether the backward pass recomputes the convolutions of residual blocks.
    pyramid: whether the features have a level at every stride, without the top-down path.
  """

  bn: str = 'batch'
  dtype: Any = jnp.float32
  preprocessing: Preprocessing = PREPROCESSING['plain']
  output_stride: int = 4
  remat: bool = False
  pyramid: bool = False

  coarsest_stride: ClassVar[int] = 16

  def __post_init__(self):
    check_output_stride(self.output_stride, (16,) if self.pyramid else (4,), 'tiny')
    super().__post_init__()

  @nn.compact
  def __call__(self, image: Array, train: bool) -> Features:
    """Maps `[B, H, W, 3]` in 0..1 to 24 and 32 channels at `ceil(H / 4)`, `ceil(W / 4)`."""

    def layer(x, features, size, name, stride=1):
      return conv_bn(
        x, features, size, f'_{name}', stride=stride, train=train, bn=self.bn, dtype=self.dtype
      )

    def residual(x, name):
      def block(module, x):
        del module  # flax creates the layers in the module that is being called
        y = nn.relu(layer(x, x.shape[-1], 3, f'{name}_1'))
        return nn.relu(x + layer(y, x.shape[-1], 3, f'{name}_2'))

      return rematerialize(block, self.remat)(self, x)

    def stage(x, features, name):
      x = nn.relu(layer(x, features, 3, f'{name}_down', stride=2))
      return residual(residual(x, f'{name}1'), f'{name}2')

    def merge(fine, coarse, name):
      lateral = layer(fine, FEATURES, 1, name)
      return nn.relu(lateral + resize_bilinear(coarse, lateral.shape[1:3]))

    x = preprocess(image, self.preprocessing)
    stem = nn.relu(layer(x, 16, 3, 'stem_1', stride=2))
    fine = residual(nn.relu(layer(stem, 24, 3, 'stem_2', stride=2)), 'fine')
    middle = stage(fine, 48, 'middle')
    coarse = stage(middle, 96, 'coarse')
    if self.pyramid:
      return Features((stem, fine, middle, coarse), (2, 4, 8, 16))
    coarse = layer(coarse, FEATURES, 1, 'lateral_coarse')
    merged = merge(fine, merge(middle, coarse, 'lateral_middle'), 'lateral_fine')
    coarse = nn.relu(layer(merged, FEATURES, 3, 'merge'))
    return Features((fine, coarse), (4, 4))
