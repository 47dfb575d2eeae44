"""Exported networks say what JAX says, for batches of any size, and notice where they do not."""

import jax
from jax import export as jax_export
import numpy as np
import pytest
import toy

from classmix_jax import exporter
from classmix_jax.datasets.reading import read_image
from classmix_jax.networks import load_networks
from classmix_jax.types import UserError


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  folder = tmp_path_factory.mktemp('export')
  return toy.write_run(folder / 'run', toy.write_folder(folder / 'data'))


@pytest.fixture(scope='module')
def images(run):
  files = sorted((run.parent / 'data' / 'unlabeled' / 'images').iterdir())[:3]
  return np.stack([read_image(file) for file in files])[:, :24, :32]


@pytest.fixture(scope='module')
def expected(run, images):
  """Logits of the run's teacher, by way of the model itself."""
  import ml_collections

  from classmix_jax import build, rundir
  config = ml_collections.ConfigDict(rundir.read_json(run / 'config.json'))
  model = build.build_model(config, len(toy.CLASSES))
  _, networks = load_networks(run, 'latest')
  return np.asarray(jax.jit(lambda x: model.apply(networks['teacher'], x, train=False))(
      images.astype(np.float32) / 255))


def test_stablehlo(run, images, expected, tmp_path):
  exporter.export(run, tmp_path)
  text = (tmp_path / 'model.stablehlo').read_bytes()
  program = jax_export.deserialize(bytearray(text))
  assert program.platforms == exporter.PLATFORMS
  for count in (1, 3):
    found = program.call(images[:count])
    np.testing.assert_allclose(found['logits'], expected[:count], atol=1e-4)
    np.testing.assert_array_equal(found['label'], expected[:count].argmax(-1))
  card = (tmp_path / 'MODEL_CARD.md').read_text()
  assert 'input: images [B, 24, 32, 3], uint8' in card and 'from scratch' in card


def test_savedmodel(run, images, expected, tmp_path):
  tf = pytest.importorskip('tensorflow')
  exporter.export(run, tmp_path, formats=['savedmodel'])
  loaded = tf.saved_model.load(str(tmp_path / 'savedmodel'))
  for count in (1, 3):
    found = loaded(images[:count])
    np.testing.assert_allclose(found['logits'], expected[:count], atol=1e-4)
    np.testing.assert_array_equal(found['label'], expected[:count].argmax(-1))
  signature = loaded.signatures['serving_default'](images=tf.constant(images))
  np.testing.assert_allclose(signature['logits'], expected, atol=1e-4)


def test_what_does_not_agree_is_refused(run, tmp_path, monkeypatch):
  wrong = lambda network, size, output: lambda images: {
      'logits': 1.01 * np.asarray(network(images)['logits'])}
  monkeypatch.setitem(exporter.FORMATS, 'wrong', wrong)
  with pytest.raises(UserError, match='wrong model.*differ from JAX.* should not be used'):
    exporter.export(run, tmp_path, formats=['wrong'])
  with pytest.raises(UserError, match="'onnx'; choose of stablehlo, savedmodel"):
    exporter.export(run, tmp_path, formats=['onnx'])
