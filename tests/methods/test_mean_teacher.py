"""Variants of the mean teacher by hand: squared error, CutOut, the decay."""

from fixed import LN2, LN3, Fixed, image, pixels
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

from classmix_jax.core.erasing import MEAN_COLOR, erase
from classmix_jax.methods import METHODS
from classmix_jax.methods.labeled_loss import Labeled
from classmix_jax.methods.mean_teacher import Targets
from classmix_jax.methods.pseudo_label import PseudoLabel
from classmix_jax.types import AXIS, TrainState

# Class 0 has a probability of 1/2 and of 3/4.
LOGITS = jnp.array([[[[0.0, 0.0], [LN3, 0.0]]]])


@pytest.mark.parametrize('consistency, classes', [('mse', 2), ('mse_sum', 1)])
def test_squared_error(consistency, classes):
  """From (1, 0): 2 / 4 and 2 / 16 by the sum over classes, half of it by the mean."""
  method = METHODS['cutmix_french'](Fixed(), 2, consistency=consistency)
  prob = pixels((1.0, 0.0), (1.0, 0.0))
  mixed = PseudoLabel(image(2) / 1.0, pixels(0, 0), pixels(1.0, 1.0), prob, pixels(True, True))
  result = method.pixel_loss(LOGITS, mixed)
  np.testing.assert_allclose(result[0, 0], np.array([2 / 4, 2 / 16]) / classes, rtol=1e-6)


def test_erase():
  image = jnp.arange(6, dtype=jnp.float32).reshape(1, 1, 2, 3)
  result = erase(pixels(True, False), image)
  np.testing.assert_allclose(result[0, 0], [[0, 1, 2], MEAN_COLOR], rtol=1e-6)


def test_cutout_learns_what_it_keeps():
  """Outside of the box the image is grey and weighs nothing, but counts in the mean."""
  method, start = small.method('cutout_french'), small.start('cutout_french')
  batch = jax.tree.map(lambda x: x[None, None], small.batch())

  def run(batch):
    targets, _, metrics = method.targets(start, batch, jax.random.key(0))
    return targets, metrics['confident_share']

  result, share = jax.pmap(run, AXIS, out_axes=None, devices=jax.devices()[:1])(batch)
  shown, before = np.asarray(result.mixed.image[0]), batch.unlabeled.image[0, 0] / 255
  is_kept = np.isclose(shown, before, atol=1e-6).all(-1)
  np.testing.assert_allclose(
    shown[~is_kept], np.broadcast_to(MEAN_COLOR, shown[~is_kept].shape), rtol=1e-6
  )
  np.testing.assert_allclose(result.weight[0], np.where(is_kept, share, 0.0), rtol=1e-6)
  assert 0.2 < is_kept.mean() < 0.8 and float(result.num_pixels[0]) == batch.unlabeled.valid.sum()


@pytest.mark.parametrize('step, progress', [(0, 0.0), (5, 0.5), (10, 1.0), (50, 1.0)])
def test_length_of_the_ramp(step, progress):
  start = small.start('classmix').replace(step=jnp.array(step))
  method = small.method('classmix', pixel_weight='sigmoid', ramp_steps=10)

  def run(batch):
    return method.targets(start, batch, jax.random.key(0))[0].weight

  batch = jax.tree.map(lambda x: x[None, None], small.batch())
  weight = jax.pmap(run, AXIS, devices=jax.devices()[:1])(batch)
  np.testing.assert_allclose(weight, np.exp(-5 * (1 - progress) ** 2), rtol=1e-6)


def test_the_terms_are_weighed():
  """L = L_sup + lambda_u L_u, from logits (0, 0) and (ln 3, 0): ln 2 and -ln(3/4) per pixel."""
  method = METHODS['classmix'](Fixed(), 2, lambda_u=0.25)
  labeled = Labeled(image(2), pixels(0, 255), pixels(1.0, 0.0), jnp.float32(1.0), jnp.float32(1.0))
  mixed = PseudoLabel(image(2) / 1.0, pixels(0, 0), pixels(1.0, 1.0), None, pixels(True, True))
  targets = Targets(labeled, mixed, pixels(0.5, 1.0), jnp.float32(2.0))
  loss, (_, result) = method.loss(
    {'segmenter': LOGITS[0]}, {'segmenter': {}, 'teacher': {}}, targets
  )
  unsup = (0.5 * LN2 - np.log(0.75)) / 2
  np.testing.assert_allclose([result['loss/sup'], result['loss/unsup']], [LN2, unsup], rtol=1e-6)
  np.testing.assert_allclose(loss, LN2 + 0.25 * unsup, rtol=1e-6)


def test_a_teacher_without_warm_up_moves_slowly_from_the_start():
  params, teacher = {'segmenter': jnp.array(1.0)}, {'teacher': jnp.array(0.0)}
  state = TrainState(jnp.array(0), params, {}, (), teacher)
  for name, expected in (('cutmix_french', 0.01), ('classmix', 1.0)):
    moved = METHODS[name](Fixed(), 2).finish(state)
    np.testing.assert_allclose(moved['teacher'], expected, rtol=1e-5)
