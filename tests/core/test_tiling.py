"""Logits used a few rows at a time give what they give all at once."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.core.losses import cross_entropy
from classmix_jax.core.resize import resize_bilinear
from classmix_jax.core.tiling import per_pixel, top_class
from classmix_jax.types import VOID

SIZE = (13, 10)
ROW = 4 * 2 * SIZE[1] * 3  # bytes of a row of logits at full size


@pytest.fixture
def logits():
  return jax.random.normal(jax.random.key(0), (2, 4, 3, 3))


@pytest.fixture
def label():
  label = jax.random.randint(jax.random.key(1), (2, *SIZE), 0, 3)
  return label.at[:, 5:7].set(VOID).astype(jnp.uint8)


@pytest.mark.parametrize('rows', [1, 3, 5, 12, 13])
def test_value_and_gradient_do_not_depend_on_the_strips(logits, label, rows):
  weight = jax.random.uniform(jax.random.key(2), label.shape)

  def in_strips(logits):
    loss = per_pixel(cross_entropy, logits, label, tile_bytes=rows * ROW)
    return jnp.sum(weight * loss), loss

  def at_once(logits):
    loss = cross_entropy(resize_bilinear(logits, SIZE), label)
    return jnp.sum(weight * loss), loss

  result = jax.jit(jax.grad(in_strips, has_aux=True))(logits)
  chex.assert_trees_all_close(result, jax.grad(at_once, has_aux=True)(logits), atol=1e-5)


def test_logits_of_full_size_stay_as_they_are(label):
  logits = jax.random.normal(jax.random.key(3), (*label.shape, 3))
  np.testing.assert_array_equal(
    per_pixel(cross_entropy, logits, label, tile_bytes=1), cross_entropy(logits, label)
  )


def test_the_gradient_of_logits_of_full_size(label):
  """Four rows at a time, of 13."""
  logits = jax.random.normal(jax.random.key(3), (*label.shape, 3))

  def loss(logits, tile_bytes):
    return per_pixel(cross_entropy, logits, label, tile_bytes=tile_bytes).sum()

  in_tiles, at_once = (jax.grad(loss)(logits, size) for size in (4 * ROW, 13 * ROW))
  np.testing.assert_allclose(in_tiles, at_once, atol=1e-6)


def test_no_images_have_no_loss():
  result = per_pixel(cross_entropy, jnp.zeros((0, 4, 3, 3)), jnp.zeros((0, *SIZE), jnp.uint8))
  assert result.shape == (0, *SIZE)


def test_classes_and_confidence_in_strips(logits):
  label, confidence = per_pixel(top_class, logits, size=SIZE, tile_bytes=2 * ROW)
  prob = jax.nn.softmax(resize_bilinear(logits, SIZE))
  assert label.dtype == jnp.int32 and confidence.shape == (2, *SIZE)
  np.testing.assert_array_equal(label, jnp.argmax(prob, -1))
  np.testing.assert_allclose(confidence, jnp.max(prob, -1), rtol=1e-5)


def test_no_array_of_full_size_is_made(label):
  """16 rows of 64 at a time: nothing in the program is as large as all logits."""
  logits = jnp.zeros((2, 8, 8, 19))
  label = jnp.zeros((2, 64, 64), jnp.uint8)

  def loss(logits):
    return per_pixel(cross_entropy, logits, label, tile_bytes=16 * 4 * 2 * 64 * 19).sum()

  program = jax.jit(jax.grad(loss)).lower(logits).compile()
  whole = 4 * 2 * 64 * 64 * 19
  assert program.memory_analysis().temp_size_in_bytes < whole

  def at_once(logits):
    return cross_entropy(resize_bilinear(logits, (64, 64)), label).sum()

  result = jax.jit(jax.grad(at_once)).lower(logits).compile().memory_analysis()
  assert result.temp_size_in_bytes > whole


def test_top_class_by_hand():
  label, confidence = top_class(jnp.log(jnp.array([[1.0, 3.0, 1.0], [8.0, 1.0, 1.0]])))
  np.testing.assert_array_equal(label, [1, 0])
  np.testing.assert_allclose(confidence, [0.6, 0.8], rtol=1e-6)
