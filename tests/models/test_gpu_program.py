"""Programs lowered for a GPU on the CPU: their convolutions, without running them."""

import re

import jax
import jax.numpy as jnp
import pytest

from classmix_jax.models.backbones import BACKBONES
from classmix_jax.models.layers import conv_bn, depthwise

CONVOLUTION = re.compile(
  r'stablehlo\.convolution.*dim_numbers = \[.*?\]x\[(.*?)\]->.*stride = \[(\d+), (\d+)\]'
  r'.*: \(tensor<\S+>, tensor<(\S+)>\)'
)
MAP = 5  # side of the smallest feature map below


def windows(backbone, image, variables):
  """Returns (side of the window, stride) of every convolution of a gradient, lowered for CUDA."""

  def loss(params, rest):
    return backbone.apply({'params': params, **rest}, image, train=True).levels[-1].sum()

  params, rest = variables['params'], {'batch_stats': variables['batch_stats']}
  program = jax.jit(jax.grad(loss)).trace(params, rest).lower(lowering_platforms=('cuda',))
  actual = []
  for order, down, across, shape in CONVOLUTION.findall(program.as_text()):
    lengths = dict(zip(order.split(', '), shape.split('x'), strict=False))
    actual.append((int(lengths['0']), max(int(down), int(across))))
  return actual


def maps_in_strides(backbone):
  """Returns strided windows as large as feature maps, which are slow in cuDNN."""
  image = jnp.zeros((2, 129, 129, 3))
  variables = jax.eval_shape(lambda: backbone.init(jax.random.key(0), image, train=False))
  kernels = {leaf.shape[0] for leaf in jax.tree.leaves(variables['params']) if leaf.ndim == 4}
  actual = windows(backbone, image, variables)
  assert len([side for side, _ in actual if side >= MAP]) > 10  # includes kernel gradients
  return [
    (side, stride) for side, stride in actual if side >= MAP and stride > 1 and side not in kernels
  ]


@pytest.mark.parametrize('name', ['resnet50', 'resnet50_deep', 'efficientnet_lite0'])
def test_kernel_gradients_are_taken_without_strides(name):
  """XLA makes cuDNN's own kernel gradient only of convolutions whose window has stride 1.

  (`MatchBackwardFilter` in its rewriter of convolutions.)
  """
  assert maps_in_strides(BACKBONES[name](bn='running')) == []


def test_strided_1x1_convolutions_are_no_sliced_products():
  """XLA aborts on GPUs where it fuses a strided slice into the gradient of such a product."""
  layer = conv_bn.conv(
    8, 1, name='conv', stride=2, kernel_init=jax.nn.initializers.normal(), dtype=jnp.float32
  )
  x = jnp.zeros((1, 9, 9, 4))
  variables = jax.eval_shape(layer.init, jax.random.key(0), x)
  gradient = jax.jit(jax.grad(lambda variables, x: layer.apply(variables, x).sum(), (0, 1)))
  program = gradient.trace(variables, x).lower(lowering_platforms=('cuda',)).as_text()
  assert 'dot_general' not in program and program.count('stablehlo.convolution') >= 2


def test_depthwise_gradients_of_xla_would_be_found(monkeypatch):
  def plain(x, gradient, kernel, stride, dilation):
    def way(kernel):
      return depthwise.grouped_convolution(x, kernel, stride, dilation)

    return jax.vjp(way, kernel)[1](gradient)[0]

  monkeypatch.setattr(depthwise, 'kernel_gradient_by_convolution', plain)
  actual = maps_in_strides(BACKBONES['efficientnet_lite0'](bn='running'))
  assert len(actual) == 4 and {stride for _, stride in actual} == {2}


def test_jaxs_own_gradient_would_be_found(monkeypatch):
  def plain(x, kernel, strides, padding, **options):
    return jax.lax.conv_general_dilated(x, kernel, strides, padding, **options)

  monkeypatch.setattr(conv_bn, 'same_size', plain)
  actual = maps_in_strides(BACKBONES['resnet50'](bn='running'))
  assert {stride for _, stride in actual} == {2, 4}
  assert len(actual) == 6 + 3  # the 3x3 convolutions of layers 3 and 4
