"""Strong colour distortion: each operation by hand, switches and ranges by counting."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.core import augment_torchvision

JITTER = (0.5, 0.5, 0.5, 0.25)


def pixel(*rgb):
  return jnp.array(rgb, jnp.float32).reshape(1, 1, 3)


def test_grey_is_the_luma():
  np.testing.assert_allclose(
    augment_torchvision.to_grey(pixel(1.0, 0.5, 0.0))[0, 0], [0.299 + 0.2935] * 3, rtol=1e-6
  )


def test_blend():
  """Half way to black; a quarter beyond the image, away from grey, clamped."""
  image = pixel(0.2, 0.4, 0.9)
  np.testing.assert_allclose(
    augment_torchvision.blend(image, jnp.zeros_like(image), 0.5)[0, 0], [0.1, 0.2, 0.45], rtol=1e-6
  )
  grey = jnp.full_like(image, 0.4)
  np.testing.assert_allclose(
    augment_torchvision.blend(image, grey, 1.25)[0, 0], [0.15, 0.4, 1.0], rtol=1e-6
  )


def test_zero_strength_changes_nothing():
  image = jnp.asarray(np.random.default_rng(0).random((4, 5, 3)), jnp.float32)
  np.testing.assert_allclose(
    augment_torchvision.jitter_image(jax.random.key(0), image, (0.0,) * 4), image, atol=1e-6
  )


def many(count=200, **options):
  """The same image so many times, distorted."""
  image = np.random.default_rng(0).uniform(0.3, 0.7, (1, 9, 9, 3)).astype(np.float32)
  options = dict(jitter=(0.0,) * 4) | options
  run = jax.jit(lambda image: augment_torchvision.distort(jax.random.key(1), image, **options))
  return image, np.asarray(run(jnp.repeat(jnp.asarray(image), count, axis=0)))


@pytest.mark.parametrize(
  'options, share',
  [
    (dict(jitter=JITTER), 0.8),
    (dict(jitter=JITTER, jitter_probability=1.0), 1.0),
    (dict(grey=0.2), 0.2),
    (dict(blur=0.5), 0.5),
  ],
)
def test_every_image_has_a_switch_of_its_own(options, share):
  before, after = many(**options)
  changed = (np.abs(after - before) > 1e-4).any(axis=(1, 2, 3))
  assert share - 0.1 < changed.mean() < share + 0.1
  if 'grey' in options:
    assert (after[changed] == after[changed][..., :1]).all()
  else:  # and strengths of its own
    assert len(np.unique(after[changed].round(5), axis=0)) == changed.sum()


def test_blur_keeps_the_mean_of_the_middle():
  """A constant stays, so a blurred image stays within its range and varies less."""
  before, after = many(blur=0.5)
  changed = (np.abs(after - before) > 1e-4).any(axis=(1, 2, 3))
  assert after.min() >= before.min() - 1e-6 and after.max() <= before.max() + 1e-6
  assert (after[changed].std(axis=(1, 2, 3)) < before.std()).all()


def test_nothing_leaves_the_range():
  _, after = many(jitter=JITTER, grey=0.2, blur=0.5)
  assert after.min() >= 0 and after.max() <= 1


def test_the_three_switches_are_independent():
  """Grey shows in the colours, jitter in a uniform patch, blur in the other pixels."""
  image = np.random.default_rng(0).uniform(0.3, 0.7, (1, 40, 40, 3)).astype(np.float32)
  image[:, :, :30] = (0.5, 0.4, 0.6)  # blurring does not reach its middle
  run = jax.jit(
    lambda image: augment_torchvision.distort(
      jax.random.key(1),
      image,
      jitter=(0.4, 0.0, 0.0, 0.0),
      jitter_probability=0.5,
      grey=0.5,
      blur=0.5,
    )
  )
  result = np.asarray(run(jnp.repeat(jnp.asarray(image), 160, axis=0)))
  grey = (result == result[..., :1]).all(axis=(1, 2, 3))

  def luma(x):
    return np.asarray(augment_torchvision.to_grey(jnp.asarray(x)))[..., 0]

  factor = luma(result[:, 20, 15]) / luma(image[:, 20, 15])
  jittered = np.abs(factor - 1) > 1e-3
  spread = luma(result)[:, :, 31:].std(axis=(1, 2)) / factor
  blurred = spread < 0.98 * luma(image)[:, :, 31:].std()
  switches = np.array([grey, jittered, blurred])
  assert (np.abs(switches.mean(axis=1) - 0.5) < 0.15).all()
  correlation = np.corrcoef(switches)
  assert np.abs(correlation[np.triu_indices(3, 1)]).max() < 0.25
