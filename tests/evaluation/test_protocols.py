"""Protocols by hand: networks that are one line, on images of one row."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.core.resize import (
  interpolation_matrix,
  nearest_multiples,
  resize_bilinear,
  resize_each,
  resize_from_each,
)
from classmix_jax.errors import UserError
from classmix_jax.evaluation.native import native_frame
from classmix_jax.evaluation.protocols import (
  PROTOCOLS,
  Protocol,
  check_protocol,
  describe,
  scores,
  slug,
)
from classmix_jax.evaluation.windows import window_corners


def rows(*values):
  """Images of one row: `[B, 1, W, 3]` whose first channel holds the values."""
  image = np.zeros((len(values), 1, len(values[0]), 3), np.float32)
  image[:, 0, :, 0] = values
  return jnp.asarray(image)


def valid(*widths, frame):
  return jnp.asarray(np.arange(frame)[None, None] < np.array(widths)[:, None, None])


def two_classes(prob):
  """Logits whose softmax is `(prob, 1 - prob)`."""
  return jnp.log(jnp.stack([prob, 1 - prob], axis=-1))


def first(protocol, network, image, valid):
  """The scores of class 0, one row per image."""
  run = jax.jit(lambda image, valid: scores(protocol, network, image, valid))
  return np.asarray(run(image, valid))[:, 0, :, 0]


def brightness(image):
  return two_classes(image[..., 0])


def leftmost(image):
  return two_classes(jnp.broadcast_to(image[:, :, :1, 0], image.shape[:3]))


def mean(image):
  return two_classes(jnp.broadcast_to(image[..., 0].mean((1, 2), keepdims=True), image.shape[:3]))


def linear(image):
  """Logits (v, 0), so that resizing them is resizing v."""
  return jnp.stack([image[..., 0], jnp.zeros(image.shape[:3])], axis=-1)


def sigmoid(x):
  return 1 / (1 + np.exp(-np.asarray(x, float)))


def test_paper_is_the_softmax_of_the_whole_image():
  result = first(Protocol(), brightness, rows([0.1, 0.3, 0.9]), valid(3, frame=3))
  np.testing.assert_allclose(result, [[0.1, 0.3, 0.9]], rtol=1e-6)


def test_full_enlarges_the_logits_to_each_labels_size():
  """Corners stay: 0 6 becomes 0 2 4 6 in a label of 4 pixels, and 0 3 6 in one of 3."""
  result = first(Protocol('full'), linear, rows([0, 6], [0, 6]), valid(4, 3, frame=4))
  np.testing.assert_allclose(result[0], sigmoid([0, 2, 4, 6]), rtol=1e-6)
  np.testing.assert_allclose(result[1, :3], sigmoid([0, 3, 6]), rtol=1e-6)


def test_sliding_adds_windows_up_and_ends_at_the_border():
  """Windows 0-1, 2-3 and 3-4 have the means .2, .6 and .8; pixel 3 is seen twice.

  The second image is 3 wide: windows 0-1 and 1-2, means .3 and .5, and no third one.
  """
  protocol = Protocol('sliding', window=(1, 2), stride=(1, 2))
  image = rows([0.1, 0.3, 0.5, 0.7, 0.9], [0.2, 0.4, 0.6, 0, 0])
  result = first(protocol, mean, image, valid(5, 3, frame=5))
  np.testing.assert_allclose(result[0], [0.2, 0.2, 0.6, 0.6 + 0.8, 0.8], rtol=1e-5)
  np.testing.assert_allclose(result[1, :3], [0.3, 0.3 + 0.5, 0.5], rtol=1e-5)


def test_windows_of_unimatch_on_cityscapes():
  """801 every 534 pixels on 1024x2048: two rows of four windows, the last at 223 and 1247."""
  lay = jax.jit(window_corners, static_argnums=(1, 2, 3))
  corner, expected = jax.device_get(
    lay(np.array([[1024, 2048]]), (1024, 2048), (801, 801), (534, 534))
  )
  assert corner[0].tolist() == [[y, x] for y in (0, 223) for x in (0, 534, 1068, 1247)]
  assert expected.all()


def test_a_window_larger_than_the_image_is_the_image():
  protocol = Protocol('sliding', window=(7, 9), stride=(3, 3))
  np.testing.assert_allclose(
    first(protocol, mean, rows([0.2, 0.4, 0.6]), valid(3, frame=3)), [[0.4] * 3], rtol=1e-5
  )


def test_windows_of_unimatch_v2_on_cityscapes():
  """798 every 532 pixels on 1024x2048: two rows of four windows, the last at 226 and 1250."""
  corner, used = window_corners(np.array([[1024, 2048]]), (1024, 2048), (798, 798), (532, 532))
  assert corner[0].tolist() == [[y, x] for y in (0, 226) for x in (0, 532, 1064, 1250)]
  assert used.all()


def test_native_sees_no_padding():
  """Images of 3 and 4 pixels both become 4 pixels: 0 3 6 is seen as 0 2 4 6, and returns."""
  inputs = []

  def network(image):
    jax.debug.callback(inputs.append, image[:, 0, :, 0])
    return linear(image)

  image = rows([0, 3, 6, 99, 99], [1, 2, 3, 4, 99])
  own = valid(3, 4, frame=5)
  result = first(Protocol('native', multiple=4), network, image, own)
  jax.effects_barrier()
  np.testing.assert_allclose(inputs[0], [[0, 2, 4, 6], [1, 2, 3, 4]], rtol=1e-6)
  np.testing.assert_allclose(result[0, :3], sigmoid([0, 3, 6]), rtol=1e-6)
  np.testing.assert_allclose(result[1, :4], sigmoid([1, 2, 3, 4]), rtol=1e-6)


def test_native_without_multiples_is_the_softmax_of_the_image():
  image = rows([0.1, 0.3, 0.9])
  result = first(Protocol('native'), brightness, image, valid(3, frame=3))
  np.testing.assert_allclose(result, [[0.1, 0.3, 0.9]], rtol=1e-5)


@pytest.mark.parametrize('multiple', [1, 2, 7, 14])
def test_sizes_of_a_frame_have_the_same_multiples(multiple):
  """int(x / multiple + 1/2), as the published code rounds."""
  for side in range(1, 60):
    (rounded, _), (frame, _) = (f((side, 1), multiple) for f in (nearest_multiples, native_frame))
    assert rounded == multiple * max(1, int(side / multiple + 0.5)) and side <= frame
    assert nearest_multiples((frame, 1), multiple)[0] == rounded
    assert nearest_multiples((frame + 1, 1), multiple)[0] == rounded + multiple


@pytest.mark.parametrize('name', PROTOCOLS)
def test_flip_averages_with_the_mirrored_image(name):
  """Predicts the leftmost value everywhere: for a mirrored image, the rightmost."""
  image, own = rows([0.2, 0.4, 0.8]), valid(3, frame=3)
  result = first(Protocol(name, flip=True), leftmost, image, own)
  np.testing.assert_allclose(result, [[0.5] * 3], rtol=1e-5)


def test_flip_makes_a_network_symmetric():
  protocol, own = Protocol(flip=True), valid(3, frame=3)

  def tilted(image):
    return two_classes(image[..., 0] * jnp.array([1, 0.7, 0.4])[None, None])

  seen = first(protocol, tilted, rows([0.2, 0.4, 0.8]), own)
  mirrored = first(protocol, tilted, rows([0.8, 0.4, 0.2]), own)
  np.testing.assert_allclose(mirrored, seen[:, ::-1], rtol=1e-6)


def test_scales_average_probabilities():
  """At scale 1/2 a network sees 0 9 of 0 1 8 9; its logits come back as 0 3 6 9."""
  image, own = rows([0, 1, 8, 9]), valid(4, frame=4)
  half = first(Protocol(scales=(0.5,)), linear, image, own)
  np.testing.assert_allclose(half, [sigmoid([0, 3, 6, 9])], rtol=1e-5)
  both = first(Protocol(scales=(1.0, 0.5)), linear, image, own)
  expected = (sigmoid([0, 1, 8, 9]) + sigmoid([0, 3, 6, 9])) / 2
  np.testing.assert_allclose(both, [expected], rtol=1e-5)


def test_resize_each_is_resize_bilinear():
  x = np.random.default_rng(0).normal(size=(3, 4, 5, 2)).astype(np.float32)
  sizes = [(7, 9), (3, 12), (1, 1)]
  result = np.asarray(jax.jit(resize_each, static_argnums=2)(x, np.array(sizes), (8, 12)))
  assert result.shape == (3, 8, 12, 2)
  for index, (height, width) in enumerate(sizes):
    # Enlarges rows h to H and columns w to W.
    expected = np.einsum(
      'Hh,Ww,hwc->HWc', interpolation_matrix(4, height), interpolation_matrix(5, width), x[index]
    )
    np.testing.assert_allclose(result[index, :height, :width], expected, rtol=1e-4, atol=1e-5)


def test_resize_from_each_ignores_padding():
  x = np.random.default_rng(0).normal(size=(3, 6, 8, 2)).astype(np.float32)
  sizes = [(5, 8), (6, 3), (1, 1)]
  result = np.asarray(jax.jit(resize_from_each, static_argnums=2)(x, np.array(sizes), (7, 4)))
  for index, (height, width) in enumerate(sizes):
    expected = resize_bilinear(jnp.asarray(x[index : index + 1, :height, :width]), (7, 4))
    np.testing.assert_allclose(result[index], expected[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
  'fields, sizes, text',
  [
    (dict(), {(512, 1024)}, 'paper at 512x1024'),
    (dict(pad=(505, 505)), {(375, 500), (500, 333)}, 'paper at own sizes, padded to 505x505'),
    (dict(name='full'), {(1024, 2048)}, 'full at 1024x2048 from 512x1024'),
    (dict(name='sliding', flip=True), {(1024, 2048)}, 'sliding 801/534 at 1024x2048 + flip'),
    (
      dict(name='native', multiple=14),
      {(375, 500), (500, 333)},
      'native at own sizes in multiples of 14',
    ),
    (
      dict(name='sliding', window=(512, 1024), stride=(256, 512), scales=(0.75, 1.0, 1.25)),
      {(1024, 2048)},
      'sliding 512x1024/256x512 at 1024x2048 + scales 0.75,1,1.25',
    ),
  ],
)
def test_descriptions(fields, sizes, text):
  assert describe(Protocol(**fields), sizes, (512, 1024)) == text


def test_slugs_are_file_names():
  text = 'sliding 801/534 at 1024x2048 + scales 0.75,1 + flip'
  assert slug(text) == 'sliding-801-534-at-1024x2048-scales-0.75-1-flip'


@pytest.mark.parametrize(
  'fields, part',
  [
    (dict(name='slide'), "config.eval.protocol is 'slide'; known are paper, full, native, sliding"),
    (dict(window=(801,)), r'config.eval.window is \(801,\); it must be two'),
    (dict(pad=(0, 5)), 'config.eval.pad'),
    (dict(window=(8, 8), stride=(9, 8)), 'config.eval.stride is .*smaller stride'),
    (dict(scales=()), 'config.eval.scales'),
    (dict(scales=(0.0,)), 'config.eval.scales'),
  ],
)
def test_mistakes(fields, part):
  with pytest.raises(UserError, match=part):
    check_protocol(Protocol(**fields))
