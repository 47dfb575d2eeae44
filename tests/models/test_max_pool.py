"""Max-pooling: a hand-worked gradient, and equality with XLA's."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.models.layers.max_pool import max_pool

SAME, CEIL = [(1, 1), (1, 1)], [(1, 2), (1, 2)]


def gradient(pool, x, y):
  return jax.jit(lambda x: jax.vjp(pool, x)[1](y)[0])(x)


def test_by_hand():
  """Windows around (0, 0), (0, 2), (2, 0), (2, 2); three of them share the 9."""
  x = jnp.array([[1.0, 2.0, 3.0], [4.0, 9.0, 5.0], [6.0, 9.0, 9.0]])[None, :, :, None]
  y = jnp.array([[1.0, 10.0], [100.0, 1000.0]])[None, :, :, None]
  np.testing.assert_array_equal(max_pool(x, SAME)[0, :, :, 0], [[9, 9], [9, 9]])
  np.testing.assert_array_equal(
    gradient(lambda x: max_pool(x, SAME), x, y)[0, :, :, 0], [[0, 0, 0], [0, 1111, 0], [0, 0, 0]]
  )


@pytest.mark.parametrize('padding', [SAME, CEIL])
@pytest.mark.parametrize('size', [(8, 8), (9, 9), (8, 13), (1, 2)])
@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_is_xlas(padding, size, dtype):
  """Half of the values are 0, as after a ReLU: ties are won by the first.

  Gradients are small integers, whose sums are exact in both dtypes.
  """
  rs = np.random.RandomState(0)
  x = jnp.asarray(np.maximum(rs.randn(2, *size, 5), 0), dtype)

  def plain(x):
    return nn.max_pool(x, (3, 3), strides=(2, 2), padding=padding)

  y = jnp.asarray(rs.randint(-9, 10, plain(x).shape), dtype)

  def ours(x):
    return max_pool(x, padding)

  np.testing.assert_array_equal(ours(x), plain(x))
  assert gradient(ours, x, y).dtype == x.dtype
  np.testing.assert_array_equal(gradient(ours, x, y), gradient(plain, x, y))


def test_nothing_is_scattered():
  """Atomic additions come in any order: the same training would not be the same twice."""
  x = jnp.ones((1, 8, 8, 2))
  text = jax.jit(jax.grad(lambda x: max_pool(x, SAME).sum())).lower(x).as_text()
  assert 'scatter' not in text
