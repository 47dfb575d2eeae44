"""DINOv2 and the DPT head against the same networks in torch, with random weights."""

import dinov2_weights
from dinov2_weights import draw, init_shapes, small_dinov2, to_torch, to_variables
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.core.resize import resize_bilinear
from classmix_jax.models.backbones import DINOV2
from classmix_jax.models.backbones.dinov2 import choose_size
from classmix_jax.models.heads import HEADS
from classmix_jax.models.heads.dpt import DPT
from classmix_jax.models.heads.linear import Linear
from classmix_jax.models.layers.position_embedding import (
  ANTIALIASED,
  OFFSET,
  axis_matrix,
  interpolate_positions,
)
from classmix_jax.types import Features

NEEDED = "needs pip install 'classmix_jax[torch]'"
SMALL_DPT = {'num_classes': 5, 'width': 16, 'projections': (8, 12, 16, 24)}


@pytest.fixture(scope='module')
def published():
  """The networks in torch, see tests/helpers/dinov2_torch.py."""
  pytest.importorskip('torch', reason=NEEDED)
  import dinov2_torch

  return dinov2_torch


def random_image(size, batch=2):
  return np.random.default_rng(sum(size)).standard_normal((batch, *size, 3), np.float32)


def compare_levels(published, backbone, image, way, taps):
  """Largest difference of a level to torch's, and the root mean square of all levels."""
  shapes = init_shapes(backbone, Linear(num_classes=2))
  tensors = draw(shapes)
  variables = {'params': to_variables(shapes, tensors)['params']['backbone']}
  levels = jax.jit(lambda image: backbone.apply(variables, image, False))(image).levels
  expected = published.levels(
    {name: to_torch(x) for name, x in tensors.items()}, dinov2_weights.nchw(image), taps, way=way
  )
  assert [x.shape for x in levels] == [tuple(x.shape) for x in expected]
  pairs = list(zip(levels, expected, strict=True))
  difference = max(np.abs(np.asarray(x) - y.numpy()).max() for x, y in pairs)
  return difference, np.sqrt(np.mean(np.square(levels)))


@pytest.mark.parametrize(
  'registers, size',
  [
    (False, (28, 42)),
    (False, (98, 70)),
    (True, (28, 42)),
    (True, (98, 70)),
    pytest.param(False, (518, 518), marks=pytest.mark.slow),
    pytest.param(True, (518, 518), marks=pytest.mark.slow),
    pytest.param(False, (560, 532), marks=pytest.mark.slow),
    pytest.param(True, (560, 532), marks=pytest.mark.slow),
  ],
)
def test_levels(published, registers, size):
  """Both interpolations of the position embedding, none at 518, and register tokens."""
  way = ANTIALIASED if registers else OFFSET
  backbone = small_dinov2(registers=registers)
  difference, rms = compare_levels(published, backbone, random_image(size, 1), way, backbone.taps)
  print(f'{size}, registers {registers}: within {difference:.1e} at rms {rms:.1f}')
  assert difference < 2e-5 * max(1, rms)


def test_other_sizes_are_resized(published):
  """39x57 becomes 42x56: with aligned corners, before the network."""
  image, backbone = random_image((39, 57)), small_dinov2()
  assert choose_size((39, 57)) == (42, 56)
  shapes = init_shapes(backbone, Linear(num_classes=2))
  tensors = draw(shapes)
  variables = {'params': to_variables(shapes, tensors)['params']['backbone']}
  features = jax.jit(lambda image: backbone.apply(variables, image, False))(image)
  assert features.strides == (14, 14, 14, 14)
  enlarged = published.upsample(to_torch(image), (42, 56))
  expected = published.levels(
    {name: to_torch(x) for name, x in tensors.items()},
    enlarged.permute(0, 3, 1, 2),
    backbone.taps,
  )
  for x, y in zip(features.levels, expected, strict=True):
    np.testing.assert_allclose(x, y.numpy(), atol=1e-4)


@pytest.mark.parametrize(
  'size, scale, expected',
  [
    ((360, 480), 1.0, (364, 476)),  # 25.7 and 34.3 patches
    ((7, 6), 1.0, (14, 14)),
    ((21, 22), 1.0, (28, 28)),  # 1.5 is rounded up
    ((1024, 2048), 1.0, (1022, 2044)),
    ((180, 240), 2.0, (364, 476)),
  ],
)
def test_nearest_multiples_of_14(size, scale, expected):
  assert choose_size(size, scale) == expected


SIZES = [(1, 3), (7, 7), (13, 17), (26, 34), (36, 38), (37, 20), (57, 57), (64, 90)]


