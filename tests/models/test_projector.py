"""The layers between features and losses of pixels."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from classmix_jax.core.resize import resize_bilinear
from classmix_jax.models.correlator import Correlator
from classmix_jax.models.projector import PixelProjector
from classmix_jax.types import Features


def features():
  rng = np.random.default_rng(0)
  shapes = (2, 5, 7, 3), (2, 3, 4, 6)
  return Features(
    tuple(jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes), (4, 8)
  )


def test_projector_is_linear_in_all_levels_then_relu_and_linear():
  """As if the levels were joined at the resolution of the first; vectors have length 1."""
  x, projector = features(), PixelProjector(8)
  variables = projector.init(jax.random.key(0), x)
  params = jax.tree.map(lambda x: x + 0.1, variables['params'])
  joined = jnp.concatenate([x.levels[0], resize_bilinear(x.levels[1], (5, 7))], axis=-1)
  kernel = jnp.concatenate([params['level0']['kernel'], params['level1']['kernel']])
  hidden = np.maximum(joined @ kernel + params['level0']['bias'][None, None, None], 0)
  expected = hidden @ params['output']['kernel'] + params['output']['bias'][None, None, None]
  expected /= np.linalg.norm(expected, axis=-1, keepdims=True)
  result = projector.apply({'params': params}, x)
  np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)
  assert set(params['level1']) == {'kernel'}


def test_correlator_takes_no_level_coarser_than_stride_16():
  x, correlator = features(), Correlator(8)
  for strides, grid in (((4, 16), (3, 4)), ((16, 32), (5, 7)), ((32, 32), (3, 4))):
    run = functools.partial(correlator.init_with_output, jax.random.key(0))
    (query, _), _ = jax.eval_shape(run, Features(x.levels, strides))
    assert query.shape == (2, *grid, 8)


def test_correlator_takes_the_last_level():
  x, correlator = features(), Correlator(8)
  variables = correlator.init(jax.random.key(0), x)
  query, key = correlator.apply(variables, x)
  assert query.shape == key.shape == (2, 3, 4, 8)
  other = Features((x.levels[0] + 1, x.levels[1]), x.strides)
  np.testing.assert_array_equal(correlator.apply(variables, other)[0], query)
