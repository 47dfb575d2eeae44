"""ONNX models in float16 and int8 agree with float32, and keep in it what would not."""

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

onnx = pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')

from classmix_jax.core.plain import plain_operations  # noqa: E402
from classmix_jax.core.resize import resize_bilinear  # noqa: E402
from classmix_jax.inference.export.onnx.float16 import write_float16  # noqa: E402
from classmix_jax.inference.export.onnx.int8 import write_int8  # noqa: E402
from classmix_jax.inference.export.onnx.write import write_onnx  # noqa: E402
from classmix_jax.inference.export.trace import trace  # noqa: E402

RNG = np.random.default_rng(0)
KERNELS = [
  RNG.normal(size=shape).astype(np.float32)
  for shape in [(3, 3, 3, 8), (3, 3, 1, 8), (1, 1, 8, 8), (1, 1, 8, 4), (8, 8)]
]


def convolve(x, kernel, stride=1, **options):
  return lax.conv_general_dilated(
    x, kernel, (stride, stride), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC'), **options
  )


def network(images):
  """Convolutions like those of a MobileNet, a norm over channels, a product, and a resize."""
  x = images.astype(jnp.float32) / 255
  # Far outside of 0..6, as the results of a folded BN are.
  x = jax.nn.relu6(convolve(10 * x - 5, KERNELS[0], stride=2))
  x = x + jax.nn.relu6(convolve(x, KERNELS[1], feature_group_count=8) - 3)
  x = convolve(x, KERNELS[2])
  x = 1000 * x  # whose squares exceed float16
  x = x - x.mean(-1, keepdims=True)
  x = x * lax.rsqrt((x**2).mean(-1, keepdims=True) + 1e-6)
  x = convolve(jax.nn.relu(x @ KERNELS[4]), KERNELS[3])
  with plain_operations():
    logits = resize_bilinear(x, images.shape[1:3])
  return {'label': logits.argmax(-1).astype(jnp.uint8), 'logits': logits}


def draw(*shape):
  coarse = RNG.integers(0, 256, (*shape, 3))
  return np.kron(coarse, np.ones((1, 4, 4, 1), int)).astype(np.uint8)


@pytest.fixture(scope='module')
def path(tmp_path_factory):
  path = tmp_path_factory.mktemp('precision') / 'model.onnx'
  write_onnx(trace(network, 'b, h, w'), path)
  return path


def run(path, images):
  session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
  return dict(
    zip(('label', 'logits'), session.run(['label', 'logits'], {'images': images}), strict=True)
  )


def compare(path, precise, shapes=((2, 9, 12), (1, 7, 5))):
  """Returns the largest relative difference of the logits, and the least share of equal pixels."""
  differences, shares = [], []
  for shape in shapes:
    images = draw(*shape)
    outputs, expected = run(path, images), run(precise, images)
    assert {name: x.dtype for name, x in outputs.items()} == {'label': 'uint8', 'logits': 'float32'}
    error = np.abs(outputs['logits'] - expected['logits']).max()
    differences.append(error / np.abs(expected['logits']).max())
    shares.append((outputs['label'] == expected['label']).mean())
  return max(differences), min(shares)


def test_float16(path):
  target = path.with_name('float16.onnx')
  write_float16(path, target)
  difference, share = compare(target, path)
  assert 0 < difference < 0.01 and share > 0.99
  model = onnx.load(target)
  types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
  products = [node for node in model.graph.node if node.op_type in ('Conv', 'MatMul')]
  assert len(products) == 5
  assert all(types[node.input[1]] == onnx.TensorProto.FLOAT16 for node in products)
  # No value is rounded on the way between two operations in float32.
  rounded = {
    x.output[0] for x in model.graph.node if x.op_type == 'Cast' and x.attribute[0].i == 10
  }
  users = [x for x in model.graph.node if rounded.intersection(x.input)]
  assert users and all(node.op_type != 'Cast' for node in users)


def test_int8(path):
  target = path.with_name('int8.onnx')
  write_int8(path, target, [draw(1, 8, 8) for _ in range(4)])
  difference, share = compare(target, path)
  assert 0 < difference < 0.3 and share > 0.9
  model = onnx.load(target)
  # The first result is stored from 0 to 6, whatever the convolution's was before it was cut off.
  first = next(node for node in model.graph.node if node.op_type == 'Conv')
  stored = next(node for node in model.graph.node if node.input[0] == first.output[0])
  arrays = {x.name: onnx.numpy_helper.to_array(x) for x in model.graph.initializer}
  scale, zero = (arrays[name] for name in stored.input[1:])
  assert stored.op_type == 'QuantizeLinear' and zero == 0
  assert scale == pytest.approx(6 / 255)
  kernels = [
    x for x in model.graph.initializer if x.data_type == onnx.TensorProto.INT8 and len(x.dims) > 1
  ]
  assert sorted(x.dims[0] for x in kernels) == [4, 8, 8, 8, 8]
  assert (model.opset_import[0].version, model.ir_version) == (17, 8)
