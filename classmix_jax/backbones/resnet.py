"""Dilated ResNets of output stride 8, as the DeepLab-v2 code bases build them.

    stem    7x7 stride 2, BN, ReLU, 3x3 max-pool stride 2 (ceil mode)    stride 4
    layer1  64 wide, stride 1                                             stride 4
    layer2  128 wide, stride 2 on the *first* convolution of its block    stride 8
    layer3  256 wide, dilation 2 in every block                           stride 8
    layer4  512 wide, dilation 4 in every block                           stride 8

The caffe (v1) layout: torchvision's has the stride on the 3x3 convolution.
"""

import functools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from classmix_jax.backbones.layers import conv_bn, rematerialized
from classmix_jax.backbones.preprocessing import PREPROCESSING, Preprocessing, preprocess
from classmix_jax.types import Array, Features


class Bottleneck(nn.Module):
  """1x1 reduce, 3x3, 1x1 expand by 4, plus the shortcut."""

  width: int
  stride: int
  dilation: int
  project: bool
  bn: str
  dtype: Any

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    layer = functools.partial(conv_bn, train=train, bn=self.bn, dtype=self.dtype)

    y = nn.relu(layer(x, self.width, 1, '1', stride=self.stride))
    y = nn.relu(layer(y, self.width, 3, '2', dilation=self.dilation))
    y = layer(y, 4 * self.width, 1, '3')
    if self.project:
      x = layer(x, 4 * self.width, 1, '_shortcut', stride=self.stride)
    return nn.relu(x + y)


class BasicBlock(nn.Module):
  """Two 3x3 convolutions plus the shortcut (ResNet-18 and -34)."""

  width: int
  stride: int
  dilation: int
  project: bool
  bn: str
  dtype: Any

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    layer = functools.partial(conv_bn, train=train, bn=self.bn, dtype=self.dtype)

    y = nn.relu(layer(x, self.width, 3, '1', stride=self.stride, dilation=self.dilation))
    y = layer(y, self.width, 3, '2', dilation=self.dilation)
    if self.project:
      x = layer(x, self.width, 1, '_shortcut', stride=self.stride)
    return nn.relu(x + y)


class ResNet(nn.Module):
  """A dilated ResNet.

  Attributes:
    blocks: number of blocks of layers 1 to 4, e.g. (3, 4, 23, 3).
    block: `Bottleneck` or `BasicBlock`.
    bn: 'batch' or 'running', see `layers.batch_norm`.
    dtype: of the computation; parameters are float32.
    preprocessing: of the image, see `preprocessing.py`.
    remat: whether blocks are computed again in the backward pass.
  """

  blocks: tuple[int, int, int, int]
  block: type[nn.Module]
  bn: str = 'batch'
  dtype: Any = jnp.float32
  preprocessing: Preprocessing = PREPROCESSING['imagenet']
  remat: bool = False

  @nn.compact
  def __call__(self, image: Array, train: bool) -> Features:
    """Maps `[B, H, W, 3]` in 0..1 to the results of layer1 and of layer4.

    Those have 256 and 2048 channels, or 64 and 512 with basic blocks.
    """
    x = preprocess(image, self.preprocessing)
    x = nn.relu(conv_bn(x, 64, 7, '1', stride=2, train=train, bn=self.bn, dtype=self.dtype))
    # One more row and column of padding at the end is torch's ceil mode.
    x = nn.max_pool(x, (3, 3), strides=(2, 2), padding=[(1, 2), (1, 2)])
    layers = zip(self.blocks, (64, 128, 256, 512), (1, 2, 1, 1), (1, 1, 2, 4), strict=True)
    for layer, (count, width, stride, dilation) in enumerate(layers, start=1):
      for index in range(count):
        x = rematerialized(self.block, self.remat)(
            width=width, stride=stride if index == 0 else 1, dilation=dilation,
            project=index == 0, bn=self.bn, dtype=self.dtype, name=f'layer{layer}_{index}',
        )(x, train)
      if layer == 1:
        low = x
    return Features(low, x)
