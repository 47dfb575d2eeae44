"""SavedModel and TFLite files have the logits of JAX, for images of any size."""

from collections import Counter

import jax
import jaxtyping
import numpy as np
import pytest
from random_network import build_trained, draw_images

from classmix_jax.inference.export.network import exported_network
from classmix_jax.inference.export.trace import trace
from classmix_jax.models.backbones import BACKBONES
from classmix_jax.models.heads import HEADS

tf = pytest.importorskip('tensorflow')

FAST = (('tiny', 'conv3x3'), ('efficientnet_lite0', 'deeplab_v3plus_small'))
ANY_SIZE = 'b, h, w'


@pytest.fixture(autouse=True)
def _symbolic_sizes(monkeypatch):
  """Sizes are annotated as integers, which the tests check and symbolic sizes are not."""
  monkeypatch.setattr(jaxtyping.config, 'jaxtyping_disable', True)


def write_savedmodel(network, directory):
  from classmix_jax.inference.export.tensorflow.savedmodel import write_savedmodel

  write_savedmodel(trace(network, ANY_SIZE), directory)
  return tf.saved_model.load(str(directory))


def write_tflite(network, sizes, path, *options):
  from classmix_jax.inference.export.tensorflow.tflite import write_tflite

  write_tflite([trace(network, f'1, {h}, {w}') for h, w in sizes], path, *options)
  return tf.lite.Interpreter(str(path))


def assert_equal(results, network, images, tolerance=1e-5):
  expected = jax.jit(network)(images)
  assert results.keys() == expected.keys()
  for name in ('logits', 'confidence'):
    value = np.asarray(expected[name])
    difference = np.abs(np.asarray(results[name]) - value).max() / np.abs(value).max()
    assert difference < tolerance, f'{name} differs by {difference:.1e}'
  # If two classes are within rounding of each other, either may win.
  assert (np.asarray(results['label']) == expected['label']).mean() > 0.999
  assert all(np.asarray(results[name]).dtype == value.dtype for name, value in expected.items())


@pytest.fixture(scope='module', params=FAST, ids='+'.join)
def network(request):
  return exported_network(build_trained(*request.param))


def test_savedmodel(network, tmp_path):
  loaded = write_savedmodel(network, tmp_path)
  for shape in ((1, 33, 47), (3, 64, 40)):
    assert_equal(loaded(draw_images(*shape)), network, draw_images(*shape))
  signature = loaded.signatures['serving_default']
  images = draw_images(2, 97, 64)
  assert_equal(signature(images=tf.constant(images)), network, images)
  assert signature.structured_input_signature[1]['images'].shape.as_list() == [None, None, None, 3]


def test_tflite(network, tmp_path):
  path, sizes = tmp_path / 'model.tflite', [(64, 48), (33, 47)]
  interpreter = write_tflite(network, sizes, path)
  for height, width in sizes:
    images = draw_images(1, height, width)
    run = interpreter.get_signature_runner(f'{height}x{width}')
    assert_equal(run(images=images), network, images)


