"""Attention and the parts of a transformer block against their plain forms."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.models.backbones.dinov2 import EPSILON, Block
from classmix_jax.models.layers.attention import attend
from classmix_jax.models.layers.gelu import gelu


def draw(*shape, seed=0):
  return jnp.asarray(np.random.default_rng(seed).standard_normal(shape, np.float32))


def plain_attention(query, key, value):
  """The formula, with all scores in memory."""
  scores = jnp.einsum('bnhd,bmhd->bhnm', query, key) / query.shape[-1] ** 0.5
  return jnp.einsum('bhnm,bmhd->bnhd', nn.softmax(scores), value)


def assert_equal_with_gradients(actual, expected, inputs, tolerance):
  """Compares values, and gradients of a weighted sum of them by all inputs."""
  weights = draw(*jax.eval_shape(expected, *inputs).shape, seed=9)
  results = []
  for function in (actual, expected):
    value, pull_back = jax.vjp(jax.jit(function), *inputs)
    results.append((value, pull_back(weights)))
  for x, y in zip(*map(jax.tree.leaves, results), strict=True):
    np.testing.assert_allclose(x, y, atol=tolerance * max(1, float(jnp.abs(y).max())))


@pytest.mark.parametrize('scale', [1.0, 6.0])
def test_attention(scale):
  """Also of scores far beyond the largest argument of exp in float32."""
  query, key, value = (scale * draw(2, 13, 3, 16, seed=seed) for seed in range(3))
  assert_equal_with_gradients(attend, plain_attention, (query, key, value), 1e-5)


def test_scores_are_not_kept_for_the_gradient():
  inputs = [draw(1, 200, 3, 16)] * 3
  saved = jax.eval_shape(lambda *inputs: jax.vjp(attend, *inputs)[1], *inputs)
  assert max(leaf.size for leaf in jax.tree.leaves(saved)) < 200 * 200


def test_gelu():
  x = jnp.linspace(-8.0, 8.0, 1001)
  assert_equal_with_gradients(gelu, lambda x: nn.gelu(x, approximate=False), (x,), 1e-6)


def plain_block(params, x):
  """Layer norms, dense layers and layer scales one after another."""

  def norm(name, x):
    layer = nn.LayerNorm(EPSILON, use_fast_variance=False)
    return layer.apply({'params': params[name]}, x)

  def dense(part, name, x):
    return x @ params[part][name]['kernel'] + params[part][name]['bias'][None, None]

  batch, count, width = x.shape
  qkv = dense('attn', 'qkv', norm('norm1', x)).reshape(batch, count, 3, width // 64, 64)
  y = plain_attention(*jnp.moveaxis(qkv, 2, 0)).reshape(x.shape)
  x = x + dense('attn', 'proj', y) * params['ls1']['gamma'][None, None]
  y = nn.gelu(dense('mlp', 'fc1', norm('norm2', x)), approximate=False)
  return x + dense('mlp', 'fc2', y) * params['ls2']['gamma'][None, None]


def test_block_of_folded_layers():
  """All parameters are random, layer scales and shifts included."""
  block, x = Block(jnp.float32), draw(2, 10, 128)
  params = jax.eval_shape(block.init, jax.random.key(0), x)['params']
  leaves, tree = jax.tree.flatten(params)
  drawn = [0.3 * draw(*leaf.shape, seed=seed) for seed, leaf in enumerate(leaves)]
  params = jax.tree.unflatten(tree, drawn)
  assert_equal_with_gradients(
    lambda params, x: block.apply({'params': params}, x), plain_block, (params, x), 1e-5
  )
