"""Exports: every format agrees with JAX, for images of any size, and what does not is refused."""

import importlib.util
import json
from pathlib import Path
import re
import shutil
import subprocess
import sys

import jax
from jax import export as jax_export
import numpy as np
from pages import ROOT, blocks
from PIL import Image
import pytest
import toy

from classmix_jax.data.splits import split_hash
from classmix_jax.errors import UserError
from classmix_jax.inference.export import export, fixed_size, formats, self_test
from classmix_jax.inference.export.model_card import describe_frame, describe_licence
from classmix_jax.inference.export.network import restore, training_form
from classmix_jax.inference.export.self_test import Check
from classmix_jax.inference.frame import Frame
from classmix_jax.inference.predictor import load
from classmix_jax.workdir import run_files

SIZES = [(2, 24, 32), (1, 41, 30)]


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  directory = tmp_path_factory.mktemp('export')
  return toy.write_run(directory / 'run', toy.write_folder(directory / 'data'))


@pytest.fixture(scope='module')
def exported(run):
  """All formats, each tested in a fresh process."""
  names = ['stablehlo', 'savedmodel', 'tflite']
  if are_installed('onnx', 'onnxruntime'):
    names.append('onnx')
  return export.export(
    run,
    run.parent / 'out',
    formats=names,
    sizes=[(24, 32), (41, 30)],
    outputs=['label', 'logits', 'confidence'],
  )


def are_installed(*modules):
  return all(importlib.util.find_spec(module) for module in modules)


@pytest.fixture(scope='module')
def cases(run):
  """Images of two sizes with the outputs of the network as it is trained."""
  network = jax.jit(training_form(restore(run, 'latest', '')))
  rng = np.random.default_rng(1)
  images = [rng.integers(0, 256, (*shape, 3), np.uint8) for shape in SIZES]
  return [(batch, network(batch)) for batch in images]


def assert_agrees(outputs, expected):
  np.testing.assert_allclose(outputs['logits'], expected['logits'], atol=1e-4)
  np.testing.assert_array_equal(outputs['label'], expected['label'])
  np.testing.assert_allclose(outputs['confidence'], expected['confidence'], atol=1e-5)
  assert [np.asarray(outputs[name]).dtype for name in ('label', 'logits', 'confidence')] == [
    np.uint8, np.float32, np.float32,
  ]  # fmt: skip


def test_files_agree_with_the_network(exported):
  for file in exported.files:
    assert file.path.exists()
    assert file.check.difference < 1e-5, file.kind
    assert file.check.pixels == 0, file.kind
    assert file.check.milliseconds > 0
  assert exported.size == (24, 32)
  libraries = [file.check.library.split()[0] for file in exported.files]
  assert libraries[:3] == ['jax', 'tensorflow', 'TFLite']


def test_stablehlo(exported, cases):
  program = jax_export.deserialize(bytearray(exported.files[0].path.read_bytes()))
  assert program.platforms == ('cpu', 'cuda', 'rocm', 'tpu')
  for images, expected in cases:
    assert_agrees(program.call(images), expected)


def test_savedmodel(exported, cases):
  tf = pytest.importorskip('tensorflow')
  model = tf.saved_model.load(str(exported.files[1].path))
  for images, expected in cases:
    assert_agrees(model(images), expected)
    assert_agrees(model.signatures['serving_default'](images=tf.constant(images)), expected)


@pytest.mark.filterwarnings('ignore:.*tf.lite.Interpreter is deprecated')
def test_tflite(exported, cases):
  tf = pytest.importorskip('tensorflow')
  interpreter = tf.lite.Interpreter(str(exported.files[2].path))
  for images, expected in cases:
    runner = interpreter.get_signature_runner(f'{images.shape[1]}x{images.shape[2]}')
    first = {name: value[:1] for name, value in expected.items()}
    assert_agrees(runner(images=images[:1]), first)


