"""BN, residual and activation as one function, against the textbook's form and JAX's gradient."""

import functools
import itertools

from equations import equations
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.models.layers.batch_norm import BN_MODES, batch_norm, normalize_separately
from classmix_jax.models.layers.conv_bn import conv_bn, rematerialize
from classmix_jax.types import AXIS

FEATURES = 3
ACTIVATIONS = {None: lambda y: y, 'relu': nn.relu, 'relu6': nn.relu6}


def draw(*shape, seed=0):
  return np.random.default_rng(seed).normal(1, 2, shape).astype(np.float32)


VARIABLES = {
  'params': {'scale': draw(FEATURES), 'bias': draw(FEATURES, seed=1)},
  'batch_stats': {'mean': draw(FEATURES, seed=2), 'var': np.full(FEATURES, 2.0, np.float32)},
}


def textbook(x, params, statistics, residual, sizes, activation, frozen):
  """Normalises part by part; returns y and the running statistics."""
  parts, (mean, var) = [], (statistics['mean'], statistics['var'])
  for part in jnp.split(x, np.cumsum(sizes)[:-1]):
    own = (mean, var) if frozen else (jnp.mean(part, (0, 1, 2)), jnp.var(part, (0, 1, 2)))
    parts.append((part - own[0]) / jnp.sqrt(own[1] + 1e-5))
    if not frozen:
      count = part[..., 0].size
      mean = 0.9 * mean + 0.1 * own[0]
      var = 0.9 * var + 0.1 * own[1] * count / (count - 1)
  y = jnp.concatenate(parts) * params['scale'] + params['bias'] + residual
  return ACTIVATIONS[activation](y), {'mean': mean, 'var': var}


def differentiate(run, x, residual, weights=None):
  """Returns gradients of a sum with random weights, and (y, running statistics)."""
  weights = draw(*x.shape, seed=3) if weights is None else weights

  def loss(x, params, residual):
    y, statistics = run(x, params, residual)
    return jnp.vdot(y, weights), (y, statistics)

  with jax.numpy_rank_promotion('allow'):  # for the textbook
    return jax.grad(loss, (0, 1, 2), has_aux=True)(x, VARIABLES['params'], residual)


def compare(actual, expected, tolerance):
  for one, other in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * np.abs(other).max())


def build(sizes, activation, bn='batch', dtype=jnp.float32, add=True):
  """Returns a function (x, params, residual) -> (y, running statistics)."""
  layer = batch_norm(train=True, bn=bn, dtype=dtype, name='bn', activation=activation)

  def run(x, params, residual):
    with normalize_separately(sizes):
      variables = {**VARIABLES, 'params': params}
      y, updated = layer.apply(variables, x, residual if add else None, mutable=['batch_stats'])
    if add:  # The two results have a gradient each.
      y = 0.25 * y[0] + 0.75 * y[1]
    return y.astype(dtype), updated.get('batch_stats', VARIABLES['batch_stats'])

  return run


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def both(sizes, activation, bn, add, x, residual):
  """Returns the results of `differentiate` of the layer and of the textbook."""

  def by_hand(x, params, residual):
    statistics, residual = VARIABLES['batch_stats'], residual if add else 0.0
    return textbook(x, params, statistics, residual, sizes, activation, bn == 'running')

  run = build(sizes, activation, bn, add=add)
  actual = jax.vmap(lambda x: differentiate(run, x, residual), axis_name=AXIS)(x[None])
  return jax.tree.map(lambda leaf: leaf[0], actual), differentiate(by_hand, x, residual)


# Parts of different sizes in all forms; others once.
FORMS = itertools.product([(2, 4)], ACTIVATIONS, BN_MODES, [False, True])
CASES = [*FORMS, ((4,), 'relu', 'batch', True), ((2, 2), 'relu', 'batch', True)]


@pytest.mark.parametrize('sizes, activation, bn, add', CASES)
def test_values_and_gradients_are_those_of_the_textbook(sizes, activation, bn, add):
  x, residual = (draw(sum(sizes), 3, 5, FEATURES, seed=seed) for seed in (4, 5))
  compare(*both(sizes, activation, bn, add, x, residual), 1e-5)


def test_devices_share_their_statistics():
  """Two devices, each with one image of the first part and two of the second."""
  x, residual = (draw(6, 3, 5, FEATURES, seed=seed) for seed in (4, 5))
  order = np.array([0, 2, 3, 1, 4, 5])  # images of the first device, then of the second

  def run_textbook(x, params, residual):
    statistics = VARIABLES['batch_stats']
    y, statistics = textbook(x, params, statistics, residual, (2, 4), 'relu', False)
    # `differentiate` weighs the results by their position.
    return y[order], statistics

  run = functools.partial(differentiate, build((1, 2), 'relu'))
  weights = draw(*x.shape, seed=3)
  pairs = (image.reshape(2, 3, 3, 5, FEATURES) for image in (x[order], residual[order], weights))
  gradients, (y, statistics) = jax.jit(jax.vmap(run, axis_name=AXIS))(*pairs)
  expected, (expected_y, expected_statistics) = differentiate(run_textbook, x, residual)
  for index in (0, 2):
    compare(gradients[index].reshape(x.shape), expected[index][order], 1e-5)
  compare(jax.tree.map(lambda leaf: leaf.sum(0), gradients[1]), expected[1], 1e-5)
  compare(y.reshape(x.shape), expected_y, 1e-5)
  compare(statistics, jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), expected_statistics), 1e-5)


def test_half_precision_rounds_once():
  x, residual = (draw(4, 3, 5, FEATURES, seed=seed).astype(jnp.bfloat16) for seed in (4, 5))
  run = build((4,), 'relu', dtype=jnp.bfloat16)
  actual = jax.vmap(lambda x: run(x, VARIABLES['params'], residual), axis_name=AXIS)(x[None])
  full = (image.astype(jnp.float32) for image in (x, residual))
  expected, _ = both((4,), 'relu', 'batch', True, *full)[1][1]
  np.testing.assert_array_equal(actual[0][0], expected.astype(jnp.bfloat16))


@pytest.mark.parametrize('remat', [False, True])
def test_moments_are_computed_once(remat):
  """One collective for each layer's moments, and one in its backward pass."""

  class Network(nn.Module):
    @nn.compact
    def __call__(self, x):
      def block(module, x):
        options = dict(train=True, bn='batch', dtype=jnp.float32, activation='relu')
        y = conv_bn(x, FEATURES, 1, '1', **options)
        return conv_bn(y, FEATURES, 1, '2', **options, residual=x)[0]

      return rematerialize(block, remat)(self, x)

  x, network = jnp.zeros((2, 3, 3, FEATURES)), Network()
  variables = jax.eval_shape(network.init, jax.random.key(0), x)

  def loss(params, x):
    y, updated = network.apply({**variables, 'params': params}, x, mutable=['batch_stats'])
    return y.sum(), updated

  gradient = jax.make_jaxpr(jax.grad(loss, has_aux=True), axis_env=[(AXIS, 1)])
  jaxpr = gradient(variables['params'], x).jaxpr
  assert len(list(equations(jaxpr, 'psum'))) == 2 * 2
