"""Exported networks equal JAX for batches of any size; differences are detected."""

import importlib.util
import json
import os
from pathlib import Path
import shutil
import sys

import jax
from jax import export as jax_export
import numpy as np
from PIL import Image
import pytest
import toy

from classmix_jax.config.load import read_config
from classmix_jax.config.trained import trained_setup
from classmix_jax.data.files.image_io import read_image
from classmix_jax.data.splits import split_hash
from classmix_jax.errors import UserError
from classmix_jax.inference.export import export
from classmix_jax.inference.restore import load_networks

SHARED = Path(__file__).resolve().parents[3] / 'shared' / 'data'
CAMVID = Path(os.environ.get('CLASSMIX_JAX_DATA', SHARED)) / 'camvid' / 'val'


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  directory = tmp_path_factory.mktemp('export')
  return toy.write_run(directory / 'run', toy.write_folder(directory / 'data'))


@pytest.fixture(scope='module')
def images(run):
  files = sorted((run.parent / 'data' / 'unlabeled' / 'images').iterdir())[:3]
  return np.stack([read_image(file) for file in files])[:, :24, :32]


@pytest.fixture(scope='module')
def expected(run, images):
  return logits(run, images)


def logits(run, images):
  """Logits of the run's teacher, by way of the model itself."""
  model = trained_setup(read_config(run), len(toy.CLASSES)).method.model
  _, networks = load_networks(run, 'latest')
  return np.asarray(
    jax.jit(lambda x: model.apply(networks['teacher'], x, train=False))(
      images.astype(np.float32) / 255
    )
  )


def test_stablehlo(run, images, expected, tmp_path):
  export.export(run, tmp_path)
  text = (tmp_path / 'model.stablehlo').read_bytes()
  program = jax_export.deserialize(bytearray(text))
  assert program.platforms == export.PLATFORMS
  for count in (1, 3):
    result = program.call(images[:count])
    np.testing.assert_allclose(result['logits'], expected[:count], atol=1e-4)
    np.testing.assert_array_equal(result['label'], expected[:count].argmax(-1))
  card = (tmp_path / 'MODEL_CARD.md').read_text()
  toy.assert_says(
    card,
    'input: images [B, 24, 32, 3], uint8',
    'from scratch',
    '4 labelled and 6 unlabelled',
    f'split: {split_hash([f"street/{index}" for index in range(4)])}',
    'not evaluated',
  )


def test_savedmodel(run, images, expected, tmp_path):
  tf = pytest.importorskip('tensorflow')
  export.export(run, tmp_path, formats=['savedmodel'])
  loaded = tf.saved_model.load(str(tmp_path / 'savedmodel'))
  for count in (1, 3):
    result = loaded(images[:count])
    np.testing.assert_allclose(result['logits'], expected[:count], atol=1e-4)
    np.testing.assert_array_equal(result['label'], expected[:count].argmax(-1))
  signature = loaded.signatures['serving_default'](images=tf.constant(images))
  np.testing.assert_allclose(signature['logits'], expected, atol=1e-4)
  # Whatever JAX writes by default, older releases of TensorFlow than this one should read.
  assert b'StableHLO_v1.8.0' in (tmp_path / 'savedmodel' / 'saved_model.pb').read_bytes()


def test_tflite(run, images, expected, tmp_path):
  tf = pytest.importorskip('tensorflow')
  export.export(run, tmp_path, formats=['tflite'])
  result = tf.lite.Interpreter(str(tmp_path / 'model.tflite')).get_signature_runner()(
    images=images[1:2]
  )
  np.testing.assert_allclose(result['logits'], expected[1:2], atol=1e-4)
  np.testing.assert_array_equal(result['label'], expected[1:2].argmax(-1))


def test_onnx(run, images, expected, tmp_path):
  pytest.importorskip('jax2onnx', reason='jax2onnx is not installed')
  onnxruntime = pytest.importorskip('onnxruntime')
  export.export(run, tmp_path, formats=['onnx'])
  session = onnxruntime.InferenceSession(
    str(tmp_path / 'model.onnx'), providers=['CPUExecutionProvider']
  )
  for count in (1, 3):
    label, result = session.run(['label', 'logits'], {'images': images[:count]})
    np.testing.assert_allclose(result, expected[:count], atol=1e-4)
    np.testing.assert_array_equal(label, expected[:count].argmax(-1))


