"""Products pixel by pixel: the sum of a gradient in parts, on GPUs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.models.layers.pixel_product import (
  count_parts,
  sum_in_parts,
  sum_in_place,
  sum_products,
)


@pytest.mark.parametrize(
  'rows, width, channels, expected',
  [
    (4 * 65, 129, (256, 1024), 10),  # 4 x 8 tiles: 8 parts are enough, 10 divide
    (4 * 65, 129, (2048, 512), 2),  # 32 x 4
    (4 * 64, 128, (256, 1024), 8),
    (4 * 129, 257, (64, 64), 129),  # one tile: parts of 4 x 257 pixels
    (4 * 16, 20, (256, 256), 1),  # 1,280 pixels
    (7, 1000, (1, 1), 7),  # a row is the smallest part
    (0, 10, (256, 256), 1),
  ],
)
def test_parts_divide_the_rows(rows, width, channels, expected):
  assert count_parts(rows, width, channels) == expected


def test_parts_have_the_sum_of_all_pixels():
  rs = np.random.RandomState(0)
  x, gradient = (rs.randn(2, 6, 5, features) for features in (3, 4))
  expected = x.reshape(-1, 3).T @ gradient.reshape(-1, 4)
  for dtype, tolerance in ((jnp.float32, 1e-5), (jnp.bfloat16, 0.02)):
    actual = sum_in_parts(jnp.asarray(x, dtype), jnp.asarray(gradient, dtype), 4, None)
    assert actual.dtype == dtype
    np.testing.assert_allclose(actual.astype(jnp.float32), expected, tolerance, 10 * tolerance)


@pytest.mark.parametrize('platform, parts', [('cuda', 5), ('cpu', 0), ('tpu', 0)])
def test_only_gpus_sum_in_parts(platform, parts):
  x, gradient = (jax.ShapeDtypeStruct((1, 5, 1000, features), jnp.float32) for features in (3, 4))
  sums = jax.jit(lambda x, gradient: sum_products(x, gradient, None))
  program = sums.trace(x, gradient).lower(lowering_platforms=(platform,)).as_text()
  assert ('batching_dims = [0] x [0]' in program) == bool(parts)
  assert (f'tensor<{parts}x3x4xf32>' in program) == bool(parts)


@pytest.mark.parametrize('features', [(3, 4), (4, 3), (3, 3)])
def test_in_place_is_the_sum_of_all_pixels(features):
  rs = np.random.RandomState(0)
  x, gradient = (rs.randn(2, 6, 5, each) for each in features)
  expected = x.reshape(-1, features[0]).T @ gradient.reshape(-1, features[1])
  for dtype, tolerance in ((jnp.float32, 1e-5), (jnp.bfloat16, 0.02)):
    actual = sum_in_place(jnp.asarray(x, dtype), jnp.asarray(gradient, dtype), None)
    assert actual.dtype == dtype
    np.testing.assert_allclose(actual.astype(jnp.float32), expected, tolerance, 10 * tolerance)


@pytest.mark.parametrize('features', [(64, 128), (128, 64), (128, 128)])
def test_cpus_copy_no_wide_factor(features):
  """A transposed copy of a factor would be an instruction that returns `[channels, pixels]`."""
  shapes = [jax.ShapeDtypeStruct((2, 5, 7, each), jnp.float32) for each in features]
  program = jax.jit(lambda x, y: sum_products(2 * x, 2 * y, None)).lower(*shapes).compile()
  assert ',70]{1,0}' not in program.as_text()
