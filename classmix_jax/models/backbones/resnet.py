"""Dilated ResNets, in the variants of caffe (DeepLab-v2) and torchvision.

stem    7x7 stride 2, BN, ReLU, 3x3 max-pool stride 2    stride 4
layer1  64 wide                                          stride 4
layer2  128 wide, stride 2                               stride 8
layer3  256 wide, stride 2 or dilated                    stride 8 or 16
layer4  512 wide, stride 2 or dilated                    stride 8, 16 or 32

With a stem of stride 2 there is no pooling, and with one of stride 1, as in ResNets for CIFAR, its
convolution has no stride either: all strides are then a half or a quarter of these. The parameters
are the same, so pretrained weights fit.
"""

import functools
from typing import Any, NamedTuple, TypeAlias

import flax.linen as nn
import jax.numpy as jnp

from classmix_jax.models.backbones.preprocessing import PREPROCESSING, Preprocessing, preprocess
from classmix_jax.models.backbones.strides import choose_strides
from classmix_jax.models.layers.conv_bn import conv_bn, rematerialize
from classmix_jax.models.layers.max_pool import max_pool
from classmix_jax.types import Array, Features


class Variant(NamedTuple):
  """Placement of strides and dilations, which differs between code bases.

  Attributes:
    stride_on_3x3: whether a bottleneck has its stride on the 3x3 convolution, instead of on
      the first 1x1.
    ceil_pool: whether the max-pool of the stem rounds sizes up, as torch's ceil mode does.
    delayed_dilation: whether the first block of a dilated layer has the dilation of the
      previous layer; otherwise all blocks have the layer's own.
  """

  stride_on_3x3: bool
  ceil_pool: bool
  delayed_dilation: bool


CAFFE = Variant(stride_on_3x3=False, ceil_pool=True, delayed_dilation=False)
TORCHVISION = Variant(stride_on_3x3=True, ceil_pool=False, delayed_dilation=True)

# Of layers 1 to 4, by output stride. A removed stride is replaced by dilation.
STRIDES = {8: (1, 2, 1, 1), 16: (1, 2, 2, 1), 32: (1, 2, 2, 2)}
STEM_STRIDES = (1, 2, 4)
DILATIONS = {8: (1, 1, 2, 4), 16: (1, 1, 1, 2), 32: (1, 1, 1, 1)}
WIDTHS = (64, 128, 256, 512)


# The output of a block, once for the next convolution and once for the next shortcut, so that their
# gradients are added in `normalize`.
Twice: TypeAlias = tuple[Array, Array]


class Bottleneck(nn.Module):
  """Bottleneck block: 1x1 reduce, 3x3, 1x1 expand by 4, plus the shortcut."""

  width: int
  stride: int
  dilation: int
  variant: Variant
  bn: str
  dtype: Any

  @nn.compact
  def __call__(self, inputs: Twice, train: bool) -> Twice:
    x, shortcut = inputs
    layer = functools.partial(conv_bn, train=train, bn=self.bn, dtype=self.dtype)
    first, second = (1, self.stride) if self.variant.stride_on_3x3 else (self.stride, 1)

    rectified = functools.partial(layer, activation='relu')
    y = rectified(x, self.width, 1, '1', stride=first)
    y = rectified(y, self.width, 3, '2', stride=second, dilation=self.dilation)
    if shortcut.shape != (*y.shape[:3], 4 * self.width):
      shortcut = layer(shortcut, 4 * self.width, 1, '_shortcut', stride=self.stride)
    return rectified(y, 4 * self.width, 1, '3', residual=shortcut)


class BasicBlock(nn.Module):
  """Basic block of ResNet-18 and -34: two 3x3 convolutions plus the shortcut.

  It is the same in all variants.
  """

  width: int
  stride: int
  dilation: int
  variant: Variant
  bn: str
  dtype: Any

  @nn.compact
  def __call__(self, inputs: Twice, train: bool) -> Twice:
    x, shortcut = inputs
    layer = functools.partial(conv_bn, train=train, bn=self.bn, dtype=self.dtype)

    rectified = functools.partial(layer, dilation=self.dilation, activation='relu')
    y = rectified(x, self.width, 3, '1', stride=self.stride)
    if shortcut.shape != y.shape:
      shortcut = layer(shortcut, self.width, 1, '_shortcut', stride=self.stride)
    return rectified(y, self.width, 3, '2', residual=shortcut)


