"""The inference form of networks equals them as they are trained, and is plain."""

import functools

import jax
from jax import export as jax_export
import jax.numpy as jnp
import numpy as np
import pytest
from random_network import NETWORKS, build_trained, draw_images

from classmix_jax.core.plain import plain_operations
from classmix_jax.core.resize import interpolation_matrix, nearest_multiples, resize_bilinear
from classmix_jax.inference.export.network import exported_network, training_form
from classmix_jax.inference.frame import Frame
from classmix_jax.models.image_classifier import ImageClassifier
from classmix_jax.models.inference_form import fold_batch_norms, predict_folded
from classmix_jax.models.layers.position_embedding import (
  ANTIALIASED,
  OFFSET,
  interpolate_positions,
)

SYMBOLIC = jax.ShapeDtypeStruct((*jax_export.symbolic_shape('b, h, w'), 3), jnp.uint8)
PLAIN = Frame()
# Control flow and computed indices, which exporters do not know.
FOREIGN = {
  *('cond', 'while', 'scan', 'platform_index', 'gather', 'scatter'),
  *('dynamic_slice', 'dynamic_update_slice', 'psum', 'pallas_call'),
}


def relative_difference(a, b):
  return np.abs(np.asarray(a) - np.asarray(b)).max() / np.abs(np.asarray(b)).max()


def assert_same(trained, sizes=((2, 65, 47),), by_platform=False):
  """Asserts that one program for all sizes has the logits of the network as it is trained."""
  with plain_operations(by_platform=by_platform):
    program = jax_export.export(jax.jit(exported_network(trained)))(SYMBOLIC)
  expected = jax.jit(training_form(trained))
  for shape in sizes:
    images = draw_images(*shape)
    ours, theirs = program.call(images), expected(images)
    assert relative_difference(ours['logits'], theirs['logits']) < 2e-5
    assert (np.asarray(ours['label']) != np.asarray(theirs['label'])).mean() < 1e-3
    np.testing.assert_allclose(ours['confidence'], theirs['confidence'], atol=1e-4)


def list_operations(jaxpr):
  """Returns the names of all primitives of a program and of those that it calls."""
  names = set()
  for equation in jaxpr.eqns:
    names.add(equation.primitive.name)
    for value in equation.params.values():
      inner = getattr(value, 'jaxpr', value)
      if hasattr(inner, 'eqns') and equation.primitive.name != 'reduce_window_max':
        names |= list_operations(inner)
  return names


@pytest.mark.parametrize(
  'backbone, head, frame',
  [
    ('tiny', 'conv3x3', PLAIN),
    ('tiny', 'unet_small', Frame(multiple=1)),
    ('tiny', 'deeplab_v2', Frame(size=(64, 80))),
  ],
)
def test_one_program_for_all_sizes(backbone, head, frame):
  assert_same(build_trained(backbone, head, frame))


@pytest.mark.slow
@pytest.mark.parametrize('pad', [(60, 40), (70, 40), (70, 75)])
def test_padded_frames(pad):
  assert_same(build_trained('tiny', 'unet', Frame(pad=pad)))


@pytest.mark.slow
@pytest.mark.parametrize('backbone, head', NETWORKS)
def test_every_network(backbone, head):
  for by_platform in (False, True):
    assert_same(build_trained(backbone, head), [(1, 65, 96)], by_platform)


@pytest.mark.parametrize(
  'backbone, head',
  [('resnet18', 'deeplab_v2'), ('efficientnet_lite0', 'unet_small'), ('dinov2_small', 'refine')],
)
def test_operations_are_plain(backbone, head):
  network = exported_network(build_trained(backbone, head))
  with plain_operations():
    names = list_operations(jax.make_jaxpr(network)(SYMBOLIC).jaxpr)
  assert names & FOREIGN == set()
  assert 'conv_general_dilated' in names


def test_folding_by_hand():
  """A 1x1 convolution of 2 with mean 3, variance 4, scale 5 and bias 7 is one of 5 and -0.5."""
  trained = build_trained('tiny', 'conv3x3')
  backbone = trained.variables['params']['backbone']
  kernel = jnp.full_like(backbone['conv_merge']['kernel'], 2.0)
  width = kernel.shape[-1]
  params = {
    **backbone,
    'conv_merge': {'kernel': kernel},
    'bn_merge': {'scale': jnp.full(width, 5.0), 'bias': jnp.full(width, 7.0)},
  }
  statistics = {
    **trained.variables['batch_stats']['backbone'],
    'bn_merge': {'mean': jnp.full(width, 3.0), 'var': jnp.full(width, 4.0 - 1e-5)},
  }
  network = {
    'params': {**trained.variables['params'], 'backbone': params},
    'batch_stats': {'backbone': statistics},
  }
  folded = fold_batch_norms(trained.model, network)['params']['backbone']
  np.testing.assert_allclose(folded['conv_merge']['kernel'], 5.0, rtol=1e-6)
  np.testing.assert_allclose(folded['bn_merge']['bias'], -0.5, rtol=1e-5)
  assert folded['bn_merge'].keys() == {'bias'}
  assert 'batch_stats' in network  # the network itself is unchanged
  np.testing.assert_array_equal(network['params']['backbone']['conv_merge']['kernel'], 2.0)


