"""Files that want harm: nothing is executed, filled up, or written where it does not belong."""

import ast
import io
import os
from pathlib import Path
import pickle
import struct
import sys
import zipfile
import zlib

import numpy as np
from PIL import Image
import pytest
import toy

from classmix_jax.data.files.decoding import Decoding
from classmix_jax.data.files.image_io import read_image
from classmix_jax.data.files.mask_io import read_mask
from classmix_jax.datasets import cityscapes
from classmix_jax.errors import UserError
from classmix_jax.inference import predict_files
from classmix_jax.inference.predictor import Prediction
from classmix_jax.pretrained.load import open_weights
from classmix_jax.pretrained.state_dict_files import read_file
from classmix_jax.tools.annotations.parsing import parse_relative_path
from classmix_jax.training.self_training import label_path
from classmix_jax.utils.paths import inside

ROOT = Path(__file__).resolve().parents[2]
MEGABYTE = 2**20


class Hostile:
  """Leaves a trace where it is unpickled."""

  def __init__(self, trace):
    self.trace = trace

  def __reduce__(self):
    return os.mkdir, (str(self.trace),)


# ----------------------------------------------------------------- nothing is executed


def test_nothing_here_unpickles():
  """Of what runs a file's content there is one call, and it takes tensors only."""
  found = []
  for path in sorted([*(ROOT / 'classmix_jax').rglob('*.py'), *(ROOT / 'launch').rglob('*.py')]):
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
      if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if name in (
          'torch.load',
          'np.load',
          'eval',
          'exec',
          'os.system',
          'pickle.load',
          'pickle.loads',
          'pickle.Unpickler',
          'yaml.load',
          'marshal.loads',
        ):
          found.append((path.name, name, options.get('weights_only')))
        assert options.get('shell') != 'True', path
  assert found == [('state_dict_files.py', 'torch.load', 'True')]


@pytest.mark.parametrize('name', ['x.npz', 'x.npy', 'x.pkl', 'x'])
def test_other_files_are_no_weights(name, tmp_path):
  path, trace = tmp_path / name, tmp_path / 'executed'
  content = np.array([Hostile(trace)], object)
  with open(path, 'wb') as file:
    np.savez(file, a=content) if name == 'x.npz' else np.save(file, content, allow_pickle=True)
  with pytest.raises(UserError, match=f'{name} is neither .* nor a file whose name ends in .pth'):
    open_weights(path)
  assert not trace.exists()
  with open(path, 'rb') as file:
    loaded = np.load(file, allow_pickle=True)
    loaded['a'] if name == 'x.npz' else loaded  # noqa: B018
  assert trace.exists()  # it would have been


@pytest.mark.parametrize('name', ['x.pth', 'x.safetensors'])
def test_pickles_and_arrays_in_disguise(name, tmp_path):
  pytest.importorskip('torch' if name == 'x.pth' else 'safetensors')
  for content in (
    pickle.dumps(Hostile(tmp_path / 'executed')),
    pickle.dumps([Hostile(tmp_path / 'executed')], protocol=2),
  ):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=name):
      read_file(tmp_path / name)
  assert not (tmp_path / 'executed').exists()


def test_pictures_start_no_other_program(tmp_path, monkeypatch):
  """PIL would give an EPS file to Ghostscript, whatever its name."""
  path = tmp_path / 'x.png'
  Image.new('RGB', (3, 2)).save(path, 'EPS')
  with Image.open(path) as image:
    assert image.format == 'EPS'
  monkeypatch.setattr('subprocess.check_call', lambda *_, **__: pytest.fail('it was started'))
  with pytest.raises(UserError, match='x.png does not decode .*not a picture that can be ident'):
    read_image(path)


# -------------------------------------------------------------------------- nothing grows


def chunk(kind, data):
  return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def png(*chunks, size=(2, 3)):
  header = chunk(b'IHDR', struct.pack('>IIBBBBB', *size, 8, 0, 0, 0, 0))
  pixels = chunk(b'IDAT', zlib.compress((b'\0' + b'\1' * size[0]) * min(size[1], 9)))
  return b'\x89PNG\r\n\x1a\n' + header + b''.join(chunks) + pixels + chunk(b'IEND', b'')


