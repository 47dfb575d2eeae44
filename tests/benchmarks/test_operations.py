"""Counted operations against hand-computed values, and against XLA's own count of a step."""

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.core.optim import poly_optimizer
from classmix_jax.methods import METHODS
from classmix_jax.models.backbones import BACKBONES
from classmix_jax.models.heads import HEADS
from classmix_jax.models.segmenter import build_segmenter
from classmix_jax.training.create_state import create_state
from classmix_jax.training.step import make_train_step
from classmix_jax.types import Batch, Example

SQUARE = np.ones((4, 4), np.float32)
PRODUCT = 2 * 4 * 4 * 4  # of two of these


@pytest.fixture
def counted():
  """Returns what a function with arguments takes."""
  from operations import count

  return lambda function, *arguments: count(jax.make_jaxpr(function)(*arguments))


def test_products(counted):
  assert counted(jnp.dot, np.ones((3, 4)), np.ones((4, 5))) == (2 * 3 * 5 * 4, 0)

  def product(x, y):
    # A batch of seven matrix products.
    return jnp.einsum('bij,bjk->bik', x, y)

  assert counted(product, np.ones((7, 3, 4)), np.ones((7, 4, 5))).operations == 7 * 2 * 3 * 5 * 4


@pytest.mark.parametrize(
  'stride, dilation, groups', [(1, 1, 1), (2, 1, 1), (1, 2, 1), (2, 1, 2), (1, 3, 4)]
)
def test_a_convolution_and_its_gradients(counted, stride, dilation, groups):
  image = np.ones((2, 16, 16, 4), np.float32)
  kernel = np.ones((3, 3, 4 // groups, 8), np.float32)

  def forward(image, kernel):
    return lax.conv_general_dilated(
      image,
      kernel,
      (stride, stride),
      'SAME',
      rhs_dilation=(dilation, dilation),
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
      feature_group_count=groups,
    )

  def both(image, kernel):
    result, pull_back = jax.vjp(forward, image, kernel)
    return result, pull_back(result)

  side = 16 // stride
  by_hand = 2 * (2 * side * side * 8) * (3 * 3 * 4 // groups)
  assert counted(forward, image, kernel).operations == by_hand
  assert counted(both, image, kernel).operations == 3 * by_hand


def test_loops(counted):
  def body(x, _):
    return (x @ x, None)

  assert counted(lambda x: lax.scan(body, x, length=7)[0], SQUARE) == (7 * PRODUCT, 0)

  def fixed(x):
    return lax.fori_loop(0, 3, lambda _, x: x @ x, x)

  assert counted(fixed, SQUARE) == (3 * PRODUCT, 0)

  def unknown(x):
    return lax.while_loop(lambda x: x.sum() < 9, lambda x: x @ x, x)

  assert counted(unknown, SQUARE) == (PRODUCT, 1)
  assert counted(lambda x: lax.map(lambda x: x @ x, x), np.stack([SQUARE] * 5)).operations == (
    5 * PRODUCT
  )


def test_calls_and_branches(counted):
  square = jax.jit(lambda x: x @ x)
  assert counted(lambda x: square(square(x)), SQUARE).operations == 2 * PRODUCT

  def branch(x):
    return lax.cond(x[0, 0] > 0, lambda x: x @ x @ x, lambda x: x @ x, x)

  assert counted(branch, SQUARE).operations == 2 * PRODUCT

  def again(x):
    return jax.grad(lambda x: jax.checkpoint(lambda x: jnp.sin(x @ x))(x).sum())(x)

  assert counted(again, SQUARE).operations == 4 * PRODUCT  # forward, again, and two gradients


def test_all_devices_count(counted):
  square = jax.pmap(lambda x: x @ x, devices=jax.devices()[:2])
  assert counted(square, np.stack([SQUARE] * 2)).operations == 2 * PRODUCT


def test_as_xla_counts_a_training_step(counted):
  # Large images, as XLA leaves the padding out; so few classes that no loop holds the loss.
  size, devices = (897, 1793), jax.devices()[:1]
  method = METHODS['supervised'](build_segmenter(BACKBONES['resnet18'](), HEADS['conv3x3'], 2), 2)
  tx = poly_optimizer(1e-3, 100)
  image = jax.ShapeDtypeStruct((1, *size, 3), np.float32)
  state = jax.eval_shape(
    lambda key: create_state(method, tx, key, image, devices), jax.random.key(0)
  )
  shape = (1, 1, 1, *size)
  batch = Batch(
    Example(
      jax.ShapeDtypeStruct((*shape, 3), np.uint8),
      jax.ShapeDtypeStruct(shape, np.uint8),
      jax.ShapeDtypeStruct(shape, bool),
    ),
    None,
  )
  step = make_train_step(method, tx, 0, devices)
  by_xla = step.lower(state, batch).cost_analysis()['flops']
  assert by_xla == pytest.approx(counted(step, state, batch).operations, rel=0.04)
