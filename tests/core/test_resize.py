"""Align-corners resizing by hand and on ramps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.core.resize import interpolation_matrix, resize_bilinear, resize_each


def test_by_hand():
  x = jnp.array([[0.0, 6.0], [4.0, 10.0]]).reshape(1, 2, 2, 1)
  expected = [[0, 2, 4, 6], [2, 4, 6, 8], [4, 6, 8, 10]]
  np.testing.assert_allclose(resize_bilinear(x, (3, 4))[0, :, :, 0], expected, rtol=1e-6)
  jitted = jax.jit(resize_bilinear, static_argnums=1)(x, (3, 4))
  np.testing.assert_allclose(jitted[0, :, :, 0], expected, rtol=1e-6)


@pytest.mark.parametrize(
  'before, after', [((4, 5), (29, 33)), ((9, 13), (64, 96)), ((33, 29), (5, 8)), ((3, 3), (3, 3))]
)
def test_a_ramp_stays_a_ramp(before, after):
  """Corners stay where they are, so a linear image is the same linear image at any size."""

  def ramp(size):
    row, column = np.linspace(-1, 2, size[0]), np.linspace(5, 3, size[1])
    return np.stack([row[:, None] + column, 2 * row[:, None] - column], -1)[None]

  result = resize_bilinear(jnp.asarray(ramp(before), jnp.float32), after)
  np.testing.assert_allclose(result, ramp(after), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('sizes', [(1, 4), (4, 1), (7, 7), (5, 17), (41, 321)])
def test_rows_sum_to_one(sizes):
  np.testing.assert_allclose(interpolation_matrix(*sizes).sum(1), 1, rtol=1e-6)


def test_one_pixel_fills_and_equal_sizes_change_nothing():
  assert interpolation_matrix(1, 3).tolist() == [[1], [1], [1]]
  np.testing.assert_array_equal(interpolation_matrix(6, 6), np.eye(6))


def test_keeps_the_dtype():
  assert resize_bilinear(jnp.ones((1, 2, 2, 1), jnp.bfloat16), (4, 4)).dtype == jnp.bfloat16


def test_each_to_its_size_and_its_border_beyond():
  x = jnp.asarray(np.random.default_rng(0).random((2, 3, 4, 2)), jnp.float32)
  sizes = [(5, 7), (9, 6)]
  result = resize_each(x, jnp.array(sizes), (9, 8))
  for image, one, (height, width) in zip(x, result, sizes, strict=True):
    expected = resize_bilinear(image[None], (height, width))[0]
    beyond = np.pad(expected, ((0, 9 - height), (0, 8 - width), (0, 0)), 'edge')
    np.testing.assert_allclose(one, beyond, atol=1e-5)
