"""Colours against colorsys, the blur against a direct convolution, switches and ranges."""

import colorsys
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.core import augment_kornia


def column(*values):
  return jnp.array(values).reshape(-1, 1, 1, 1)


def pixels(count=300):
  """`[2, count, 1, 3]` random colours, among them greys, black, white and pure colours."""
  image = np.random.default_rng(0).random((2, count, 1, 3)).astype(np.float32)
  image[:, :8, 0] = list(itertools.product((0, 1), repeat=3))
  image[:, 8:12, 0] = [[0.3] * 3, [0.5, 0.5, 0.2], [0.2, 0.5, 0.5], [0.5, 0.2, 0.5]]
  return image


def with_hsv(image, change):
  rows = [colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*rgb))) for rgb in image.reshape(-1, 3)]
  return np.array(rows).reshape(image.shape)


def test_brightness_is_added():
  image = jnp.array([0.0, 0.5, 0.9]).reshape(1, 1, 1, 3)
  image = jnp.concatenate([image, image])
  result = augment_kornia.adjust_brightness(image, column(0.2, -0.25))
  np.testing.assert_allclose(result[:, 0, 0], [[0.2, 0.7, 1.0], [0.0, 0.25, 0.65]], rtol=1e-6)


def test_contrast_multiplies_about_zero():
  image = jnp.array([0.0, 0.5, 0.9]).reshape(1, 1, 1, 3)
  image = jnp.concatenate([image, image])
  result = augment_kornia.adjust_contrast(image, column(1.2, 0.5))
  np.testing.assert_allclose(result[:, 0, 0], [[0.0, 0.6, 1.0], [0.0, 0.25, 0.45]], rtol=1e-6)


@pytest.mark.parametrize('factor', [0.75, 1.0, 1.25, 3.0])
def test_saturation_is_colorsys(factor):
  image = pixels()
  expected = with_hsv(image, lambda h, s, v: (h, min(1.0, s * factor), v))
  result = augment_kornia.adjust_saturation(jnp.asarray(image), column(factor, factor))
  np.testing.assert_allclose(result, expected, atol=2e-6)


@pytest.mark.parametrize('turn', [-0.25, 0.0, 0.1, 0.25, 1.0])
def test_hue_is_colorsys(turn):
  image = pixels()
  expected = with_hsv(image, lambda h, s, v: ((h + turn) % 1.0, s, v))
  result = augment_kornia.adjust_hue(jnp.asarray(image), column(turn, turn))
  np.testing.assert_allclose(result, expected, atol=3e-6)


@pytest.mark.parametrize('sigma', [0.15, 0.7, 1.15])
def test_blur_is_a_convolution(sigma):
  image = np.random.default_rng(1).random((2, 9, 11, 3)).astype(np.float32)
  taps = np.exp(-0.5 * (np.arange(-6, 7) / sigma) ** 2)
  kernel = np.outer(taps, taps) / np.outer(taps, taps).sum()
  padded = np.pad(image, [(0, 0), (6, 6), (6, 6), (0, 0)], mode='reflect')
  windows = np.lib.stride_tricks.sliding_window_view(padded, (13, 13), axis=(1, 2))
  # Weighs the 13x13 neighbourhood of every pixel and channel.
  expected = np.einsum('bhwcij,ij->bhwc', windows, kernel)
  result = augment_kornia.gaussian_blur(jnp.asarray(image), jnp.array(sigma))
  np.testing.assert_allclose(result, expected, atol=1e-6)


def test_blur_keeps_constants():
  image = jnp.full((1, 8, 8, 3), 0.3)
  np.testing.assert_allclose(augment_kornia.gaussian_blur(image, jnp.array(1.15)), image, rtol=1e-6)


def one_by_one(monkeypatch):
  """Makes loops and switches plain Python, so that values can be looked at."""

  def loop(low, high, body, value):
    for i in range(low, high):
      value = body(i, value)
    return value

  monkeypatch.setattr(augment_kornia.lax, 'fori_loop', loop)
  monkeypatch.setattr(
    augment_kornia.lax, 'switch', lambda index, branches, x: branches[int(index)](x)
  )


