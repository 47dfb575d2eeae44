"""Each primitive as ONNX equals JAX, with sizes that are known and sizes that differ."""

import functools

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

onnx = pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')

from classmix_jax.core.resize import resize_bilinear, resize_centers  # noqa: E402
from classmix_jax.inference.export.onnx.write import build_model, write_onnx  # noqa: E402
from classmix_jax.inference.export.trace import trace  # noqa: E402

RNG = np.random.default_rng(0)
SYMBOLIC, STATIC = 'b, h, w', '2, 6, 9'


def random(*shape):
  return RNG.normal(size=shape).astype(np.float32)


def draw(*shape):
  return RNG.integers(0, 256, (*shape, 3)).astype(np.uint8)


def load(model):
  return onnxruntime.InferenceSession(model.SerializeToString(), providers=['CPUExecutionProvider'])


def count(model, operator):
  return sum(node.op_type == operator for node in model.graph.node)


def check(function, sizes=(SYMBOLIC, STATIC), **tolerance):
  """Compares a function of uint8 images with its ONNX model; returns the last model."""
  expected = jax.jit(function)
  for names in sizes:
    model = build_model(trace(lambda x: {'y': function(x)}, names))
    onnx.checker.check_model(model, full_check=True)
    session = load(model)
    images = draw(2, 6, 9)
    (result,) = session.run(None, {'images': images})
    value = np.asarray(expected(images))
    assert result.dtype == value.dtype and result.shape == value.shape
    np.testing.assert_allclose(result, value, **{'atol': 1e-5, 'rtol': 1e-5} | tolerance)
  return model


def unit(x):
  return x.astype(jnp.float32) / 100 - 1


KERNEL = random(3, 3, 3, 4)
DEPTHWISE = random(3, 3, 1, 6)
MATRIX = random(3, 5)


def convolve(x, kernel=KERNEL, strides=(1, 1), padding=((1, 1), (1, 1)), **options):
  return lax.conv_general_dilated(
    x, kernel, strides, padding, dimension_numbers=('NHWC', 'HWIO', 'NHWC'), **options
  )


def cut(x, *ranges):
  """Slices the first axes; indexing would gather along an axis whose length is not known."""
  for axis, (start, stop, stride) in enumerate(ranges):
    x = lax.slice_in_dim(x, start, stop, stride, axis)
  return x


def row(*values):
  return jnp.asarray(values, jnp.float32).reshape(1, 1, 1, -1)


ELEMENTWISE = {
  'arithmetic': lambda x: (x * 2 + 1) / (3 + x * x) - jnp.abs(-x),
  'broadcast': lambda x: x * row(0, 1, 2) + x.max((1, 3), keepdims=True),
  'powers': lambda x: x**2 + x**3 + jnp.square(x) + (x + 3) ** 0.5,
  'exponentials': lambda x: jnp.exp(x) + jnp.log(x + 2) + jnp.exp2(x) + jnp.log1p(x + 2),
  'roots': lambda x: jnp.sqrt(x + 2) + lax.rsqrt(x + 2),
  'activations': lambda x: jax.nn.relu(x) + jax.nn.sigmoid(x) + jnp.tanh(x),
  'clips': lambda x: (
    jax.nn.relu6(4 * x) + jnp.clip(x, -0.5, 0.5) + lax.clamp(jnp.float32(0.0), x, jnp.float32(0.7))
  ),
  'gelu': lambda x: jax.nn.gelu(x) + jax.nn.gelu(x, approximate=False) + lax.erf(x),
  # No value is so close to an integer that rounding decides.
  'rounding': lambda x: sum(
    f(2.71 * x + 0.123) for f in (jnp.floor, jnp.ceil, jnp.round, jnp.sign)
  ),
  'selection': lambda x: jnp.where((x > 0) & (x < 1) | ~(x != 0.5), x, -x),
  'comparison': lambda x: (x >= 0) ^ (x <= 1) | (x == 0),
  'softmax': lambda x: jax.nn.softmax(x) + jax.nn.log_softmax(x, axis=1),
  'finite': lambda x: jnp.isfinite(jnp.log(x)),
  'remainder': lambda x: lax.rem(x, jnp.full_like(x, 0.3123)),
}


@pytest.mark.parametrize('name', ELEMENTWISE)
def test_elementwise(name):
  function = ELEMENTWISE[name]
  check(lambda x: function(unit(x)), sizes=(SYMBOLIC,))