def test_the_classifier_of_a_network_is_folded_too():
  trained = build_trained('tiny', 'conv3x3')
  classifier = ImageClassifier(trained.model.backbone, 5)
  image = jnp.asarray(draw_images(1, 32, 32) / 255, jnp.float32)
  variables = jax.jit(functools.partial(classifier.init, train=False))(jax.random.key(1), image)
  statistics = jax.tree.map(lambda x: x + 0.25, variables['batch_stats'])
  network = {
    **trained.variables,
    'classifier': {'params': variables['params'], 'batch_stats': statistics},
  }
  whole = trained._replace(variables=network)
  with plain_operations():
    ours = jax.jit(exported_network(whole))(draw_images(1, 32, 32))
  theirs = jax.jit(training_form(whole))(draw_images(1, 32, 32))
  assert relative_difference(ours['logits'], theirs['logits']) < 1e-5


@pytest.mark.parametrize('way', [OFFSET, ANTIALIASED])
@pytest.mark.parametrize('size', [(5, 40), (37, 37), (37, 12)])
def test_positions_of_symbolic_sizes(way, size):
  positions = jnp.asarray(np.random.default_rng(0).normal(size=(37, 37, 4)), jnp.float32)

  def interpolate(x):
    return interpolate_positions(positions, x.shape, way)

  shape = jax.ShapeDtypeStruct(jax_export.symbolic_shape('h, w'), jnp.float32)
  program = jax_export.export(jax.jit(interpolate))(shape)
  expected = interpolate_positions(positions, size, way)
  # Float32 places the samples within 4e-6 cells.
  np.testing.assert_allclose(program.call(jnp.zeros(size)), expected, atol=2e-5)


def test_matrices_of_symbolic_sizes():
  """The weights have the digits of float32 even where positions are large."""
  for sizes in ((256, 2048), (1, 5), (7, 1), (33, 257)):
    shape = jax_export.symbolic_shape('a, b')

    def weights(x):
      return interpolation_matrix(*x.shape)

    program = jax_export.export(jax.jit(weights))(jax.ShapeDtypeStruct(shape, jnp.float32))
    matrix = program.call(jnp.zeros(sizes))
    np.testing.assert_allclose(matrix, interpolation_matrix(*sizes), atol=3e-7)


def test_symbolic_multiples():
  (side,) = jax_export.symbolic_shape('h')
  assert str(nearest_multiples((side, 30), 14)[0]) == '14*max(1, floordiv(2*h + 14, 28))'
  assert nearest_multiples((33, 30), 14, 1.5) == (56, 42)  # 49.5 and 45 pixels


def test_functions_have_their_names_in_plain_programs_only():
  x = jnp.zeros((1, 4, 4, 1))
  for plain in (True, False):

    def resize(x):
      return resize_bilinear(x, (8, 8))

    if plain:
      with plain_operations():
        jaxpr = jax.make_jaxpr(resize)(x)
    else:
      jaxpr = jax.make_jaxpr(resize)(x)
    names = [equation.params.get('name') for equation in jaxpr.eqns]
    assert ('resize_bilinear' in names) == plain


def test_bn_before_a_convolution_keeps_its_factor():
  """Without a convolution of its name, a BN stays a product and a sum."""
  trained = build_trained('tiny', 'conv3x3')
  params = dict(trained.variables['params']['backbone'])
  folded = fold_batch_norms(trained.model, trained.variables)
  assert all('factor' not in group for group in folded['params']['backbone'].values())
  image = jnp.asarray(draw_images(1, 32, 32) / 255, jnp.float32)
  predict = jax.jit(functools.partial(predict_folded, trained.model))
  logits = predict(folded, image)
  # The same with the scale of one BN taken out of its convolution again.
  bn = params['bn_merge']['scale'] * jax.lax.rsqrt(
    trained.variables['batch_stats']['backbone']['bn_merge']['var'] + 1e-5
  )
  group = folded['params']['backbone']
  group['conv_merge'] = {'kernel': params['conv_merge']['kernel']}
  group['bn_merge'] = {**group['bn_merge'], 'factor': bn}
  again = predict(folded, image)
  assert relative_difference(again, logits) < 1e-5