def test_factors_are_per_image_and_in_range(monkeypatch):
  """Also: every operation once, in the given order."""
  drawn = {}
  for name in ('brightness', 'contrast', 'saturation', 'hue'):

    def record(image, factor, name=name):
      drawn[name] = np.asarray(factor)
      return image

    monkeypatch.setattr(augment_kornia, f'adjust_{name}', record)
  image = jnp.zeros((400, 1, 1, 3))
  with monkeypatch.context() as patch:
    one_by_one(patch)
    augment_kornia.color_jitter(jax.random.key(0), image, jnp.array([2, 0, 3, 1]), 0.25)
  assert list(drawn) == ['saturation', 'brightness', 'hue', 'contrast']
  for name, center in dict(brightness=0, contrast=1, saturation=1, hue=0).items():
    factor = drawn[name]
    assert factor.shape == (400, 1, 1, 1)
    assert center - 0.25 <= factor.min() < center - 0.22
    assert center + 0.22 < factor.max() <= center + 0.25
    assert abs(factor.mean() - center) < 0.05
  correlation = np.corrcoef([x.ravel() for x in drawn.values()])
  assert np.abs(correlation[np.triu_indices(4, 1)]).max() < 0.2


def test_orders_and_widths_are_drawn_per_batch(monkeypatch):
  """Most of 24 orders occur in 80 batches, widths fill their range, switches are independent."""
  seen, switches = dict(order=[], sigma=[]), []
  monkeypatch.setattr(
    augment_kornia, 'color_jitter', lambda key, x, order, *_: seen['order'].append(order) or x
  )
  monkeypatch.setattr(
    augment_kornia, 'gaussian_blur', lambda x, sigma: seen['sigma'].append(sigma) or x
  )
  monkeypatch.setattr(
    augment_kornia.lax, 'cond', lambda switch, do, leave, x: switches.append(bool(switch)) or do(x)
  )
  for key in jax.random.split(jax.random.key(0), 80):
    augment_kornia.strong_augment(key, jnp.zeros((2, 8, 8, 3)), jitter=0.25, blur=True)
  orders = {tuple(np.asarray(order)) for order in seen['order']}
  assert all(sorted(order) == [0, 1, 2, 3] for order in orders) and len(orders) > 15
  low, high = augment_kornia.BLUR_SIGMA
  sigma = np.array(seen['sigma'])
  assert low <= sigma.min() < low + 0.1 and high - 0.1 < sigma.max() <= high
  assert abs(sigma.mean() - (low + high) / 2) < 0.1
  jittered, blurred = np.array(switches).reshape(-1, 2).T
  assert abs(np.corrcoef(jittered, blurred)[0, 1]) < 0.3


@pytest.mark.parametrize(
  'options, share',
  [
    (dict(jitter=0.25, blur=False), augment_kornia.JITTER_PROBABILITY),
    (dict(jitter=0.0, blur=True), augment_kornia.BLUR_PROBABILITY),
    (dict(jitter=0.0, blur=False), 0.0),
  ],
)
def test_one_switch_per_batch(options, share):
  image = jnp.asarray(np.random.default_rng(2).random((3, 8, 8, 3)), jnp.float32)
  keys = jax.random.split(jax.random.key(0), 300)
  apply = jax.jit(jax.vmap(lambda key: augment_kornia.strong_augment(key, image, **options)))
  result = np.asarray(apply(keys))
  assert result.min() > -1e-6 and result.max() < 1 + 1e-6
  changed = np.abs(result - image[None]).max(axis=(2, 3, 4)) > 1e-6
  assert (changed.all(axis=1) == changed.any(axis=1)).all()
  assert abs(changed[:, 0].mean() - share) < 0.09  # three standard deviations


def test_eager_is_jit():
  image = jnp.asarray(np.random.default_rng(3).random((2, 8, 8, 3)), jnp.float32)
  order = jnp.array([3, 1, 0, 2])

  def jitter(key):
    return augment_kornia.color_jitter(key, image, order, 0.25)

  key = jax.random.key(4)
  np.testing.assert_allclose(jitter(key), jax.jit(jitter)(key), atol=1e-6)
