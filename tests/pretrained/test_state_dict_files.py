"""Files of tensors: which are read, which are refused, and that none executes code."""

import os
import pickle
import sys
import zipfile

import numpy as np
import pytest
from state_dicts import NEEDED, save
import toy

from classmix_jax.errors import UserError
from classmix_jax.pretrained.load import open_weights
from classmix_jax.pretrained.state_dict_files import read_file, unwrap, write_file

SMALL = {'conv1.weight': np.arange(6, dtype=np.float32).reshape(2, 3), 'bn1.bias': np.ones(2)}


@pytest.fixture
def torch():
  return pytest.importorskip('torch', reason=NEEDED)


@pytest.mark.parametrize('name', ['x.safetensors', 'x.pth', 'x.pt', 'x.pth.tar', 'x.bin'])
def test_what_is_written_is_read(name, tmp_path):
  path = save(tmp_path / 'new' / name, SMALL)
  read = read_file(path)
  assert read.keys() == SMALL.keys() and [p.name for p in path.parent.iterdir()] == [name]
  for key, x in SMALL.items():
    assert read[key].dtype == x.dtype
    np.testing.assert_array_equal(read[key], x)


@pytest.mark.parametrize('zipped', [True, False])
def test_checkpoints_of_both_formats_of_torch(torch, zipped, tmp_path):
  path = tmp_path / 'checkpoint-iter40000.pth'
  student, teacher = ({'module.a': torch.full((2,), value)} for value in (1.0, 2.0))
  optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=0.1, momentum=0.9)
  torch.save(
    {
      'iteration': 40000,
      'optimizer': optimizer.state_dict(),
      'config': {'dataset': 'cityscapes'},
      'model': student,
      'ema_model': teacher,
    },
    path,
    _use_new_zipfile_serialization=zipped,
  )
  content = read_file(path)
  for network, value in (('student', 1.0), ('teacher', 2.0)):
    assert unwrap(content, network, path)['a'].tolist() == [value, value]


def test_bfloat16_and_parameters_are_read(torch, tmp_path):
  torch.save({'a': torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16))}, tmp_path / 'x.pth')
  assert read_file(tmp_path / 'x.pth')['a'].dtype == np.float32


@pytest.mark.parametrize('key', ['state_dict', 'model'])
def test_a_single_network_is_the_student(key, tmp_path):
  content = {'epoch': 3, key: SMALL}
  assert unwrap(content, 'student', tmp_path).keys() == SMALL.keys()
  with pytest.raises(UserError, match="no state dict of the teacher.*'ema_model'"):
    unwrap(content, 'teacher', tmp_path)


@pytest.mark.parametrize(
  'content, network, sentence',
  [
    ({'epoch': 3}, 'student', "has 'epoch'; expected tensors"),
    ({}, 'student', 'has nothing'),
    (SMALL, 'teacher', 'contains a single network'),
    ({**SMALL, 'extra': 3}, 'student', 'extra is not a dense tensor'),
    (SMALL, 'best', '--network=best is not known'),
  ],
)
def test_other_content_is_an_error(content, network, sentence, tmp_path):
  with pytest.raises(UserError, match=sentence):
    unwrap(content, network, tmp_path / 'x.pth')


class Malicious:
  """Creates a directory when it is unpickled."""

  def __init__(self, trace):
    self.trace = trace

  def __reduce__(self):
    return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize('kind', ['zipped', 'old', 'pickle'])
def test_nothing_in_a_file_is_executed(torch, kind, tmp_path):
  path, trace = tmp_path / 'x.pth', tmp_path / 'executed'
  content = {'state_dict': {'a': torch.ones(2)}, 'extra': Malicious(trace)}
  if kind == 'pickle':
    path.write_bytes(pickle.dumps(content['extra'], protocol=2))
  else:
    torch.save(content, path, _use_new_zipfile_serialization=kind == 'zipped')
  with pytest.raises(UserError, match=r'calls posix\.mkdir; .* nothing was executed'):
    read_file(path)
  assert not trace.exists()
  torch.load(path, weights_only=False) if kind != 'pickle' else pickle.loads(path.read_bytes())
  assert trace.exists()  # without the check