BOMB = zlib.compress(bytes(80 * MEGABYTE), 9)


@pytest.mark.parametrize(
  'chunks, size',
  [
    ([chunk(b'zTXt', b'Comment\0\0' + BOMB)], (2, 3)),
    ([chunk(b'iTXt', b'Comment\0\1\0\0\0' + BOMB)], (2, 3)),
    ([chunk(b'iCCP', b'profile\0\0' + BOMB)], (2, 3)),
    ([], (70_000, 70_000)),
  ],
)
def test_bombs_in_a_png(chunks, size, tmp_path):
  """80 megabytes in a text of 80 kilobytes, and five billion pixels in none."""
  (tmp_path / 'x.png').write_bytes(png(*chunks, size=size))
  decoding = Decoding(('a', 'b'), np.arange(65536, dtype=np.int16))
  for read in (read_image, lambda path: read_mask(path, decoding)):
    try:
      array = read(tmp_path / 'x.png')
    except UserError as error:
      toy.assert_says(str(error), tmp_path / 'x.png')
    else:  # PIL leaves some texts packed, which is as good
      assert array.shape[:2] == (3, 2)


def test_too_many_pixels_have_their_own_remedy(tmp_path):
  (tmp_path / 'x.png').write_bytes(png(size=(70_000, 70_000)))
  with pytest.raises(UserError, match='more than 178,956,970 pixels: cut it into parts'):
    read_image(tmp_path / 'x.png')


def test_a_picture_that_is_no_bomb_is_read(tmp_path):
  (tmp_path / 'x.png').write_bytes(png(chunk(b'zTXt', b'Comment\0\0' + zlib.compress(b'hello'))))
  assert read_image(tmp_path / 'x.png').shape == (3, 2, 3)


def zipped(path, members):
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
    for name, content in members.items():
      archive.writestr(name, content)
  return path


def test_an_archive_that_would_fill_the_disk(tmp_path):
  for name in ('leftImg8bit', 'gtFine'):
    zipped(tmp_path / f'{name}_trainvaltest.zip', {f'{name}/train/a.png': bytes(30 * MEGABYTE)})
  with pytest.raises(UserError, match=r'would unpack to 31,457,280, .* refused'):
    cityscapes.load(str(tmp_path))


def test_weights_that_would_fill_the_memory(tmp_path):
  pytest.importorskip('torch')
  zipped(tmp_path / 'x.pth', {'x/data.pkl': b'', 'x/data/0': bytes(30 * MEGABYTE)})
  with pytest.raises(UserError, match=r'x\.pth has .* bytes and would unpack to 31,457,280'):
    read_file(tmp_path / 'x.pth')


# ------------------------------------------------------------ nothing leaves its folder


def test_archives_stay_in_their_folder(tmp_path):
  """Members with .. and absolute ones are left out; the others are prepared. Links are refused."""
  folders, root = toy.write_cityscapes(tmp_path / 'folders'), tmp_path / 'deep' / 'root'
  toy.write_cityscapes_archives(tmp_path / 'made', folders)
  root.mkdir(parents=True)
  for path in (tmp_path / 'made').iterdir():
    (root / path.name).write_bytes(path.read_bytes())
  image = io.BytesIO()
  Image.new('RGB', (2, 2)).save(image, 'PNG')
  outside = tmp_path / 'absolute.png'
  with zipfile.ZipFile(root / 'leftImg8bit_trainvaltest.zip', 'a') as archive:
    for name in ('../evil.png', 'leftImg8bit/train/../../../../evil.png', str(outside)):
      archive.writestr(name, image.getvalue())
  assert len(cityscapes.load(str(root)).train) == 4
  assert not outside.exists() and not list(tmp_path.rglob('evil*'))
  link = zipfile.ZipInfo('leftImg8bit/train/link')
  link.external_attr = 0o120777 << 16
  with zipfile.ZipFile(root / 'leftImg8bit_trainvaltest.zip', 'a') as archive:
    archive.writestr(link, str(tmp_path))
  with pytest.raises(UserError, match='holds the link leftImg8bit/train/link'):
    cityscapes.load(str(root), tfds_dir=str(tmp_path / 'anew'))


