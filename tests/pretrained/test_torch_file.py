"""Files of torch.save, written here opcode by opcode, so that torch is not needed."""

import os
import pickle
import zipfile

import ml_dtypes
import numpy as np
import pytest
import toy

from classmix_jax.pretrained import torch_pickle
from classmix_jax.pretrained.torch_file import MAGIC_NUMBER, read_torch

MATRIX = np.arange(6, dtype='<f4')


def tensor(name, kind='Float', key='0', numel=6, offset=0, shape=(2, 3), strides=(3, 1)):
  """The opcodes of a name and a tensor, as items of a dict."""
  numbers = [b''.join(b'I%d\n' % n for n in values) for values in (shape, strides)]
  return (
    f"S'{name}'\nctorch._utils\n_rebuild_tensor_v2\n"
    f"((S'storage'\nctorch\n{kind}Storage\nS'{key}'\nS'cpu'\nI{numel}\ntQI{offset}\n"
  ).encode() + b'(%bt(%btI00\nccollections\nOrderedDict\n(tRtR' % tuple(numbers)


def pickled(*items):
  """An OrderedDict with an attribute, as state dicts have one."""
  attribute = b"(dS'_metadata'\n(dsb"
  return b'\x80\x02ccollections\nOrderedDict\n(tR(' + b''.join(items) + b'u' + attribute + b'.'


def write_archive(path, content, **storages):
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('any/data.pkl', content)
    for key, array in storages.items():
      archive.writestr(f'any/data/{key.removeprefix("k")}', array.tobytes())
  return path


def write_stream(path, content, little_endian=True, **storages):
  keys = [key.removeprefix('k') for key in storages]
  header = (MAGIC_NUMBER, 1001, {'little_endian': little_endian})
  path.write_bytes(
    b''.join(pickle.dumps(value, protocol=2) for value in header)
    + content
    + pickle.dumps(keys, protocol=2)
    + b''.join(len(x).to_bytes(8, 'little') + x.tobytes() for x in storages.values())
  )
  return path


@pytest.mark.parametrize('write', [write_archive, write_stream])
def test_tensors_are_views_of_storages(write, tmp_path):
  items = [
    tensor('rows'),
    tensor('columns', shape=(3, 2), strides=(1, 3)),  # the same elements, transposed
    tensor('last', offset=5, shape=(), strides=()),
    tensor('count', 'Long', '1', numel=1, shape=(), strides=()),
    tensor('none', 'Float', '2', numel=0, shape=(0, 4), strides=(4, 1)),
  ]
  storages = {'k0': MATRIX, 'k1': np.array([7]), 'k2': MATRIX[:0]}
  content = read_torch(write(tmp_path / 'x.pth', pickled(*items), **storages))
  assert content['rows'].tolist() == [[0, 1, 2], [3, 4, 5]]
  assert content['columns'].tolist() == [[0, 3], [1, 4], [2, 5]]
  assert content['last'] == 5 and content['count'] == 7 and content['none'].shape == (0, 4)
  assert content['rows'].dtype == np.float32 and content['count'].dtype == np.int64


@pytest.mark.parametrize('write', [write_archive, write_stream])
def test_bfloat16_is_widened(write, tmp_path):
  stored = np.array([1, -2.5], ml_dtypes.bfloat16)
  items = tensor('a', 'BFloat16', numel=2, shape=(2,), strides=(1,))
  content = read_torch(write(tmp_path / 'x.pth', pickled(items), k0=stored))
  assert content['a'].dtype == np.float32 and content['a'].tolist() == [1, -2.5]


@pytest.mark.parametrize('write', [write_archive, write_stream])
@pytest.mark.parametrize(
  'item, sentence',
  [
    (tensor('a', offset=1), 'cannot be read as a file of torch'),
    (tensor('a', strides=(-3, 1)), 'cannot be read as a file of torch'),
    (tensor('a', numel=10**12), 'tensors are larger than the file'),
    (tensor('a', numel=7, shape=(7,), strides=(1,)), 'cannot be read as a file of torch'),
    (tensor('a', 'Quantized'), 'calls torch.QuantizedStorage; only tensors and plain values'),
    (b"S'a'\ncos\nsystem\n(S'true'\ntR", 'calls os.system; only tensors'),
    (b"S'a'\ncbuiltins\ngetattr\n(S'a'\ntR", 'calls builtins.getattr; only tensors'),
    (b"S'a'\nS'person'\nQ", 'cannot be read as a file of torch'),
    (b"S'a'\ncnumpy\ndtype\n(S'O'\ntR", 'a NumPy value of dtype O'),
  ],
)
def test_other_content_is_refused(item, sentence, write, tmp_path):
  path = write(tmp_path / 'x.pth', pickled(item), k0=MATRIX)
  toy.assert_fails(lambda: read_torch(path), str(path), sentence)


def test_attributes_are_not_set(tmp_path):
  """BUILD could change the functions that stand for those of torch."""
  item = b"S'a'\nctorch._utils\n_rebuild_parameter\nN(dS'__defaults__'\n(I1\nts\x86b"
  path = write_archive(tmp_path / 'x.pth', pickled(item))
  before = torch_pickle.rebuild_parameter.__defaults__
  assert callable(read_torch(path)['a'])
  assert torch_pickle.rebuild_parameter.__defaults__ == before


@pytest.mark.parametrize(
  'content, sentence',
  [
    (pickle.dumps(1), 'is not a file of torch'),
    (pickle.dumps(os.mkdir), 'calls posix.mkdir'),
    (b'', 'cannot be read as a file of torch'),
  ],
)
def test_other_pickles_are_refused(content, sentence, tmp_path):
  (tmp_path / 'x.pth').write_bytes(content)
  toy.assert_fails(lambda: read_torch(tmp_path / 'x.pth'), sentence)


def test_big_endian_files_are_refused(tmp_path):
  path = write_stream(tmp_path / 'x.pth', pickled(tensor('a')), little_endian=False, k0=MATRIX)
  toy.assert_fails(lambda: read_torch(path), 'numbers of a big-endian machine')


def test_a_file_that_is_cut_off(tmp_path):
  path = write_stream(tmp_path / 'x.pth', pickled(tensor('a')), k0=MATRIX)
  path.write_bytes(path.read_bytes()[:-1])
  toy.assert_fails(lambda: read_torch(path), 'it is cut off')


def test_torch_reads_the_same(tmp_path):
  torch = pytest.importorskip('torch', reason='compared with torch where it is installed')
  content = {
    'a': torch.nn.Parameter(torch.arange(6.0).reshape(2, 3).T),
    'b': torch.ones(3, dtype=torch.bfloat16) / 3,
    'c': {'d': torch.tensor(True), 'e': torch.arange(4)[1:3], 'iou': np.float64(0.5)},
    'f': [torch.Size([2]), torch.device('cpu'), torch.float32, {1}],
  }
  for zipped in (True, False):
    path = tmp_path / f'{zipped}.pth'
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    read = read_torch(path)
    assert read['a'].tolist() == [[0, 3], [1, 4], [2, 5]]
    np.testing.assert_array_equal(read['b'], content['b'].float().numpy())
    assert read['c']['d'].dtype == bool and read['c']['e'].tolist() == [1, 2]
    assert read['c']['iou'] == 0.5 and read['f'] == [(2,), 'cpu', 'torch.float32', {1}]