def test_onnx_without_its_library(run, tmp_path, monkeypatch):
  monkeypatch.delitem(sys.modules, 'classmix_jax.inference.export.onnx', raising=False)
  monkeypatch.setitem(sys.modules, 'jax2onnx', None)
  with pytest.raises(UserError, match=r"pip install 'classmix_jax\[onnx\]'"):
    export.export(run, tmp_path, formats=['onnx'])


@pytest.mark.slow
@pytest.mark.parametrize(
  'backbone, head, formats',
  [
    ('tiny', 'conv3x3', ['stablehlo', 'savedmodel', 'tflite', 'onnx']),
    ('resnet18', 'deeplab_v2', ['stablehlo', 'savedmodel', 'tflite']),
    ('resnet50_deep', 'deeplab_v3plus', ['stablehlo', 'savedmodel']),
    ('efficientnet_lite0', 'deeplab_v3plus_small', ['stablehlo', 'savedmodel']),
    ('tiny', 'unet', ['stablehlo', 'savedmodel', 'tflite']),
    ('tiny', 'fpn', ['stablehlo', 'savedmodel', 'tflite']),
  ],
)
def test_on_real_images(backbone, head, formats, tmp_path):
  """Checks the table of docs/export.md, networks and formats, on frames of CamVid."""
  files = sorted(CAMVID.glob('*.png'))[::40]
  if not files:
    pytest.skip('no camvid directory in ../shared/data or in $CLASSMIX_JAX_DATA')
  frames = np.stack(
    [np.asarray(Image.open(file).convert('RGB').resize((120, 90))) for file in files]
  )
  run = toy.write_run(
    tmp_path / 'run',
    toy.write_folder(tmp_path / 'data'),
    **{'model.backbone': backbone, 'model.head': head, 'data.crop': (90, 120)},
  )
  expected_logits = logits(run, frames)
  if importlib.util.find_spec('jax2onnx') is None:
    formats = [name for name in formats if name != 'onnx']
  network = export.restore_network(run, 'latest', '')[0]
  for name in formats:
    result = export.FORMATS[name](network, (90, 120), tmp_path)(frames)
    np.testing.assert_allclose(result['logits'], expected_logits, atol=1e-4, err_msg=name)
    # Where two classes are within rounding of each other either may win.
    assert (np.asarray(result['label']) == expected_logits.argmax(-1)).mean() > 0.999, name


def test_errors_of_a_library_are_reported(run, tmp_path, monkeypatch):
  def fails(network, size, output):
    raise ValueError('no such operation\nand much more')

  monkeypatch.setitem(export.FORMATS, 'onnx', fails)
  match = r'behind onnx cannot .* \(ValueError: no such operation and much more\);'
  with pytest.raises(UserError, match=match):
    export.export(run, tmp_path, formats=['onnx'])


def test_what_does_not_agree_is_refused(run, tmp_path, monkeypatch):
  def wrong(network, size, output):
    return lambda images: {'logits': 1.01 * np.asarray(network(images)['logits'])}

  monkeypatch.setitem(export.FORMATS, 'wrong', wrong)
  with pytest.raises(UserError, match='wrong model.*differ from JAX.* should not be used'):
    export.export(run, tmp_path, formats=['wrong'])
  with pytest.raises(UserError, match="'caffe'; choose of stablehlo, savedmodel, tflite"):
    export.export(run, tmp_path, formats=['caffe'])


@pytest.mark.parametrize('write', [export.savedmodel, export.tflite])
def test_without_tensorflow(write, monkeypatch, tmp_path):
  monkeypatch.delattr('classmix_jax.inference.export.tensorflow', raising=False)
  monkeypatch.setitem(sys.modules, 'classmix_jax.inference.export.tensorflow', None)
  toy.assert_fails(lambda: write(None, (2, 2), tmp_path), 'pip install tensorflow')


def test_a_run_of_many_image_sizes_needs_a_size(run, tmp_path):
  copy = shutil.copytree(run, tmp_path / 'run')
  config = json.loads((copy / 'config.json').read_text())
  config['data']['crop'] = []
  (copy / 'config.json').write_text(json.dumps(config))
  toy.assert_fails(
    lambda: export.export(copy, tmp_path / 'out'), 'many sizes', '--size=HEIGHT,WIDTH'
  )
