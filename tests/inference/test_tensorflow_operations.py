"""TensorFlow's operations equal JAX's, for fixed and for symbolic sizes."""

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.core import resize as core_resize
from classmix_jax.inference.export.trace import trace

tf = pytest.importorskip('tensorflow')


def scale(images):
  """Pixels in -1..1, 4 channels."""
  x = images.astype(jnp.float32) / 127.5 - 1
  return jnp.concatenate([x, x[..., :1] * x[..., 1:2]], axis=-1)


def weights(*shape):
  return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def convolve(x, kernel, stride=1, padding='SAME', dilation=1, groups=1):
  return lax.conv_general_dilated(
    x, kernel, (stride, stride), padding, rhs_dilation=(dilation, dilation),
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'), feature_group_count=groups,
  )  # fmt: skip


def pool(x, size, stride, padding):
  return lax.reduce_window(
    x, -jnp.inf, lax.max, (1, size, size, 1), (1, stride, stride, 1),
    [(0, 0), *padding, (0, 0)],
  )  # fmt: skip


def matmul(x, kernel):
  return jnp.einsum('bhwc,cd->bhwd', x, kernel, precision='highest')


def attend(x):
  b, h, w, c = x.shape
  tokens = jnp.concatenate([x, 2 * x], -1).reshape(b, h * w, 2, c)
  scores = jnp.einsum('bqnc,bknc->bnqk', tokens, tokens, precision='highest')
  return jnp.einsum('bnqk,bknc->bqnc', jax.nn.softmax(scores), tokens, precision='highest')


def fill(x):
  """Pads to multiples of 8 and cuts back."""
  b, h, w, _ = x.shape
  height, width = 8 * ((h + 7) // 8), 8 * ((w + 7) // 8)
  padded = jnp.pad(x, ((0, 0), (0, height - h), (0, width - w), (0, 0)), constant_values=0.5)
  return padded * 2, lax.slice(padded, (0, 0, 0, 0), (b, h, w, 4), (1, 1, 1, 1))


def grid(x):
  b, h, w, _ = x.shape
  rows = (jnp.arange(h) + 0.5) / h
  columns = lax.broadcasted_iota(jnp.int32, (h, w), 1)
  return (rows[:, None] * columns)[None] + jnp.broadcast_to(jnp.float32(2), (b, h, w))


FUNCTIONS = {
  'convolution': lambda x: convolve(x, weights(3, 3, 4, 5)) + weights(5).reshape(1, 1, 1, 5),
  'strided': lambda x: convolve(x, weights(3, 3, 4, 5), 2, [(1, 1), (1, 1)]),
  'strided_same': lambda x: convolve(x, weights(3, 3, 4, 5), 2),
  'dilated': lambda x: convolve(x, weights(3, 3, 4, 5), 1, [(3, 3), (3, 3)], 3),
  'pointwise': lambda x: convolve(x, weights(1, 1, 4, 5), 2, 'VALID'),
  'depthwise': lambda x: convolve(x, weights(3, 3, 1, 4), groups=4),
  'depthwise_strided': lambda x: convolve(x, weights(5, 5, 1, 4), 2, groups=4),
  'depthwise_dilated': lambda x: convolve(x, weights(3, 3, 1, 4), dilation=2, groups=4),
  'pool': lambda x: pool(x, 3, 2, [(1, 1), (1, 1)]),
  'pool_of_relu': lambda x: pool(jax.nn.relu(x), 3, 2, [(1, 2), (1, 2)]),
  'matmul': lambda x: matmul(x, weights(4, 7)),
  'attention': attend,
  'expansion': lambda x: jnp.einsum('bhwi,kloi->bhkwlo', x, weights(2, 2, 3, 4)),
  'activations': lambda x: [
    jax.nn.relu(x), jax.nn.relu6(4 * x), jnp.clip(9 * x, 0.0, 6.0), jax.nn.gelu(x),
    jax.nn.gelu(x, approximate=False), jax.nn.sigmoid(x), jnp.minimum(x, 0.1), lax.erf(x),
  ],
  'arithmetic': lambda x: [
    x**3, jnp.exp(x), lax.rsqrt(x * x + 1), jnp.abs(x), -x, jnp.sign(x), jnp.floor(3 * x),
    jnp.round(3 * x), jnp.where(x > 0, x, 2 * x), (x > 0) & ~(x < 0.5), 1 / (2 + x), x.std(-1),
    jnp.log(x + 2), x - x.mean((1, 2), keepdims=True), lax.clamp(-0.5, x, 0.5),
  ],
  'arrays': lambda x: [
    x[..., ::-1], jnp.stack([x, x], 1), *jnp.split(x, 2, -1), x[:, 1:, :-2], x[0],
    x.transpose(0, 3, 1, 2), jnp.argmax(x, -1).astype(jnp.uint8), x.min((1, 2)), x.sum(),
    jnp.pad(x, ((0, 0), (0, 0), (1, 2), (0, 0))),
  ],
  'padding': fill,
  'grid': grid,
}  # fmt: skip


def calls_of(network, sizes):
  """Returns the function as one of TensorFlow."""
  from classmix_jax.inference.export.tensorflow.context import Weights
  from classmix_jax.inference.export.tensorflow.savedmodel import build_function

  return build_function(trace(network, sizes), Weights())


@pytest.mark.parametrize('name', FUNCTIONS)
def test_operations(name):
  def network(images):
    values = jax.tree.leaves(FUNCTIONS[name](scale(images)))
    return {f'output_{index:02d}': value for index, value in enumerate(values)}

  rng = np.random.default_rng(1)
  for sizes, shapes in (('1, 12, 10', [(1, 12, 10)]), ('b, h, w', [(2, 9, 14), (1, 16, 7)])):
    call = calls_of(network, sizes)
    for shape in shapes:
      images = rng.integers(0, 256, (*shape, 3), np.uint8)
      expected, results = jax.jit(network)(images), call(images)
      assert results.keys() == expected.keys()
      for key, value in expected.items():
        np.testing.assert_allclose(results[key], value, rtol=1e-5, atol=1e-5, err_msg=key)
        assert results[key].dtype == value.dtype


@pytest.mark.parametrize('name', ['resize_bilinear', 'resize_centers'])
def test_resizing(name):
  """Functions with these names become one operation; their equations are not read."""

  def resize(x):
    b, h, w, c = x.shape
    return jnp.zeros((b, 2 * h + 1, w // 2, c))

  resize.__name__ = name
  call = calls_of(lambda images: {'y': jax.jit(resize)(scale(images))}, 'b, h, w')
  images = np.random.default_rng(1).integers(0, 256, (2, 9, 14, 3), np.uint8)
  expected = getattr(core_resize, name)(scale(jnp.asarray(images)), (19, 7))
  np.testing.assert_allclose(call(images)['y'], expected, atol=1e-5)


def test_an_unknown_operation_is_named():
  with pytest.raises(NotImplementedError, match='the operation cumsum of JAX'):
    calls_of(lambda images: {'y': jnp.cumsum(images, 1)}, '1, 4, 4')
