import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.models.layers.conv_bn import conv


@pytest.mark.parametrize('dtype, tolerance', [(jnp.float32, 1e-6), (jnp.bfloat16, 1e-2)])
def test_a_1x1_convolution_is_a_product_of_matrices(dtype, tolerance):
  rs = np.random.RandomState(0)
  x = jnp.asarray(rs.randn(2, 3, 5, 4), dtype)
  layer = conv(6, 1, name='conv', kernel_init=jax.nn.initializers.normal(), dtype=dtype)
  variables = layer.init(jax.random.key(0), x)
  kernel = variables['params']['kernel']
  assert kernel.shape == (1, 1, 4, 6) and kernel.dtype == jnp.float32  # as of any convolution

  y = jax.jit(layer.apply)(variables, x)
  expected = lax.conv_general_dilated(
    x.astype(jnp.float32), kernel, (1, 1), 'VALID', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
  )
  assert y.dtype == dtype
  np.testing.assert_allclose(y.astype(jnp.float32), expected, atol=tolerance)
  assert 'convolution(' not in jax.jit(layer.apply).lower(variables, x).as_text('hlo')
  strided = conv(6, 1, name='conv', stride=2, kernel_init=jax.nn.initializers.normal(), dtype=dtype)
  np.testing.assert_allclose(
    strided.apply(variables, x).astype(jnp.float32), expected[:, ::2, ::2], atol=tolerance
  )