def test_onnx(exported, cases):
  onnxruntime = pytest.importorskip('onnxruntime')
  pytest.importorskip('onnx')
  session = onnxruntime.InferenceSession(str(exported.files[3].path))
  names = [output.name for output in session.get_outputs()]
  metadata = session.get_modelmeta().custom_metadata_map
  assert json.loads(metadata['class_names']) == list(toy.CLASSES)
  for images, expected in cases:
    assert_agrees(dict(zip(names, session.run(names, {'images': images}), strict=True)), expected)


def test_as_predicted(run, cases):
  """The network sees an image as `predict` does."""
  predictor = load(run, step='latest')
  for images, expected in cases:
    label, confidence = predictor.predict(images[0])
    np.testing.assert_array_equal(label, expected['label'][0])
    np.testing.assert_allclose(confidence, expected['confidence'][0], atol=1e-5)


def test_the_model_card(run, exported):
  card = (run.parent / 'out' / 'MODEL_CARD.md').read_text()
  toy.assert_says(
    card,
    'input: images [B, H, W, 3], uint8',
    'from scratch',
    '4 labelled and 6 unlabelled',
    f'split: {split_hash([f"street/{index}" for index in range(4)])}',
    'not evaluated',
    'terms of the data: those of its owner',
    'padded with black to multiples of 32 pixels',
    'model.tflite | float32 | 24x32, 41x30 |',
    'model.stablehlo | float32 | any |',
    'confidence [B, H, W], float32',
  )


def test_quick_starts_run(run, exported, cases, tmp_path):
  """Those of the card and of docs/export.md, in a process without this package."""
  images, expected = cases[0]
  output = run.parent / 'out'
  np.save(tmp_path / 'images.npy', images[:1])
  Image.fromarray(images[0]).save(tmp_path / 'photo.jpg', 'PNG')
  (tmp_path / 'OUT').symlink_to(output)
  kinds = [file.kind for file in exported.files]
  text = (output / 'MODEL_CARD.md').read_text()
  card = [
    f"images = np.load('images.npy')\nos.chdir('OUT')\n{block}\nos.chdir(home)"
    for block in re.findall(r'```python\n(.*?)```', text, re.DOTALL)
  ]
  page = [block for block in blocks(ROOT / 'docs' / 'export.md', 'python') if 'photo.jpg' in block]
  assert (len(card), len(page)) == (len(kinds), 4)
  if 'onnx' not in kinds:
    page = [block for block in page if 'onnxruntime' not in block]
  lines = ['import os, sys', 'import numpy as np', 'home = os.getcwd()']
  for index, block in enumerate([*card, *page]):
    read = 'label' if index < len(card) else "[Image.open('label.png')]"
    lines += [block, f"np.save('label{index}.npy', np.asarray({read}[0]))"]
  lines.append("assert 'classmix_jax' not in sys.modules")
  subprocess.run([sys.executable, '-c', '\n'.join(lines)], cwd=tmp_path, check=True)
  for index in range(len(card) + len(page)):
    label = np.load(tmp_path / f'label{index}.npy')
    np.testing.assert_array_equal(label, expected['label'][0])


def test_what_does_not_agree_is_refused(run, tmp_path, monkeypatch):
  """A library that writes logits which are 1 % too large."""
  entry = formats.FORMATS['stablehlo']

  def write(job, path):
    def network(images):
      outputs = job.network(images)
      return outputs | {'logits': 1.01 * outputs['logits']}

    entry.write(job._replace(network=network), path)

  monkeypatch.setitem(formats.FORMATS, 'stablehlo', entry._replace(write=write))
  with pytest.raises(
    UserError, match=r'model.stablehlo differ from JAX.* by 1.0e-02 .* should not'
  ):
    export.export(run, tmp_path)


def test_a_network_that_loses_too_much_is_refused():
  path, lost, bearable = Path('m.tflite'), Check(0.1, 0.63, 1.0, 'x'), Check(0.9, 0.05, 1.0, 'x')
  toy.assert_fails(
    lambda: export.check_difference(path, lost, 'int8'), '63 % of the pixels', 'int8', '--format'
  )
  export.check_difference(path, bearable, 'int8')
  toy.assert_fails(lambda: export.check_difference(path, bearable, 'float32'), '9.0e-01')