@pytest.mark.parametrize('name', ['../x', 'a/../../x', '/tmp/x', 'a/../x'])
def test_names_that_lead_out(name, tmp_path):
  for call in (
    lambda: inside(tmp_path, name),
    lambda: label_path(tmp_path, name),
    lambda: parse_relative_path(name),
  ):
    with pytest.raises(UserError, match='leads? out'):
      call()


def test_names_that_stay(tmp_path):
  for name in ('x.png', 'a/b/x.png', 'a..b/...x', 'ä é'):
    assert inside(tmp_path, name) == tmp_path / name


class Everything:
  """Predicts class 1 everywhere."""

  class_names, palette = ('a', 'b'), ((0, 0, 0), (255, 255, 255))

  def predict_all(self, pictures, batch_size):
    for image in pictures:
      yield Prediction(np.ones(image.shape[:2], np.uint8), np.ones(image.shape[:2], np.float32))


@pytest.fixture
def predict(monkeypatch, tmp_path):
  monkeypatch.setattr(predict_files, 'load', lambda *_, **__: Everything())
  return lambda source, output: predict_files.predict_files(
    tmp_path, str(source), Path(output), batch_size=2
  )


def test_links_in_the_output_folder(predict, tmp_path):
  """A link in place of a result is replaced; a linked folder is refused."""
  toy.save(tmp_path / 'in/a.png', np.zeros((2, 3, 3)))
  toy.save(tmp_path / 'in/sub/b.png', np.zeros((2, 3, 3)))
  (tmp_path / 'secret.txt').write_text('kept')
  (tmp_path / 'elsewhere').mkdir()
  output = tmp_path / 'out'
  output.mkdir()
  for name in ('a.png', 'a_overlay.png', 'classes.json'):
    (output / name).symlink_to(tmp_path / 'secret.txt')
  predict(tmp_path / 'in/a.png', output)
  assert (tmp_path / 'secret.txt').read_text() == 'kept'
  assert np.asarray(Image.open(output / 'a.png')).tolist() == [[1] * 3] * 2
  (output / 'sub').symlink_to(tmp_path / 'elsewhere')
  with pytest.raises(UserError, match='out/sub is a link that leads out of .*out: remove it'):
    predict(tmp_path / 'in', output)
  assert not list((tmp_path / 'elsewhere').iterdir())


def test_an_output_folder_that_is_a_link_itself(predict, tmp_path):
  toy.save(tmp_path / 'in/a.png', np.zeros((2, 3, 3)))
  (tmp_path / 'real').mkdir()
  (tmp_path / 'out').symlink_to(tmp_path / 'real')
  predict(tmp_path / 'in', tmp_path / 'out')
  assert (tmp_path / 'real/a_confidence.png').exists()


def test_globs_that_climb(predict, tmp_path, monkeypatch):
  """'*/../../x' once named its results 'a/../../x'."""
  toy.save(tmp_path / 'x.png', np.zeros((2, 3, 3)))
  for name in ('a', 'b'):
    (tmp_path / 'work' / name).mkdir(parents=True)
  monkeypatch.chdir(tmp_path / 'work')
  before = set(tmp_path.rglob('*'))
  with pytest.raises(UserError, match="both have the name 'x'"):
    predict('*/../../x.png', 'out')
  predict('a/../../x.png', 'out')
  new = set(tmp_path.rglob('*')) - before
  assert {path.name for path in new} == {
    'out',
    'x.png',
    'x_overlay.png',
    'x_confidence.png',
    'classes.json',
  }
  assert all(path.is_relative_to(tmp_path / 'work/out') for path in new)


def test_a_picture_is_not_replaced_by_its_classes(predict, tmp_path):
  path = toy.save(tmp_path / 'in/a.png', np.full((2, 3, 3), 9))
  with pytest.raises(UserError, match='would replace the picture .*a.png.* choose another folder'):
    predict(tmp_path / 'in', tmp_path / 'in')
  assert read_image(path).max() == 9


def test_modules_of_the_current_folder_are_not_imported():
  """Programs put the repository first; nothing adds the folder that they are started in."""
  for path in (ROOT / 'launch').glob('*.py'):
    text = path.read_text(encoding='utf-8')
    assert "sys.path.insert(0, '" not in text and 'os.getcwd()' not in text, path
  assert sys.version_info >= (3, 11)
