"""EfficientNet-Lite0 as a dilated backbone (Tan and Le, arXiv 1905.11946; Lite by Google, 2020).

    stem    3x3 stride 2, 32 channels                                     stride 2
    block   1x1 expand, depthwise k x k, 1x1 project, BN after each; ReLU6 after the first two;
            the input is added where neither stride nor channels change

Lite is EfficientNet-B0 without squeeze-excite and with ReLU6 for swish. The classifier's 1x1
convolution to 1280 channels is left out. Drop-connect, used to train on ImageNet, is off.
"""

import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from classmix_jax.models.backbones.preprocessing import PREPROCESSING, Preprocessing, preprocess
from classmix_jax.models.layers.batch_norm import BatchNorm, batch_norm
from classmix_jax.models.layers.conv_bn import (
  KERNEL_INIT,
  check_output_stride,
  conv,
  rematerialize,
)
from classmix_jax.models.layers.depthwise import Depthwise
from classmix_jax.types import Array, Features

STEM = 32
LOW = 2  # the last block at stride 4
OUTPUT_STRIDES = (8, 16, 32)  # 32 is the classifier's


class Stage(NamedTuple):
  """A row of table 1 of the EfficientNet paper.

  Attributes:
    blocks: how many; only the first has the stride.
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


STAGES = (
  Stage(1, 3, 1, 1, 16),
  Stage(2, 3, 2, 6, 24),
  Stage(2, 5, 2, 6, 40),
  Stage(3, 3, 2, 6, 80),
  Stage(3, 5, 1, 6, 112),
  Stage(4, 5, 2, 6, 192),
  Stage(1, 3, 1, 6, 320),
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
      y = nn.relu6(norm(name='bn_expand')(y))
    y = Depthwise(self.size, self.stride, self.dilation, self.dtype, name='conv_depthwise')(y)
    y = nn.relu6(norm(name='bn_depthwise')(y))
    y = norm(name='bn_project')(pointwise(self.features, name='conv_project')(y))
    return x + y if self.residual else y


def _norm(**options: Any) -> BatchNorm:
  return batch_norm(epsilon=1e-3, **options)


class EfficientNetLite(nn.Module):
  """EfficientNet-Lite0.

  Attributes:
    output_stride: of the last result: 8, 16 or 32. Strides beyond it become dilation in the
      blocks that follow, which sees the same pixels at a finer grid.
    bn: 'batch' or 'running', see `batch_norm.batch_norm`.
    bn_momentum: of the running statistics, 0.99 where it was trained on ImageNet.
    dtype: of the computation; parameters are float32.
    preprocessing: of the image, see `preprocessing.py`.
    remat: whether convolutions are computed again in the backward pass.
  """

  output_stride: int = 16
  bn: str = 'batch'
  bn_momentum: float = 0.99
  dtype: Any = jnp.float32
  preprocessing: Preprocessing = PREPROCESSING['symmetric']
  remat: bool = False

  @nn.compact
  def __call__(self, image: Array, train: bool) -> Features:
    """Maps `[B, H, W, 3]` in 0..1 to 24 channels at stride 4 and 320 at the output stride.

    Both have `ceil(H / stride)` rows and `ceil(W / stride)` columns.
    """
    x = preprocess(image, self.preprocessing)
    # SAME as in TensorFlow: where the stride leaves a choice, the end is padded more.
    x = nn.Conv(
      STEM,
      (3, 3),
      strides=2,
      padding='SAME',
      use_bias=False,
      kernel_init=KERNEL_INIT,
      dtype=self.dtype,
      name='conv_stem',
    )(x)
    x = nn.relu6(
      _norm(train=train, bn=self.bn, momentum=self.bn_momentum, dtype=self.dtype, name='bn_stem')(x)
    )
    for index, options in enumerate(list_block_options(self.output_stride)):
      x = rematerialize(Block, self.remat)(
        **options, bn=self.bn, bn_momentum=self.bn_momentum, dtype=self.dtype, name=f'block{index}'
      )(x, train)
      if index == LOW:
        low = x
    return Features(low, x)


def list_block_options(output_stride: int) -> list[dict[str, Any]]:
  """Returns size, stride, dilation, expand, features and residual of the 16 blocks.

  The block whose stride is dropped keeps its own dilation, the blocks after it dilate by 2 more:
  every second row and column is then what the strided network computes (atrous algorithm).

  Raises:
    UserError: there is no such output stride.
  """
  check_output_stride(output_stride, OUTPUT_STRIDES, 'efficientnet_lite0')
  result, stride, dilation = [], 2, 1
  for stage in STAGES:
    for index in range(stage.blocks):
      wanted = stage.stride if index == 0 else 1
      kept = wanted if stride * wanted <= output_stride else 1
      result.append(
        dict(
          size=stage.size,
          stride=kept,
          dilation=dilation,
          expand=stage.expand,
          features=stage.features,
          residual=index > 0,
        )
      )
      stride, dilation = stride * kept, dilation * wanted // kept
  return result
