"""The heads on small features: active branches, and independence of images."""

import math

from equations import equations
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.models.heads.deeplab_v2 import DeepLabV2
from classmix_jax.models.heads.deeplab_v3plus import DeepLabV3Plus
from classmix_jax.models.heads.refine import Refine
from classmix_jax.types import Features


def features(seed=0):
  low, high = (
    np.random.default_rng(seed).normal(size=(2, *shape)).astype(np.float32)
    for shape in ((5, 7, 3), (3, 4, 4))
  )
  return Features((jnp.asarray(low), jnp.asarray(high)), (4, 16))


def test_unused_branches_exist_and_do_nothing():
  head = DeepLabV2(2, dilations=(1, 2), unused=(3,))
  params = head.init(jax.random.key(0), features(), True)['params']
  assert set(params) == {'dilation1', 'dilation2', 'unused3'}
  assert jax.tree.map(jnp.shape, params['unused3']) == {'bias': (2,), 'kernel': (3, 3, 4, 2)}
  logits = head.apply({'params': params}, features(), True)
  acting = {name: params[name] for name in ('dilation1', 'dilation2')}
  without = DeepLabV2(2, dilations=(1, 2))
  np.testing.assert_array_equal(without.apply({'params': acting}, features(), True), logits)
  gradient = jax.grad(lambda params: head.apply({'params': params}, features(), True).sum())(params)
  assert not any(jnp.any(x) for x in jax.tree.leaves(gradient['unused3']))
  assert jnp.any(gradient['dilation2']['kernel'])


def v3plus(**options):
  return DeepLabV3Plus(num_classes=2, width=8, low_width=5, **options)


def test_parameters_of_v3plus():
  """By hand, with high 4, low 3, width 8, skip 5, classes 2; BN has two per channel."""
  variables = v3plus().init(jax.random.key(0), features(), False)
  count = {
    name: sum(math.prod(x.shape) for x in jax.tree.leaves(tree))
    for name, tree in variables['params'].items()
  }
  assert {name: size for name, size in count.items() if not name.startswith('bn')} == {
    'conv_pool': 4 * 8,
    'conv_point': 4 * 8,
    'conv_rate6': 9 * 4 * 8,
    'conv_rate12': 9 * 4 * 8,
    'conv_rate18': 9 * 4 * 8,
    'conv_project': 5 * 8 * 8,
    'conv_low': 3 * 5,
    'conv_decoder1': 9 * (8 + 5) * 8,
    'conv_decoder2': 9 * 8 * 8,
    'classifier': 8 * 2 + 2,
  }
  assert sum(size for name, size in count.items() if name.startswith('bn')) == 2 * (8 * 8 + 5)


@pytest.mark.parametrize('output_stride, dilations', [(16, [6, 12, 18]), (8, [12, 24, 36])])
def test_rates_span_the_same_part_of_the_image(output_stride, dilations):
  head = v3plus(output_stride=output_stride)
  variables = head.init(jax.random.key(0), features(), False)
  jaxpr = jax.make_jaxpr(lambda v: head.apply(v, features(), False))(variables)
  dilations_of_layers = [
    equation.params['rhs_dilation'][0]
    for equation in equations(jaxpr.jaxpr, 'conv_general_dilated')
  ]
  assert [dilation for dilation in dilations_of_layers if dilation > 1] == dilations


def test_image_pooling_stays_within_an_image():
  head = v3plus()
  variables = head.init(jax.random.key(0), features(), False)
  before = head.apply(variables, features(), False)
  assert before.shape == (2, 5, 7, 2)
  other = jax.tree.map(lambda x: x.at[1].add(1.0), features())
  after = head.apply(variables, other, False)
  np.testing.assert_array_equal(after[0], before[0])
  assert jnp.abs(after[1] - before[1]).max() > 1e-6


def test_image_pooling_sees_the_whole_image():
  """On so small a map, a dilation of 6 covers only the center pixel."""
  head = v3plus()
  variables = head.init(jax.random.key(0), features(), False)

  def corner(high):
    return head.apply(variables, Features((features().levels[0], high), (4, 16)), False)[0, 0, 0, 0]

  gradient = jax.grad(corner)(features().levels[-1])
  assert jnp.any(gradient[0, -1, -1]) and not jnp.any(gradient[1])


def test_refine_sees_crops_as_parts_of_the_frame():
  """Away from the border, a crop of whole cells has the logits of its part of the frame."""
  head = Refine(num_classes=3, width=4, fine_widths=(4, 4), bn='running')
  grid = jnp.asarray(np.random.default_rng(0).normal(size=(1, 12, 16, 6)), 'float32')
  frame = Features((grid,), (14,))
  variables = head.init(jax.random.key(0), frame, False)
  whole = head.apply(variables, frame, False)
  assert whole.shape == (1, 48, 64, 3)
  crop = head.apply(variables, Features((grid[:, 2:11, 3:14],), (14,)), False)
  # Five cells of 4x4 from the border: 3x3 convolutions on three grids reach no further.
  np.testing.assert_allclose(crop[:, 16:20, 16:28], whole[:, 24:28, 28:40], atol=1e-5)
