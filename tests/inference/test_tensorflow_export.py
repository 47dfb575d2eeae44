"""SavedModel and TFLite files have the logits of JAX, for images of any size."""

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from random_network import NETWORKS, build_trained, draw_images

from classmix_jax.inference.export.network import exported_network
from classmix_jax.inference.export.trace import trace

tf = pytest.importorskip('tensorflow')

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


def assert_equal(results, network, images, tolerance=2e-5):
  expected = jax.jit(network)(images)
  assert results.keys() == expected.keys()
  for name in ('logits', 'confidence'):
    value = np.asarray(expected[name])
    difference = np.abs(np.asarray(results[name]) - value).max() / np.abs(value).max()
    assert difference < tolerance, f'{name} differs by {difference:.1e}'
  # If two classes are within rounding of each other, either may win.
  assert (np.asarray(results['label']) == expected['label']).mean() > 0.999
  assert all(np.asarray(results[name]).dtype == value.dtype for name, value in expected.items())


@pytest.fixture(scope='module')
def tiny():
  return exported_network(build_trained('tiny', 'conv3x3'))


def test_savedmodel(tiny, tmp_path):
  loaded = write_savedmodel(tiny, tmp_path)
  for shape in ((1, 33, 47), (3, 64, 40)):
    assert_equal(loaded(draw_images(*shape)), tiny, draw_images(*shape))
  signature = loaded.signatures['serving_default']
  assert signature.structured_input_signature[1]['images'].shape.as_list() == [None, None, None, 3]
  images = draw_images(2, 33, 47)
  np.testing.assert_array_equal(
    signature(images=tf.constant(images))['logits'], loaded(images)['logits']
  )


def test_tflite(tiny, tmp_path):
  path, sizes = tmp_path / 'model.tflite', [(64, 48), (33, 47)]
  interpreter = write_tflite(tiny, sizes, path)
  for height, width in sizes:
    images = draw_images(1, height, width)
    run = interpreter.get_signature_runner(f'{height}x{width}')
    assert_equal(run(images=images), tiny, images)
  write_tflite(tiny, sizes[:1], tmp_path / 'one.tflite')
  assert path.stat().st_size < 1.1 * (tmp_path / 'one.tflite').stat().st_size


def test_tflite_in_8_bits(tiny, tmp_path):
  """Only the preparation of the image and the outputs are float32."""

  def calibration(height, width):
    return (draw_images(1, height, width, seed=seed) for seed in range(3))

  path, images = tmp_path / 'model.tflite', draw_images(1, 64, 48)
  results = write_tflite(tiny, [(64, 48)], path, 'int8', calibration).get_signature_runner()(
    images=images
  )
  expected = jax.jit(tiny)(images)
  assert (results['label'] == np.asarray(expected['label'])).mean() > 0.9
  np.testing.assert_allclose(results['confidence'], expected['confidence'], atol=0.05)
  with pytest.raises(ValueError, match='int8 with calibration'):
    write_tflite(tiny, [(64, 48)], path, 'int8')


def test_what_tflite_lacks_is_named(tmp_path):
  with pytest.raises(NotImplementedError, match='^TFLite has no operation Erf of TensorFlow$'):
    write_tflite(
      lambda images: {'y': jax.lax.erf(images / 255)}, [(4, 4)], tmp_path / 'model.tflite'
    )


def test_int8_keeps_the_levels_of_images(tmp_path):
  """Normalisation is one operation, whose range in int8 is that of its result."""

  def network(images):
    return {'y': (images.astype(jnp.float32) / 255.0 * 255.0 - 127.0) / 128.0}

  images = np.arange(16 * 16 * 3).reshape(1, 16, 16, 3).astype(np.uint8)  # all levels
  interpreter = write_tflite(
    network, [(16, 16)], tmp_path / 'model.tflite', 'int8', lambda height, width: [images]
  )
  (y,) = interpreter.get_signature_runner()(images=images).values()
  step = 2 / 255  # of int8 from -1 to 1
  np.testing.assert_allclose(y, (images - 127.0) / 128, atol=0.6 * step)


def test_savedmodel_of_a_resnet(tmp_path):
  """Max-pooling and dilations."""
  network = exported_network(build_trained('resnet18', 'deeplab_v2'))
  images = draw_images(1, 33, 47)
  assert_equal(write_savedmodel(network, tmp_path)(images), network, images)


@pytest.mark.slow
@pytest.mark.parametrize('backbone, head', NETWORKS, ids=map('+'.join, NETWORKS))
def test_every_network(backbone, head, tmp_path):
  network = exported_network(build_trained(backbone, head))
  savedmodel = write_savedmodel(network, tmp_path)
  for shape in ((1, 97, 64), (3, 33, 47)):
    assert_equal(savedmodel(draw_images(*shape)), network, draw_images(*shape))
  interpreter = write_tflite(network, [(97, 64)], tmp_path / 'model.tflite')
  images = draw_images(1, 97, 64)
  assert_equal(interpreter.get_signature_runner()(images=images), network, images)
