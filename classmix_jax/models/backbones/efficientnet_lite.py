"""EfficientNet-Lite0 as a dilated backbone (arXiv 1905.11946; Lite variant by Google, 2020).

    stem    3x3 stride 2, 32 channels                                     stride 2
    block   1x1 expand, depthwise k x k, 1x1 project, BN after each; ReLU6 after the first two;
            the input is added where neither stride nor channels change

Lite is EfficientNet-B0 without squeeze-excite and with ReLU6 for swish. The classifier's 1x1
convolution to 1280 channels is absent, and so is drop-connect, which is used to train on ImageNet.
With a stem of stride 1 all strides are halved; the parameters are the same.
"""

import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from classmix_jax.models.backbones.preprocessing import PREPROCESSING, Preprocessing, preprocess
from classmix_jax.models.backbones.strides import choose_strides
from classmix_jax.models.layers.batch_norm import BatchNorm, batch_norm
from classmix_jax.models.layers.conv_bn import (
  KERNEL_INIT,
  check_output_stride,
  conv,
  rematerialize,
)
from classmix_jax.models.layers.depthwise import Depthwise
from classmix_jax.types import Array, Features

STEM_CHANNELS = 32
STEM_STRIDES = (1, 2)
PYRAMID_BLOCKS = (2, 4, 10, 15)  # last blocks at strides 4, 8, 16 and 32
OUTPUT_STRIDES = (8, 16, 32)  # 32 is that of the image classifier


class BlockGroup(NamedTuple):
  """A row of table 1 of the EfficientNet paper: consecutive blocks of equal size.

  Attributes:
    blocks: number of blocks; only the first has the stride.
    size: side of the depthwise kernel.
    stride: of the first block.
    expand: factor of the channels inside a block.
    features: channels of the result.
  """

  blocks: int
  size: int
  stride: int
  expand: int
  features: int


BLOCK_GROUPS = (
  BlockGroup(1, 3, 1, 1, 16),
  BlockGroup(2, 3, 2, 6, 24),
  BlockGroup(2, 5, 2, 6, 40),
  BlockGroup(3, 3, 2, 6, 80),
  BlockGroup(3, 5, 1, 6, 112),
  BlockGroup(4, 5, 2, 6, 192),
  BlockGroup(1, 3, 1, 6, 320),
)


class Block(nn.Module):
  """Inverted residual (MBConv): expand, depthwise, project."""

  size: int
  stride: int
  dilation: int
  expand: int
  features: int
  residual: bool
  bn: str
  bn_momentum: float
  dtype: Any

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    norm = functools.partial(
      _norm, train=train, bn=self.bn, momentum=self.bn_momentum, dtype=self.dtype
    )
    pointwise = functools.partial(conv, size=1, kernel_init=KERNEL_INIT, dtype=self.dtype)

    y = x
    if self.expand > 1:
      y = pointwise(self.expand * x.shape[-1], name='conv_expand')(y)
      y = norm(name='bn_expand', activation='relu6')(y)
    y = Depthwise(self.size, self.stride, self.dilation, self.dtype, name='conv_depthwise')(y)
    y = norm(name='bn_depthwise', activation='relu6')(y)
    y = pointwise(self.features, name='conv_project')(y)
    if not self.residual:
      return norm(name='bn_project')(y)
    y, _ = norm(name='bn_project')(y, x)
    return y


def _norm(**options: Any) -> BatchNorm:
  """Builds BN with the epsilon of the original."""
  return batch_norm(epsilon=1e-3, **options)


class EfficientNetLite(nn.Module):
  """EfficientNet-Lite0.

  Attributes:
    stem_stride: 1 or 2; 0 is 2.
    output_stride: of the last features: 8, 16 or 32 with a stem of stride 2. Further strides are
      replaced by dilation in the following blocks, which compute the same values on a finer grid. 0
      is 16, of a pyramid 32.
    bn: 'batch' or 'running', see `batch_norm.batch_norm`.
    bn_momentum: of the running statistics. The training on ImageNet had 0.99, which is too slow
      for the few hundred steps after which small data sets are evaluated.
    dtype: of the computation; parameters are float32.
    preprocessing: of the image, see `preprocessing.py`.
    remat: whether the backward pass recomputes convolutions.
    pyramid: whether the features have a level at every stride.

  Raises:
    UserError: a stride is not supported.
  """

  stem_stride: int = 0
  output_stride: int = 0
  bn: str = 'batch'
  bn_momentum: float = 0.9
  dtype: Any = jnp.float32
  preprocessing: Preprocessing = PREPROCESSING['symmetric']
  remat: bool = False
  pyramid: bool = False

  def __post_init__(self):
    own = 32 if self.pyramid else 16
    self.stem_stride, self.output_stride = choose_strides(
      self.stem_stride, STEM_STRIDES, self.output_stride, OUTPUT_STRIDES, own, 'efficientnet_lite0'
    )
    super().__post_init__()

  @nn.compact
  def __call__(self, image: Array, train: bool) -> Features:
    """Maps `[B, H, W, 3]` in 0..1 to 24 channels at stride 4 and 320 at the output stride.

    Both have `ceil(H / stride)` rows and `ceil(W / stride)` columns. A pyramid has 32, 24, 40, 112
    and 320 channels at strides 2, 4, 8, 16 and 32, or at half of these strides.
    """
    x = preprocess(image, self.preprocessing)
    # Padding SAME as in TensorFlow: if it is odd, the end has one more.
    x = nn.Conv(
      STEM_CHANNELS,
      (3, 3),
      strides=self.stem_stride,
      padding='SAME',
      use_bias=False,
      kernel_init=KERNEL_INIT,
      dtype=self.dtype,
      name='conv_stem',
    )(x)
    x = _norm(
      train=train,
      bn=self.bn,
      momentum=self.bn_momentum,
      dtype=self.dtype,
      name='bn_stem',
      activation='relu6',
    )(x)
    levels, strides = [x], [self.stem_stride]
    table = self.output_stride * STEM_STRIDES[-1] // self.stem_stride
    for index, options in enumerate(list_block_options(table)):
      x = rematerialize(Block, self.remat)(
        **options, bn=self.bn, bn_momentum=self.bn_momentum, dtype=self.dtype, name=f'block{index}'
      )(x, train)
      if index in PYRAMID_BLOCKS:
        levels.append(x)
        strides.append(min(2 * strides[-1], self.output_stride))
    if self.pyramid:
      return Features(tuple(levels), tuple(strides))
    return Features((levels[1], x), (2 * self.stem_stride, self.output_stride))


def list_block_options(output_stride: int) -> list[dict[str, Any]]:
  """Returns size, stride, dilation, expand, features and residual of the 16 blocks.

  The output stride is that with a stem of stride 2.

  A block whose stride is removed keeps its dilation, and the dilation of all following blocks
  doubles. Every second row and column then equals the result of the strided network (atrous
  algorithm).

  Raises:
    UserError: the output stride is not supported.
  """
  check_output_stride(output_stride, OUTPUT_STRIDES, 'efficientnet_lite0')
  result, stride, dilation = [], 2, 1  # 2 is the stride of the stem
  for group in BLOCK_GROUPS:
    for index in range(group.blocks):
      original_stride = group.stride if index == 0 else 1
      block_stride = original_stride if stride * original_stride <= output_stride else 1
      result.append(
        dict(
          size=group.size,
          stride=block_stride,
          dilation=dilation,
          expand=group.expand,
          features=group.features,
          residual=index > 0,
        )
      )
      stride *= block_stride
      dilation *= original_stride // block_stride
  return result
