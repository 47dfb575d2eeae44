"""Every way of a convolution against `lax.conv_general_dilated`, its gradients too."""

import functools
import re

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.models.layers import convolution


def results(way, side, stride, dilation, shape, dtype=jnp.float32, features=5):
  """Returns y and the gradients of a weighted sum of y by the images and by the kernel."""
  rs = np.random.RandomState(0)
  x = jnp.asarray(rs.randn(*shape), dtype)
  kernel = jnp.asarray(rs.randn(side, side, shape[-1], features), dtype)
  reach = dilation * (side - 1) // 2

  def run(x, kernel):
    return way(
      x,
      kernel,
      (stride, stride),
      [(reach, reach)] * 2,
      rhs_dilation=(dilation, dilation),
      dimension_numbers=convolution.DIMENSIONS,
      precision=None,
    )

  y, back = jax.vjp(run, x, kernel)
  weight = jnp.asarray(rs.randn(*y.shape), dtype)
  return y, *back(weight)


CASES = [
  (convolution.pointwise, 1, 1, 1),
  (convolution.pointwise, 1, 2, 1),
  (convolution.product_and_shifts, 3, 1, 1),
  (convolution.product_and_shifts, 3, 1, 6),
  (convolution.same_size, 3, 1, 1),
  (convolution.same_size, 3, 1, 2),
  (convolution.same_size, 3, 1, 4),
  (convolution.same_size, 5, 1, 3),
]


@pytest.mark.parametrize('way, side, stride, dilation', CASES)
def test_numbers_and_gradients_are_those_of_a_convolution(way, side, stride, dilation):
  """On 7x10, which 2, 3 and 4 do not divide, and which a dilation of 6 almost leaves."""
  actual, expected = (
    results(run, side, stride, dilation, (2, 7, 10, 4)) for run in (way, lax.conv_general_dilated)
  )
  for x, y in zip(actual, expected, strict=True):
    np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('dilation, cached_bytes', [(1, 0), (2, 0), (1, 2**23), (2, 2**23)])
def test_wide_layers(dilation, cached_bytes, monkeypatch):
  """Of 128 channels and more, whose kernel gradient on CPUs depends on the size of the maps."""
  monkeypatch.setattr(convolution, 'CACHED_BYTES', cached_bytes)

  def run(way):
    return results(way, 3, 1, dilation, (1, 3, 5, 128), features=129)

  for x, y in zip(run(convolution.same_size), run(lax.conv_general_dilated), strict=True):
    np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize('dilation, products', [(6, 0), (12, 9), (18, 9)])
def test_gpus_interleave_unless_images_become_too_small(dilation, products):
  """At 32x64, every twelfth pixel is an image of 3x6: too small for cuDNN's kernel gradient."""
  gradient = jax.jit(
    lambda x, y: convolution._kernel_gradient(x, y, jnp.zeros((3, 3, 4, 5)), dilation, None)
  )
  shapes = [jax.ShapeDtypeStruct((2, 32, 64, features), jnp.float32) for features in (4, 5)]
  program = gradient.trace(*shapes).lower(lowering_platforms=('cuda',)).as_text()
  assert program.count('stablehlo.dot_general') == products
  assert program.count('stablehlo.convolution') == (not products)


def test_products_are_the_interleaved_gradient():
  rs = np.random.RandomState(0)
  x, y = (jnp.asarray(rs.randn(2, 8, 10, features), jnp.float32) for features in (4, 5))
  actual = convolution.gradient_by_products(x, y, 3, 6, None)
  expected = convolution.gradient_by_interleaving(x, y, jnp.zeros((3, 3, 4, 5)), 6, None)
  np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('way, side, stride, dilation', CASES)
def test_half_precision_stays_half(way, side, stride, dilation):
  actual = results(way, side, stride, dilation, (1, 5, 6, 4), jnp.bfloat16)
  full = results(way, side, stride, dilation, (1, 5, 6, 4))
  for x, y in zip(actual, full, strict=True):
    assert x.dtype == jnp.bfloat16
    np.testing.assert_allclose(x.astype(jnp.float32), y, rtol=0.05, atol=0.3)


def test_no_kernel_gradient_strides_over_a_whole_map():
  """cuDNN finds no gradient in a convolution with strides, and takes the map for a kernel."""
  x, dilation = (1, 24, 32, 4), 2

  def windows(way):
    text = jax.jit(functools.partial(results, way, 3, 1, dilation, x)).lower().as_text('hlo')
    return re.findall(r'window={([^}]*)}', text)

  def strided(windows):
    return [window for window in windows if 'stride=2x2' in window]

  assert strided(windows(lax.conv_general_dilated))  # the trap, and that this test sees it
  assert not strided(windows(convolution.same_size))


@pytest.mark.parametrize('platform', ['cuda', 'cpu', 'tpu'])
def test_gpus_store_gradients_as_parameters_are(platform):
  shape = jax.ShapeDtypeStruct((1, 8, 8, 4), jnp.float32)
  gradient = jax.jit(
    lambda x: convolution.gradient_by_interleaving(x, x, jnp.zeros((3, 3, 4, 4)), 2, None)
  )
  program = gradient.trace(shape).lower(lowering_platforms=(platform,)).as_text()
  assert ('@LayoutConstraint' in program) == (platform == 'cuda')