def test_a_damaged_file_does_not_run(tmp_path):
  path = tmp_path / 'model.stablehlo'
  path.write_bytes(b'no program')
  toy.assert_fails(
    lambda: self_test.run_file('stablehlo', path, {'8x8': np.zeros((1, 8, 8, 3), np.uint8)}),
    'model.stablehlo does not run in a fresh process',
    'should not be used',
  )


@pytest.mark.parametrize(
  'options, parts',
  [
    ({'formats': ['caffe']}, ["--format has 'caffe'", 'stablehlo, savedmodel, tflite, onnx']),
    ({'formats': []}, ['--format has no names']),
    ({'outputs': ['score']}, ["--outputs has 'score'", 'label, logits, confidence']),
    ({'precision': 'int8'}, ['--precision=int8 is none of stablehlo', 'float32, bfloat16']),
    ({'precision': 'half'}, ['--precision=half is none of']),
  ],
)
def test_wrong_choices(run, tmp_path, options, parts):
  toy.assert_fails(lambda: export.export(run, tmp_path / 'out', **options), *parts)
  assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
  'kind, module', [('savedmodel', 'tensorflow.savedmodel'), ('onnx', 'onnx.write')]
)
def test_without_its_library(kind, module, monkeypatch, tmp_path):
  monkeypatch.setitem(sys.modules, f'classmix_jax.inference.export.{module}', None)
  package = {'savedmodel': 'tensorflow', 'onnx': r"'classmix_jax[onnx]'"}[kind]
  job = formats.Job(lambda images: {'label': images[..., 0]})
  toy.assert_fails(lambda: formats.write_format(kind, job, tmp_path), f'pip install {package}')


def test_errors_of_a_library_are_reported(tmp_path):
  def network(images):
    return {'label': jax.lax.fori_loop(0, images.shape[0], lambda i, x: x + 1, images[..., 0])}

  pytest.importorskip('onnx')
  with pytest.raises(
    UserError, match=r'onnx cannot be written of this network \(Not.*the op.* while'
  ):
    formats.write_format('onnx', formats.Job(network), tmp_path)


def test_sizes():
  assert fixed_size.parse_sizes(['360x480', '7x9']) == [(360, 480), (7, 9)]
  for text in ('360', '360x', '0x8', '8,9', '-1x5'):
    toy.assert_fails(lambda text=text: fixed_size.parse_sizes([text]), f'--sizes={text}', 'x480')
  assert fixed_size.choose_tested_sizes((360, 480)) == [(360, 480), (271, 361)]


def test_the_size_of_the_evaluation(run, tmp_path, monkeypatch):
  """Working size, padding, recorded size, crop, in this order; without any, an error."""
  copy = shutil.copytree(run, tmp_path / 'run')
  config = json.loads((copy / 'config.json').read_text())

  def write(**fields):
    for name, value in fields.items():
      part, field = name.split('__')
      config[part][field] = value
    (copy / 'config.json').write_text(json.dumps(config))

  assert fixed_size.evaluation_size(copy) == ((24, 32), 'the training crop of the run')
  write(data__crop=[])
  toy.assert_fails(lambda: fixed_size.evaluation_size(copy), '--sizes=HEIGHTxWIDTH')
  monkeypatch.setattr(run_files, 'read_results', lambda run: {1: {'protocol': 'paper at 41x30'}})
  assert fixed_size.evaluation_size(copy)[0] == (41, 30)
  write(eval__pad=[50, 60])
  assert fixed_size.evaluation_size(copy)[0] == (50, 60)
  write(data__size=[48, 64])
  assert fixed_size.evaluation_size(copy) == ((48, 64), 'the working size of the run')


def test_words_of_the_card():
  assert describe_frame(Frame(multiple=14)).startswith('images are resized to multiples of 14')
  assert 'to 50x60, larger ones to multiples of 32' in describe_frame(Frame(pad=(50, 60)))
  origin = {'name': 'w.pth', 'trained_on': 'COCO', 'sha256': 'ab'}
  assert 'w.pth (trained on COCO, SHA-256 ab), whose licence' in describe_licence(origin)
