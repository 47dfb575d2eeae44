"""Where strides and dilations sit."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from classmix_jax.errors import UserError
from classmix_jax.models.backbones.resnet import (
  CAFFE,
  TORCHVISION,
  BasicBlock,
  Bottleneck,
  ResNet,
)


def convolutions(backbone):
  """(size, stride, dilation) of every convolution, in the order of computation."""
  layers = []

  def note(call, args, kwargs, context):
    layer = context.module
    if isinstance(layer, nn.Conv) and context.method_name == '__call__':
      layers.append((layer.kernel_size[0], layer.strides, layer.kernel_dilation))
    return call(*args, **kwargs)

  image = jax.ShapeDtypeStruct((1, 33, 33, 3), jnp.float32)
  with nn.intercept_methods(note):
    jax.eval_shape(lambda x: backbone.init(jax.random.key(0), x, False), image)
  return layers


def bottleneck(first, second, dilation, shortcut=None):
  between = [(1, shortcut, 1)] if shortcut else []
  return [(1, first, 1), (3, second, dilation), *between, (1, 1, 1)]


def test_the_layout_of_caffe():
  assert convolutions(ResNet((1, 2, 2, 2), Bottleneck, CAFFE)) == [
    (7, 2, 1),
    *bottleneck(1, 1, 1, 1),
    *bottleneck(2, 1, 1, 2),
    *bottleneck(1, 1, 1),
    *bottleneck(1, 1, 2, 1),
    *bottleneck(1, 1, 2),
    *bottleneck(1, 1, 4, 1),
    *bottleneck(1, 1, 4),
  ]


def test_the_layout_of_torchvision():
  """The first block of a dilated layer has the dilation of the layer before."""
  assert convolutions(ResNet((1, 2, 2, 2), Bottleneck, TORCHVISION)) == [
    (7, 2, 1),
    *bottleneck(1, 1, 1, 1),
    *bottleneck(1, 2, 1, 2),
    *bottleneck(1, 1, 1),
    *bottleneck(1, 1, 1, 1),
    *bottleneck(1, 1, 2),
    *bottleneck(1, 1, 2, 1),
    *bottleneck(1, 1, 4),
  ]


def test_output_stride_16_and_a_deep_stem():
  backbone = ResNet((1, 2, 2, 2), Bottleneck, TORCHVISION, deep_stem=True, output_stride=16)
  assert convolutions(backbone) == [
    (3, 2, 1),
    (3, 1, 1),
    (3, 1, 1),
    *bottleneck(1, 1, 1, 1),
    *bottleneck(1, 2, 1, 2),
    *bottleneck(1, 1, 1),
    *bottleneck(1, 2, 1, 2),
    *bottleneck(1, 1, 1),
    *bottleneck(1, 1, 1, 1),
    *bottleneck(1, 1, 2),
  ]


def test_basic_blocks():
  """The first layer needs no shortcut: nothing changes its size or its channels."""
  assert convolutions(ResNet((2, 1, 1, 1), BasicBlock, CAFFE)) == [
    (7, 2, 1),
    (3, 1, 1),
    (3, 1, 1),
    (3, 1, 1),
    (3, 1, 1),
    (3, 2, 1),
    (1, 2, 1),
    (3, 1, 1),
    (3, 1, 2),
    (1, 1, 1),
    (3, 1, 2),
    (3, 1, 4),
    (1, 1, 1),
    (3, 1, 4),
  ]


def test_other_output_strides_are_refused():
  with pytest.raises(
    UserError,
    match='config.model.output_stride is 12, but a ResNet can have '
    "8 or 16 or 32; 0 is the backbone's own",
  ):
    ResNet((1, 1, 1, 1), Bottleneck, output_stride=12)