@pytest.mark.parametrize('way', [OFFSET, ANTIALIASED])
@pytest.mark.parametrize('size', SIZES)
def test_interpolation_is_that_of_torch(published, way, size):
  positions = np.random.default_rng(0).standard_normal((1, 1 + 37**2, 8), np.float32)
  expected = published.positions(to_torch(positions), size, way)[0, 1:].reshape(*size, 8)
  grid = interpolate_positions(jnp.asarray(positions[0, 1:].reshape(37, 37, 8)), size, way)
  assert np.abs(np.asarray(grid) - expected.numpy()).max() < 2e-5


@pytest.mark.parametrize('way', [OFFSET, ANTIALIASED])
def test_interpolation_keeps_constants_and_the_grid(way):
  for length in (1, 5, 36, 38, 100):
    np.testing.assert_allclose(axis_matrix(37, length, way).sum(axis=1), 1, atol=1e-6)
  positions = jnp.arange(37 * 37.0).reshape(37, 37, 1)
  assert interpolate_positions(positions, (37, 37), way) is positions


# ------------------------------------------------------------------------ sizes


def count(tree):
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
  'size, encoder, head',
  [
    ('small', 22_056_576, 2_739_061),
    ('base', 86_580_480, 10_948_309),
    ('large', 304_368_640, 31_210_517),
  ],
)
def test_numbers_of_parameters(size, encoder, head):
  """As in the logs of UniMatch V2, with 21 classes; four tokens more with registers."""
  build = DINOV2[f'dinov2_{size}']
  params = init_shapes(build(), HEADS[f'dpt_{size}'](num_classes=21))['params']
  assert (count(params['backbone']), count(params['head'])) == (encoder, head)
  params = init_shapes(DINOV2[f'dinov2_{size}_reg4'](), Linear(num_classes=21))['params']
  width = build.keywords['width']
  assert count(params['backbone']) == encoder + 4 * width
  assert count(params['head']) == 21 * (4 * width + 1)


# ------------------------------------------------------------------------- head


def compare_logits(published, head, grid, width):
  """Largest difference of logits to torch's, relative to their range; and their shape."""
  rng = np.random.default_rng(1)
  levels = [rng.standard_normal((1, *grid, width), np.float32) for _ in range(4)]
  features = Features(tuple(map(jnp.asarray, levels)), (14,) * 4)
  shapes = jax.eval_shape(lambda: head.init(jax.random.key(0), features, False))
  shapes = {'params': {'head': shapes['params']}}
  tensors = draw(shapes)
  variables = {'params': to_variables(shapes, tensors)['params']['head']}
  logits = np.asarray(jax.jit(lambda x: head.apply(variables, x, False))(features))
  expected = published.dpt(
    {name: to_torch(x) for name, x in tensors.items()}, [to_torch(x) for x in levels]
  ).numpy()
  error = np.abs(logits - expected).max() / np.ptp(expected)
  # A second look, at the size of the image.
  size = tuple(14 * side for side in grid)
  enlarged = np.asarray(resize_bilinear(jnp.asarray(logits), size))
  difference = enlarged - published.upsample(to_torch(expected), size).numpy()
  return max(error, np.abs(difference).max() / np.ptp(expected)), logits.shape


@pytest.mark.parametrize('grid', [(3, 4), (2, 5), (1, 1)])
def test_logits_of_the_dpt_head(published, grid):
  error, shape = compare_logits(published, DPT(**SMALL_DPT), grid, 10)
  assert shape == (1, 8 * grid[0], 8 * grid[1], 5)
  assert error < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize('size, width', [('small', 384), ('base', 768)])
def test_logits_of_the_dpt_head_at_518(published, size, width):
  """Levels of 148, 74, 37 and 19 cells, and logits of 296."""
  error, shape = compare_logits(published, HEADS[f'dpt_{size}'](num_classes=21), (37, 37), width)
  print(f'dpt_{size} at 518: logits within {error:.1e} of their range')
  assert shape == (1, 296, 296, 21) and error < 1e-4


def test_unused_tensors_get_no_gradient():
  """The mask token and a unit of the coarsest fusion change nothing; all other arrays do."""
  backbone, head = small_dinov2(), DPT(**SMALL_DPT)
  shapes = init_shapes(backbone, head)
  params = to_variables(shapes, draw(shapes))['params']

  def loss(params, image):
    features = backbone.apply({'params': params['backbone']}, image, False)
    return jnp.square(head.apply({'params': params['head']}, features, False)).sum()

  gradients = jax.jit(jax.grad(loss))(params, random_image((28, 42), 1))
  effect = {
    jax.tree_util.keystr(path, simple=True, separator='/'): bool(jnp.any(x != 0))
    for path, x in jax.tree.leaves_with_path(gradients)
  }
  assert {name for name, has_effect in effect.items() if not has_effect} == {
    'backbone/unused_mask_token',
    'head/fusion4/unused_unit1/conv1/kernel',
    'head/fusion4/unused_unit1/conv1/bias',
    'head/fusion4/unused_unit1/conv2/kernel',
    'head/fusion4/unused_unit1/conv2/bias',
  }
