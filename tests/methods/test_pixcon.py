"""PixCon by hand: the loss, the anchors, the bank."""

from fixed import LN2, Fixed, image, pixels
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

from classmix_jax.core.contrastive import normalize
from classmix_jax.core.feature_bank import FeatureBank
from classmix_jax.methods.labeled_loss import Labeled
from classmix_jax.methods.pixcon import Contrast, PixCon, Targets
from classmix_jax.methods.unimatch import Targets as Consistency
from classmix_jax.types import AXIS, VOID, Features

# One image of two pixels, whose vectors are e_1 and e_2, both with equal logits.
VECTORS = jnp.array([[[[2.0, 0.0], [0.0, 3.0]]]])
# Class 0 holds e_1, class 1 holds -e_1; of three slots only the first ones are filled.
BANK = FeatureBank(
  jnp.array([[[1.0, 0.0]] + [[0.0, 0.0]] * 2, [[-1.0, 0.0]] + [[0.0, 0.0]] * 2]), jnp.array([1, 1])
)


class Pair(Fixed):
  """Predicts fixed logits from fixed features."""

  def apply(self, variables, image, train, mutable=(), method=None):
    logits = jnp.broadcast_to(variables['params'], (len(image), *variables['params'].shape))
    predicted = logits, Features((VECTORS,), (1,))
    return (predicted, {}) if mutable else predicted


class Plain(PixCon):
  """Contrasts the features themselves; the strong views have a loss of 3."""

  def project(self, projector, features):
    return normalize(features.levels[0])

  def strong_loss(self, student, batch_stats, targets):
    return jnp.float32(3.0), batch_stats


def test_loss():
  """Anchor e_1 of class 0 at T = 1: log(1 + e^-2); e_2 of class 1: ln 2; one place is unused."""
  labeled = Labeled(image(2), pixels(0, VOID), pixels(1.0, 0.0), jnp.float32(1), jnp.float32(1))
  consistency = Consistency(labeled, None, (), None)
  contrast = Contrast(jnp.array([0, 1, -1]), jnp.array([0, 1, VOID]), jnp.float32(2.0), BANK)
  method = Plain(Pair(), 2, temperature=1.0, lambda_contrast=0.25, projection_width=2)
  params = {'segmenter': jnp.zeros((1, 2, 2)), 'projector': {}}
  loss, (_, metrics) = method.loss(params, {'segmenter': {}}, Targets(consistency, contrast))
  expected = (np.log1p(np.exp(-2)) + LN2) / 2
  np.testing.assert_allclose(metrics['loss/contrast'], expected, rtol=1e-5)
  np.testing.assert_allclose(metrics['loss/sup'], LN2, rtol=1e-6)
  np.testing.assert_allclose(loss, (LN2 + 3) / 2 + 0.25 * expected, rtol=1e-5)


METHOD = small.method('pixcon', anchors_per_class=5, max_anchors=12, bank_size=8)


@pytest.fixture(scope='module', name='small_targets')
def compute_targets():
  """The targets of one step with an empty bank and with one that holds two of four classes."""
  start = small.start('pixcon')
  empty = FeatureBank(jnp.zeros((small.CLASSES, 8, 256)), jnp.zeros(small.CLASSES, jnp.int32))
  batch = jax.tree.map(lambda x: x[None, None], small.batch())

  def run(bank, batch):
    state = start.replace(method_state={**start.method_state, 'bank': bank})
    targets, model_state, metrics = METHOD.targets(state, batch, jax.random.key(1))
    embedded = METHOD.embed(state, targets.consistency.labeled)
    return targets.contrast, model_state['clean_pixels'], metrics['clean_share'], embedded

  mapped = jax.pmap(run, AXIS, in_axes=(None, 0), out_axes=None, devices=jax.devices()[:1])
  half = empty._replace(num_stored=jnp.array([3, 0, 9, 0], jnp.int32))
  return jax.device_get((mapped(empty, batch), mapped(half, batch)))


def test_sampled_pixels_are_right_and_of_their_class(small_targets):
  """At most five of a class; all of their vectors are those of clean pixels."""
  (_, (features, count), share, (projected, label, prediction)), _ = small_targets
  clean = (label == prediction) & (label != VOID)
  np.testing.assert_allclose(share, clean.sum() / (label != VOID).sum(), rtol=1e-6)
  assert 0.1 < share < 0.9
  for index in range(small.CLASSES):
    rows = {tuple(x) for x in projected[clean & (label == index)].tolist()}
    assert count[index] == min(5, (clean & (label == index)).sum())
    assert {tuple(x) for x in features[index, : count[index]].tolist()} <= rows
    assert not features[index, count[index] :].any()


def test_anchors_have_positives(small_targets):
  """None with an empty bank; else clean pixels of the two classes that the bank holds."""
  (nothing, *_), (contrast, (_, count), _, (_, label, prediction)) = small_targets
  assert (nothing.label == VOID).all() and nothing.num_anchors < 1e-5
  used = contrast.label[0] != VOID
  # Twelve are drawn of all classes, at most five of each; of classes 0 and 2 two or more remain.
  assert 2 <= used.sum() == contrast.num_anchors[0] <= count[[0, 2]].sum()
  anchors = contrast.pixel[0][used]
  assert len(set(anchors.tolist())) == used.sum()
  np.testing.assert_array_equal(label.ravel()[anchors], contrast.label[0][used])
  np.testing.assert_array_equal(prediction.ravel()[anchors], contrast.label[0][used])
  assert set(contrast.label[0][used].tolist()) <= {0, 2}


def test_finish_stores_the_clean_pixels():
  """Class 0 had one feature and gets one of two more; the teacher follows as in UniMatch V2."""
  start = small.start('pixcon')
  features = jnp.ones((2, 2, 2)) * jnp.array([5.0, 6.0])[None, :, None]
  model_state = {**start.model_state, 'clean_pixels': (features, jnp.array([1, 0]))}
  state = start.replace(
    model_state=model_state,
    method_state={**start.method_state, 'bank': BANK},
    params=jax.tree.map(lambda x: x + 1, start.params),
  )
  finished = METHOD.finish(state)
  assert finished['bank'].features.tolist() == [
    [[1, 0], [5, 5], [0, 0]],
    [[-1, 0], [0, 0], [0, 0]],
  ]
  assert finished['bank'].num_stored.tolist() == [2, 1]
  jax.tree.map(np.testing.assert_array_equal, finished['teacher'], state.params['segmenter'])


def test_the_projector_learns_like_the_head_and_predicts_nothing():
  start = small.start('pixcon')
  assert set(start.params['projector']) == {'head'}
  for variables in METHOD.networks(start).values():
    assert set(variables['params']) == {'backbone', 'head'}