class ResNet(nn.Module):
  """A dilated ResNet.

  Attributes:
    blocks: number of blocks of layers 1 to 4, e.g. (3, 4, 23, 3).
    block: `Bottleneck` or `BasicBlock`.
    variant: `CAFFE` or `TORCHVISION`.
    deep_stem: replaces the 7x7 convolution by three 3x3 of 64, 64 and 128 channels.
    stem_stride: 1, 2 or 4; 0 is 4.
    output_stride: 8, 16 or 32 with a stem of stride 4; layers beyond it are dilated instead. 0 is
      the first of them, of a pyramid the last.
    bn: 'batch' or 'running', see `batch_norm.batch_norm`.
    dtype: of the computation; parameters are float32.
    preprocessing: of the image, see `preprocessing.py`.
    remat: whether the backward pass recomputes convolutions.
    pyramid: whether the features have a level at every stride.

  Raises:
    UserError: a stride is not supported.
  """

  blocks: tuple[int, int, int, int]
  block: type[nn.Module]
  variant: Variant = CAFFE
  deep_stem: bool = False
  stem_stride: int = 0
  output_stride: int = 0
  bn: str = 'batch'
  dtype: Any = jnp.float32
  preprocessing: Preprocessing = PREPROCESSING['imagenet']
  remat: bool = False
  pyramid: bool = False

  def __post_init__(self):
    own = 32 if self.pyramid else 8
    self.stem_stride, self.output_stride = choose_strides(
      self.stem_stride, STEM_STRIDES, self.output_stride, STRIDES, own, 'a ResNet'
    )
    super().__post_init__()

  @nn.compact
  def __call__(self, image: Array, train: bool) -> Features:
    """Maps `[B, H, W, 3]` in 0..1 to the features of layer1 and layer4.

    They have 256 and 2048 channels, or 64 and 512 with basic blocks. A pyramid has all layers, 64,
    128, 256 and 512 channels or four times that with bottlenecks, and before them the stem, 64 or
    128, if a pooling lies in between.
    """
    x = self.apply_stem(preprocess(image, self.preprocessing), train)
    levels, strides = [], []
    if self.stem_stride == STEM_STRIDES[-1]:
      levels, strides = [x], [2]
      x = self.pool(x)
    table = self.output_stride * STEM_STRIDES[-1] // self.stem_stride
    dilations, total_stride = DILATIONS[table], self.stem_stride
    previous_dilation = 1
    inputs = x, x
    layers = zip(self.blocks, WIDTHS, STRIDES[table], dilations, strict=True)
    for layer, (count, width, stride, dilation) in enumerate(layers, start=1):
      first = previous_dilation if self.variant.delayed_dilation else dilation
      for index in range(count):
        inputs = rematerialize(self.block, self.remat)(
          width=width,
          stride=stride if index == 0 else 1,
          dilation=first if index == 0 else dilation,
          variant=self.variant,
          bn=self.bn,
          dtype=self.dtype,
          name=f'layer{layer}_{index}',
        )(inputs, train)
      previous_dilation = dilation
      levels.append(inputs[0])
      total_stride *= stride
      strides.append(total_stride)
    if self.pyramid:
      return Features(tuple(levels), tuple(strides))
    return Features((levels[-4], levels[-1]), (self.stem_stride, self.output_stride))

  def apply_stem(self, x: Array, train: bool) -> Array:
    """Applies one or three convolutions, to stride 2 or 1."""
    layer = functools.partial(conv_bn, train=train, bn=self.bn, dtype=self.dtype, activation='relu')
    stride = min(self.stem_stride, 2)
    if not self.deep_stem:
      return layer(x, 64, 7, '1', stride=stride)
    x = layer(x, 64, 3, '1_1', stride=stride)
    x = layer(x, 64, 3, '1_2')
    return layer(x, 128, 3, '1_3')

  def pool(self, x: Array) -> Array:
    """Pools the result of the stem to stride 4."""
    # One more row and column of padding at the end reproduces torch's ceil mode.
    end = 2 if self.variant.ceil_pool else 1
    return max_pool(x, [(1, end), (1, end)])
