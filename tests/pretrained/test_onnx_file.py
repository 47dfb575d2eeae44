"""Weights in ONNX files: which are read, and with which names and axes."""

import numpy as np
from onnx_writer import field, onnx_model, tensor
import pytest

from classmix_jax.errors import UserError
from classmix_jax.pretrained.onnx_file import read_onnx
from classmix_jax.pretrained.state_dict_files import read_file, write_file

WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)


def write(path, data):
  path.write_bytes(data)
  return path


@pytest.mark.parametrize('raw', [True, False])
def test_tensors_are_read(raw, tmp_path):
  path = write(tmp_path / 'x.onnx', onnx_model({'a': WEIGHT, 'b': WEIGHT[0]}, raw=raw))
  tensors = read_file(path)
  assert list(tensors) == ['a', 'b']
  np.testing.assert_array_equal(tensors['a'], WEIGHT)
  np.testing.assert_array_equal(tensors['b'], WEIGHT[0])


@pytest.mark.parametrize('dtype', ['float16', 'float64'])
def test_other_floats_keep_their_type(dtype, tmp_path):
  path = write(tmp_path / 'x.onnx', onnx_model({'a': WEIGHT.astype(dtype)}))
  assert read_onnx(path)['a'].dtype == dtype


def test_integers_are_left_out(tmp_path):
  path = write(tmp_path / 'x.onnx', onnx_model({'axes': np.array([1, 2]), 'a': WEIGHT}))
  assert list(read_onnx(path)) == ['a']


def test_names_come_from_the_nodes(tmp_path):
  """Weights of linear layers are transposed back; parts of a parameter are known by the node."""
  tensors = {'onnx::MatMul_7': WEIGHT, 'onnx::Concat_8': WEIGHT, 'onnx::Mul_9': WEIGHT, 'a': WEIGHT}
  nodes = [
    ('/encoder/layer.0/mlp/fc1/MatMul', 'MatMul', ['x', 'onnx::MatMul_7']),
    ('/embeddings/Concat_6', 'Concat', ['onnx::Concat_8', 'y']),
    ('/norm/Mul', 'Mul', ['a', 'x']),
  ]
  restored = read_onnx(write(tmp_path / 'x.onnx', onnx_model(tensors, nodes)))
  linear = 'encoder.layer.0.mlp.fc1.weight'
  assert list(restored) == [linear, 'embeddings.Concat', 'onnx::Mul_9', 'a']
  np.testing.assert_array_equal(restored[linear], WEIGHT.T)
  np.testing.assert_array_equal(restored['embeddings.Concat'], WEIGHT)


@pytest.mark.parametrize(
  'data, reason',
  [
    (b'', '0 graphs instead of one'),
    (onnx_model({'a': WEIGHT})[:-1], 'truncated'),
    (bytes([255] * 20), 'more than 64 bits'),
    (bytes([11]), 'wire type 3'),
    (field(7, 1), 'a number instead of bytes'),
    (field(7, field(5, tensor('a', WEIGHT) + field(1, 2))), 'a has 24 bytes, .* shape .2, 3, 2.'),
    (field(7, field(5, tensor('a', WEIGHT) + field(14, 1))), 'in another file'),
    (field(7, field(5, field(8, bytes([255])))), 'decode'),
  ],
)
def test_corrupt_files_are_an_error(data, reason, tmp_path):
  with pytest.raises(UserError, match=f'x.onnx cannot be read as ONNX .*{reason}'):
    read_onnx(write(tmp_path / 'x.onnx', data))


def test_onnx_files_are_only_read(tmp_path):
  with pytest.raises(UserError, match='x.onnx cannot be written.*the ending .pth or .safetensors'):
    write_file(tmp_path / 'x.onnx', {'a': WEIGHT})
  with pytest.raises(UserError, match='x.onnx cannot be read .No such file'):
    read_file(tmp_path / 'x.onnx')
