import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.models.layers.depthwise import (
  depthwise,
  grouped_convolution,
  kernel_gradient_by_convolution,
  sum_of_shifts,
)


def test_by_hand():
  """Two channels, the second with a kernel that only shifts; an even length is padded behind."""
  x = jnp.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [4.0, 40.0]]).reshape(1, 1, 4, 2)
  kernel = jnp.zeros((3, 3, 1, 2)).at[1, :, 0, 0].set(jnp.array([1.0, 2.0, 4.0]))
  kernel = kernel.at[1, 2, 0, 1].set(1.0)
  once = depthwise(x, kernel, 1, 1)[0, 0]
  assert once[:, 0].tolist() == [2 + 8, 1 + 4 + 12, 2 + 6 + 16, 3 + 8]
  assert once[:, 1].tolist() == [20, 30, 40, 0]
  # Padded by one column behind and none before: centred at the second and the fourth.
  assert depthwise(x, kernel, 2, 1)[0, 0].tolist() == [[17, 30], [11, 0]]
  assert depthwise(x, kernel, 1, 2)[0, 0, :, 0].tolist() == [2 + 12, 4 + 16, 1 + 6, 2 + 8]


@pytest.mark.parametrize('size, stride, dilation', [(3, 1, 1), (3, 2, 1), (5, 2, 1), (5, 1, 2)])
@pytest.mark.parametrize('shape', [(8, 6), (7, 9)])
def test_both_ways_agree(size, stride, dilation, shape):
  """Results and both gradients, of sums written out and of XLA's convolution."""
  rs = np.random.RandomState(0)
  x, kernel = (jnp.asarray(rs.randn(*s), jnp.float32) for s in ((2, *shape, 4), (size, size, 1, 4)))

  @functools.partial(jax.jit, static_argnums=0)
  def run(way, x, kernel):
    y, pull_back = jax.vjp(lambda x, kernel: way(x, kernel, stride, dilation), x, kernel)
    return y, *pull_back(jnp.cos(y))

  expected = run(grouped_convolution, x, kernel)
  for way in (sum_of_shifts, depthwise):
    for actual, reference in zip(run(way, x, kernel), expected, strict=True):
      np.testing.assert_allclose(actual, reference, rtol=1e-5, atol=1e-5)
  gradient = jnp.cos(expected[0])
  on_accelerators = jax.jit(kernel_gradient_by_convolution, static_argnums=(3, 4))(
    x, gradient, kernel, stride, dilation
  )
  np.testing.assert_allclose(on_accelerators, expected[2], rtol=1e-5, atol=1e-5)


def test_no_gradient_with_stride_and_dilation():
  with pytest.raises(ValueError, match='stride 2 with dilation 2'):
    kernel_gradient_by_convolution(
      jnp.ones((1, 8, 8, 1)), jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1)), 2, 2
    )


def test_the_processor_gets_no_grouped_convolution():
  """The compiled program contains only the implementation for its platform."""

  def loss(x, kernel):
    return jnp.sum(jnp.sin(depthwise(x, kernel, 1, 1)))

  compiled = (
    jax.jit(jax.grad(loss, (0, 1))).lower(jnp.ones((1, 6, 6, 2)), jnp.ones((3, 3, 1, 2))).compile()
  )
  assert 'convolution(' not in compiled.as_text()


def test_bfloat16_is_added_up_in_float32():
  """256 + 8 ones is 264; in bfloat16, whose step is 2 there, 256 + 1 would stay 256."""
  x = jnp.ones((1, 3, 3, 1), jnp.bfloat16)
  kernel = jnp.ones((3, 3, 1, 1), jnp.bfloat16).at[0, 0].set(256)
  y = depthwise(x, kernel, 1, 1)
  assert y.dtype == jnp.bfloat16 and float(y[0, 1, 1, 0]) == 264