@pytest.mark.parametrize('name', ['x.pth', 'x.safetensors'])
@pytest.mark.parametrize('content', [b'', b'no tensors', b'PK\x03\x04 cut off'])
def test_corrupt_files_are_an_error(name, content, tmp_path):
  if name == 'x.safetensors':
    pytest.importorskip('safetensors', reason=NEEDED)
  (tmp_path / name).write_bytes(content)
  with pytest.raises(UserError, match=name):
    read_file(tmp_path / name)


@pytest.mark.parametrize(
  'attempt, name, sentence',
  [
    (read_file, 'x.safetensors', 'reading it needs safetensors: pip install safetensors'),
    (lambda path: write_file(path, SMALL), 'x.safetensors', 'writing it needs safetensors: pip'),
    (lambda path: write_file(path, SMALL), 'x.pth', 'torch; give it the ending .safetensors, or'),
  ],
)
def test_without_the_package_the_remedy_is_named(attempt, name, sentence, tmp_path, monkeypatch):
  (tmp_path / name).write_bytes(b'')
  for package in ('torch', 'safetensors', 'safetensors.numpy'):
    monkeypatch.setitem(sys.modules, package, None)
  with pytest.raises(UserError, match=sentence) as error:
    attempt(tmp_path / name)
  assert str(error.value).startswith(f'{tmp_path / name}: ')  # not the temporary file


def test_a_missing_file_is_an_error(tmp_path):
  with pytest.raises(UserError, match='x.pth cannot be read'):
    read_file(tmp_path / 'x.pth')


def test_file_that_cannot_be_written(tmp_path, monkeypatch):
  toy.deny_writing(monkeypatch)
  toy.assert_fails(lambda: write_file(tmp_path / 'new/x.safetensors', {}), 'cannot be written')


def test_a_single_tensor_is_no_state_dict(torch, tmp_path):
  torch.save(torch.ones(2), tmp_path / 'x.pth')
  toy.assert_fails(lambda: read_file(tmp_path / 'x.pth'), 'contains one ndarray', 'a state dict')


@pytest.mark.parametrize('name', ['x.npz', 'x.npy', 'x.pkl', 'x'])
def test_other_formats_are_refused(name, tmp_path):
  path, trace = tmp_path / name, tmp_path / 'executed'
  content = np.array([Malicious(trace)], object)
  with open(path, 'wb') as file:
    np.savez(file, a=content) if name == 'x.npz' else np.save(file, content, allow_pickle=True)
  with pytest.raises(UserError, match=f'{name} is neither .* nor a file whose name ends in .pth'):
    open_weights(path)
  assert not trace.exists()
  with open(path, 'rb') as file:
    loaded = np.load(file, allow_pickle=True)
    loaded['a'] if name == 'x.npz' else loaded  # noqa: B018
  assert trace.exists()  # without the check


@pytest.mark.parametrize('name', ['x.pth', 'x.safetensors'])
def test_pickles_under_the_name_of_weights(name, tmp_path):
  if name == 'x.safetensors':
    pytest.importorskip('safetensors')
  for content in (
    pickle.dumps(Malicious(tmp_path / 'executed')),
    pickle.dumps([Malicious(tmp_path / 'executed')], protocol=2),
  ):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=name):
      read_file(tmp_path / name)
  assert not (tmp_path / 'executed').exists()


def test_zip_bomb_in_place_of_weights(tmp_path):
  with zipfile.ZipFile(tmp_path / 'x.pth', 'w', zipfile.ZIP_DEFLATED) as archive:
    archive.writestr('x/data.pkl', b'')
    archive.writestr('x/data/0', bytes(30 * 2**20))
  with pytest.raises(UserError, match=r'x\.pth has .* bytes and would unpack to 31,457,280'):
    read_file(tmp_path / 'x.pth')