def test_integers_and_types():
  check(lambda x: (x // 3 + x % 7).astype(jnp.int32), sizes=(SYMBOLIC,))
  check(lambda x: jnp.maximum(x, 9) + x, sizes=(SYMBOLIC,))  # uint8 wraps at 256
  check(lambda x: (x > 7).astype(jnp.float32) + x.astype(jnp.int32), sizes=(SYMBOLIC,))


AXES = {
  'reshape': lambda x: x.reshape(x.shape[0], -1, 3),
  'split axes': lambda x: x.reshape(x.shape[0], x.shape[1], 1, x.shape[2], 3, 1) + 1,
  'transpose': lambda x: x.transpose(0, 3, 2, 1) * 2,
  'broadcast': lambda x: jnp.broadcast_to(x[:, :1], x.shape),
  'repeat': lambda x: jnp.broadcast_to(jnp.arange(3.0), (x.shape[0], 2, 3)),
  'concatenate': lambda x: jnp.concatenate([x, x[:, :2], jnp.ones_like(x)], axis=1),
  'pad': lambda x: jnp.pad(x, ((0, 0), (1, 2), (0, -x.shape[2] % 8), (0, 0)), constant_values=7),
  'negative pad': lambda x: lax.pad(x, 0.0, ((0, 0, 0), (-1, 0, 0), (2, -1, 0), (0, 0, 0))),
  'slice': lambda x: cut(x, (0, 1, 1), (0, x.shape[1], 2), (1, x.shape[2], 1)),
  'reverse': lambda x: lax.rev(x, (1, 3)),
  'gather': lambda x: x[:, 1:3] + x[:, None, 1],
  'slice to a size': lambda x: lax.slice_in_dim(x, 1, (x.shape[2] + 1) // 2, axis=2),
  'split': lambda x: jnp.split(x, [1], axis=3)[1],
  'sizes as values': lambda x: x * x.shape[1] + jnp.arange(x.shape[2])[None, None, :, None],
  'iota': lambda x: lax.broadcasted_iota(jnp.float32, x.shape, 2),
  'sums': lambda x: x.sum((1, 2)) + x.mean((1, 2)) - x.max((1, 2)) * x.min((1, 2)),
  'any': lambda x: (x > 1).any(-1) | (x > -1).all(-1),
  'argmax': lambda x: x.argmax(-1).astype(jnp.uint8) + x.argmin(-1).astype(jnp.uint8),
  'scalar': lambda x: jnp.sum(x).reshape(1, 1),
}


@pytest.mark.parametrize('name', AXES)
def test_axes(name):
  function = AXES[name]
  check(lambda x: function(unit(x)), rtol=1e-4)


CONVOLUTIONS = {
  'plain': lambda x: convolve(x),
  'strided': lambda x: convolve(x, strides=(2, 2), padding=((0, 1), (1, 0))),
  'dilated': lambda x: convolve(x, padding=((2, 2), (2, 2)), rhs_dilation=(2, 2)),
  'same': lambda x: convolve(x, padding='SAME'),
  'depthwise': lambda x: convolve(x, DEPTHWISE, feature_group_count=3),
  'negative padding': lambda x: convolve(x, padding=((-1, 1), (1, 1))),
  'bias': lambda x: jax.nn.relu(convolve(x) + row(0, 1, 2, 3)),
  'pointwise': lambda x: convolve(x, KERNEL[:1, :1], padding='VALID') + 1,
  'pointwise after': lambda x: convolve(
    convolve(x, padding='VALID'), KERNEL[:1, :1, :1].repeat(4, 2)
  ),
  'max-pooling': lambda x: lax.reduce_window(
    x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), ((0, 0), (1, 1), (1, 1), (0, 0))
  ),
  'mean-pooling': lambda x: lax.reduce_window(
    x, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), ((0, 0), (0, 1), (1, 0), (0, 0))
  ),
}


@pytest.mark.parametrize('name', CONVOLUTIONS)
def test_convolutions(name):
  function = CONVOLUTIONS[name]
  check(lambda x: function(unit(x)))


SQUARE, CHANNELS, TWO, WIDE = random(4, 4), random(5, 3), random(5, 2, 3), random(2, 2, 4, 3)

PRODUCTS = {
  'dense': lambda x: x @ MATRIX + 1,
  'tokens': lambda x: x.reshape(x.shape[0], -1, 3) @ MATRIX,
  'attention': lambda x: jnp.einsum('bhwc,bhvc->bhwv', x, x),
  'heads': lambda x: jnp.einsum('bnhd,bmhd->bhnm', x, x),
  'after a convolution': lambda x: convolve(x) @ SQUARE,
  'constant first': lambda x: jnp.einsum('ic,bhwc->ibhw', CHANNELS, x),
  'many axes': lambda x: jnp.einsum('bhwi,kloi->bhkwlo', x, WIDE),
  'summed axes': lambda x: jnp.einsum('bhwi,bhwi->bh', x, x),
  'summed constant': lambda x: jnp.einsum('bhwig,kgi->bhwk', x[..., None] * row(1, 2)[None], TWO),
  'batch and axes': lambda x: jnp.einsum('bhwi,bvui->bhwvu', x, x),
  'vector': lambda x: x @ MATRIX[:, 0],
}


@pytest.mark.parametrize('name', PRODUCTS)
def test_products(name):
  function = PRODUCTS[name]
  check(lambda x: function(unit(x)), rtol=1e-4)


@pytest.mark.parametrize('resize, size', [(resize_bilinear, (11, 5)), (resize_centers, (3, 17))])
def test_resizing(resize, size):
  def jitted(function, x, size):
    named = functools.wraps(function)(lambda x: function(x, size))
    return jax.jit(named)(x)

  check(lambda x: jitted(resize, unit(x), size), sizes=(STATIC,))


def test_layout():
  """Features keep the channels second from the first convolution to the last."""

  kernel, matrix = random(3, 3, 4, 4), random(8, 2)

  def network(x):
    x = jax.nn.relu(convolve(unit(x)) + row(0, 1, 2, 3))
    y = convolve(x, kernel) + row(1, 1, 1, 1)
    y = jnp.concatenate(
      [x + y, lax.pad(x, 0.0, ((0, 0, 0), (1, -1, 0), (0, 0, 0), (0, 0, 0)))], axis=-1
    )
    y = y.reshape(*y.shape[:3], 2, 4)
    y = y - y.mean((1, 2, 4), keepdims=True)
    return y.reshape(*y.shape[:3], 8) @ matrix

  model = check(network, atol=1e-4)
  assert count(model, 'Transpose') == 2
  assert count(model, 'Conv') == 3 and count(model, 'Relu') == 1
  assert [len(node.input) for node in model.graph.node if node.op_type == 'Conv'] == [3, 3, 2]


def test_sizes_below_zero_are_rounded_down():
  """-(-h // 4) is a common way to round up; ONNX divides towards 0."""
  check(lambda x: jnp.pad(x, ((0, 0), (0, -(-x.shape[1] // 4)), (0, 0), (0, 0))))


def test_equal_constants_are_stored_once():
  kernel = random(3, 3, 3, 3)
  model = check(lambda x: convolve(convolve(unit(x), kernel), kernel + 0))
  assert len([x for x in model.graph.initializer if x.dims == [3, 3, 3, 3]]) == 1


def test_names_and_metadata(tmp_path):
  program = trace(
    lambda x: {'label': x.max(-1), 'logits': jnp.pad(unit(x), ((0, 0), (1, 0), (0, 0), (0, 0)))},
    SYMBOLIC,
  )
  write_onnx(program, tmp_path / 'model.onnx', description='a network')
  model = onnx.load(tmp_path / 'model.onnx')
  assert (model.opset_import[0].version, model.ir_version) == (17, 8)
  assert (model.producer_name, model.doc_string) == ('classmix_jax', 'a network')
  shapes = {
    value.name: [d.dim_param or d.dim_value or '?' for d in value.type.tensor_type.shape.dim]
    for value in (*model.graph.input, *model.graph.output)
  }
  assert shapes == {
    'images': ['batch', 'height', 'width', 3],
    'label': ['batch', 'height', 'width'],
    'logits': ['batch', '?', 'width', 3],
  }


def test_operations_without_a_lowering_are_named():
  with pytest.raises(NotImplementedError, match='cumsum'):
    build_model(trace(lambda x: {'y': jnp.cumsum(x, 1)}, SYMBOLIC))
