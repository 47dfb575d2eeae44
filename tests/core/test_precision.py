"""Half precision is only for what convolutions compute; computing again changes no number."""

from equations import equations
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

from classmix_jax.methods import METHODS
from classmix_jax.models.backbones.efficientnet_lite import EfficientNetLite
from classmix_jax.models.backbones.resnet import BasicBlock, ResNet
from classmix_jax.models.backbones.tiny import Tiny
from classmix_jax.models.heads import HEADS
from classmix_jax.models.layers.batch_norm import batch_norm
from classmix_jax.models.segmenter import Segmenter
from classmix_jax.training.create_state import create_state
from classmix_jax.training.step import make_train_step
from classmix_jax.types import AXIS

HALF, FULL = jnp.dtype('bfloat16'), jnp.dtype('float32')


def tiny_model():
  return Segmenter(
    backbone=Tiny(dtype=HALF), head=HEADS['deeplab_v2'](num_classes=small.CLASSES, dtype=HALF)
  )


def test_convolutions_are_half_and_logits_are_full():
  model, image = tiny_model(), jnp.zeros((2, 24, 32, 3))
  variables = jax.eval_shape(lambda key: model.init(key, image, False), jax.random.key(0))
  jaxpr = jax.make_jaxpr(lambda variables: model.apply(variables, image, False))(variables)
  result = [
    equation.outvars[0].aval.dtype for equation in equations(jaxpr.jaxpr, 'conv_general_dilated')
  ]
  assert len(result) == 15 and set(result) == {HALF}
  assert jaxpr.out_avals[0].dtype == FULL


@pytest.mark.parametrize('name', ['supervised', 'classmix'])
def test_everything_that_is_kept_is_full(name):
  """Parameters, statistics, the optimizer's state, the teacher, losses and metrics."""
  method, devices = METHODS[name](tiny_model(), small.CLASSES), jax.devices()[:1]
  tx, image = small.optimizer(), jax.ShapeDtypeStruct((1, *small.SIZE, 3), FULL)
  state = jax.eval_shape(
    lambda key: create_state(method, tx, key, image, devices), jax.random.key(0)
  )
  step = make_train_step(method, tx, 0, devices, accumulate=2)
  after, metrics = jax.eval_shape(step, state, small.shard(small.batch(), 1, accumulate=2))
  dtypes = {leaf.dtype for leaf in jax.tree.leaves((after, metrics))}
  assert dtypes == {FULL, jnp.dtype('int32')}  # int32 counts steps


def test_statistics_are_computed_in_full():
  """600 values 300 + i / 300: a sum in half precision would be off by whole units."""
  x = (300 + np.arange(600).reshape(1, 2, 10, 30, 1) / 300).astype(HALF)
  layer = batch_norm(train=True, bn='batch', dtype=HALF, name='bn')
  variables = {
    'params': {'scale': jnp.ones(1), 'bias': jnp.zeros(1)},
    'batch_stats': {'mean': jnp.zeros(1), 'var': jnp.ones(1)},
  }

  def run(x):
    return layer.apply(variables, x, mutable=['batch_stats'])

  y, updated = jax.pmap(run, AXIS, devices=jax.devices()[:1])(x)
  assert y.dtype == HALF
  # Momentum 0.9, from a mean of 0.
  np.testing.assert_allclose(
    updated['batch_stats']['mean'][0, 0], 0.1 * x.astype(float).mean(), rtol=1e-6
  )


def three_steps(dtype):
  method, devices = small.method('classmix', dtype=dtype), jax.devices()[:1]
  step = make_train_step(method, small.optimizer(), 0, devices)
  state, losses = small.place(small.start('classmix'), devices), []
  for seed in range(3):
    state, metrics = step(state, small.shard(small.batch(seed), 1))
    losses.append([metrics['loss/sup'], metrics['loss/unsup']])
  return np.array(losses)


def test_half_precision_trains_alike():
  """Three steps of ClassMix: supervised losses within 1 %, pseudo-labels flip a little."""
  half, full = three_steps(HALF), three_steps(FULL)
  np.testing.assert_allclose(half[:, 0], full[:, 0], rtol=0.01)
  np.testing.assert_allclose(half[:, 1], full[:, 1], rtol=0.05)
  assert np.abs(half - full).max() > 0


def training_pass(backbone, variables):
  """Returns `loss(params, image) -> (a scalar, running statistics)`."""

  def loss(params, image):
    features, updated = backbone.apply(
      {**variables, 'params': params}, image, True, mutable=['batch_stats']
    )
    return jnp.mean(features.levels[-1] ** 2) + jnp.mean(features.levels[0] ** 2), updated

  return loss


@pytest.mark.parametrize(
  'backbone', [Tiny(), ResNet(blocks=(1, 1, 1, 1), block=BasicBlock)], ids=['tiny', 'resnet']
)
def test_computing_again_changes_no_number(backbone):
  """Running statistics of a training pass and, where it compiles fast, the gradient."""
  image = jnp.asarray(np.random.default_rng(0).random((1, 2, 17, 33, 3)), FULL)
  variables = jax.jit(lambda key: backbone.init(key, image[0], False))(
    jax.random.key(0, impl='rbg')
  )
  result = []
  for remat in (False, True):
    run = training_pass(backbone.clone(remat=remat), variables)
    if isinstance(backbone, ResNet):
      run = jax.value_and_grad(run, has_aux=True)
    run = jax.pmap(run, AXIS, in_axes=(None, 0), devices=jax.devices()[:1])
    result.append(run(variables['params'], image))
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6), *result)


@pytest.mark.parametrize(
  'backbone, primitive, first',
  [
    (Tiny(), 'conv_general_dilated', 1),
    (ResNet(blocks=(1, 1, 1, 1), block=BasicBlock), 'conv_general_dilated', 1),
    pytest.param(EfficientNetLite(), 'dot_general', 0, marks=pytest.mark.slow),
  ],
  ids=['tiny', 'resnet', 'efficientnet'],
)
def test_only_remat_computes_convolutions_again(backbone, primitive, first):
  """Each is there forward, by its input and by its kernel; the first one's input is the image.

  Feature maps are so large that a kernel's gradient is one convolution, or on CPUs products, see
  `same_size`.
  """
  image = jnp.zeros((2, 769, 1025, 3))
  variables = jax.jit(lambda key: backbone.init(key, image, False))(jax.random.key(0, impl='rbg'))

  def count(run, *inputs):
    jaxpr = jax.make_jaxpr(run, axis_env=[(AXIS, 1)])(*inputs)
    return len(list(equations(jaxpr.jaxpr, primitive)))

  def in_training(backbone):
    return count(
      jax.grad(training_pass(backbone, variables), has_aux=True), variables['params'], image
    )

  forward = count(lambda variables: backbone.apply(variables, image, False), variables)
  assert in_training(backbone) == 3 * forward - first
  assert in_training(backbone.clone(remat=True)) > 3 * forward - first
