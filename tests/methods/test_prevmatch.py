"""PrevMatch by hand: the ring of snapshots, the draw of members, labels and losses."""

from fixed import LN2, LN3, Fixed, image, pixels
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

from classmix_jax.methods import METHODS
from classmix_jax.methods.labeled_loss import Labeled
from classmix_jax.methods.prevmatch import Ensemble, PreviousLabel, draw_members
from classmix_jax.methods.pseudo_label import PseudoLabel
from classmix_jax.methods.unimatch import Counted, Targets
from classmix_jax.models.segmenter import Segmenter
from classmix_jax.training.step import make_train_step
from classmix_jax.types import Example, TrainState


def draws(stored, most=3, slots=5, count=2000):
  keys = jax.random.split(jax.random.key(0), count)
  draw = jax.vmap(lambda key: draw_members(key, jnp.int32(stored), slots, most))
  return jax.device_get(draw(keys))


def test_one_to_three_members_are_drawn():
  slots, weights = draws(5)
  np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
  sizes = (weights > 0).sum(axis=1)
  np.testing.assert_allclose(np.bincount(sizes)[1:] / len(sizes), 1 / 3, atol=0.04)
  # Without replacement, and each slot as often.
  assert all(len(set(row)) == 3 for row in slots.tolist())
  np.testing.assert_allclose(np.bincount(slots[weights > 0]) / (weights > 0).sum(), 0.2, atol=0.02)
  # The weights of Dirichlet(1, 1) are uniform, so their variance is 1/12.
  assert weights[sizes == 2][:, 0].var() == pytest.approx(1 / 12, abs=0.01)


@pytest.mark.parametrize('stored', [1, 2])
def test_empty_slots_have_no_weight(stored):
  slots, weights = draws(stored)
  assert set(slots[weights > 0].tolist()) == set(range(stored))
  np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)


def test_without_snapshots_all_weights_are_zero():
  assert not draws(0)[1].any()


def method(**options):
  return METHODS['prevmatch'](Fixed(), 2, num_snapshots=3, **options)


def state(step, value, ring):
  params = {'logits': jnp.full((1, 1, 2), value)}
  return TrainState(jnp.array(step), {'segmenter': params}, {'segmenter': {}}, {}, ring)


def slots(pushes):
  zeros = {'logits': jnp.zeros((3, 1, 1, 2))}
  return {'snapshots': zeros, 'snapshot_statistics': {}, 'pushes': jnp.int32(pushes)}


def test_snapshots_replace_the_oldest():
  """Every second step of 0 to 9: the students after steps 1, 3, 5, 7 and 9 in three slots."""
  ring = slots(0)
  for step in range(10):
    ring = method(snapshot_every=2).finish(state(step, float(step), ring))
  assert ring['snapshots']['logits'][:, 0, 0, 0].tolist() == [7.0, 9.0, 5.0]
  assert int(ring['pushes']) == 5 and ring['pushes'].dtype == jnp.int32


def test_lambda_rises_and_falls():
  """And is 0 without a snapshot, whatever the step."""

  def guidance(step, pushes=1):
    before = state(step, 0.0, slots(pushes))
    ensemble = method(ramp_steps=10).draw_ensemble(before, jax.random.key(0))
    return float(ensemble.guidance)

  values = [guidance(step) for step in (0, 5, 10, 15, 20, 25)]
  np.testing.assert_allclose(values, [0, 0.5, 1, 0.5, 0, 0], atol=1e-6)
  assert guidance(10, pushes=0) == 0


def test_labels_of_an_ensemble():
  """Logits 3/4 (0, ln 3 / 3 * 4) + 1/4 (ln 9, 0): class 1 by ln 3 - ln 9 / 4 = ln 3 / 2."""
  members = jnp.array([[[[0.0, 4 * LN3 / 3]]], [[[2 * LN3, 0.0]]]])
  ensemble = Ensemble(members, {}, {}, jnp.array([0.75, 0.25]), jnp.float32(1))
  example = Example(image(1)[None], pixels(255)[None], pixels(True)[None])
  label, confidence = method().ensemble_label(ensemble, example)
  assert label.tolist() == [[[1]]]
  odds = 3**0.5
  np.testing.assert_allclose(confidence, [[[odds / (1 + odds)]]], rtol=1e-6)


# Class 0 has a probability of 1/2 and of 3/4.
LOGITS = jnp.array([[[0.0, 0.0], [LN3, 0.0]]])


def counted(label, confidence, previous_label, previous_weight):
  previous = PreviousLabel(pixels(*previous_label), pixels(*previous_weight))
  label, confidence = pixels(*label), pixels(*confidence)
  pseudo = PseudoLabel(image(2) / 1.0, label, confidence, None, pixels(True, True), previous)
  return Counted(pseudo, jnp.float32(2))


def test_loss_by_hand():
  """(L_sup + U + lambda U') / (2 + lambda) with lambda = 1/2, which is in the pixel weights."""
  labeled = Labeled(image(2), pixels(0, 255), pixels(1.0, 0.0), jnp.float32(1.0), jnp.float32(1.0))
  weak = counted((1, 1), (0.96, 0.94), (0, 1), (0.0, 0.5))
  view = counted((1, 0), (0.95, 0.94), (1, 0), (0.5, 0.5))
  keys = jax.random.split(jax.random.key(0), 1)
  targets = Targets(labeled, weak, (view, view), keys), jnp.float32(0.5)
  unsupervised = LN2 / 2  # the second pixel is not confident
  previous = (LN2 - np.log(0.75)) / 2
  perturbed, previous_perturbed = LN2 / 2, np.log(4.0) / 2

  class Same(METHODS['prevmatch']):
    def joint_pass(self, student, batch_stats, targets):
      return student[None], student[None], batch_stats

  total, (_, metrics) = Same(Fixed(), 2).loss({'segmenter': LOGITS}, {'segmenter': {}}, targets)
  np.testing.assert_allclose(metrics['loss/unsup'], unsupervised + previous / 2, rtol=1e-6)
  np.testing.assert_allclose(metrics['loss/fp'], perturbed + previous_perturbed / 2, rtol=1e-6)
  terms = LN2 + (unsupervised + perturbed) / 2 + 0.5 * (previous + previous_perturbed) / 2
  np.testing.assert_allclose(total, terms / 2.5, rtol=1e-6)


def test_members_never_exceed_the_slots():
  start = small.start('prevmatch')
  one = small.method('prevmatch', num_snapshots=1)
  ring = jax.tree.map(lambda x: x[:1] if x.ndim else x, start.method_state)
  ensemble = one.draw_ensemble(start.replace(method_state=ring), jax.random.key(0))
  assert ensemble.weights.shape == (1,)


def test_snapshots_of_a_frozen_backbone_are_those_of_the_head():
  """One step of the real train step: the state keeps its shapes."""
  model = Segmenter(small.Backbone('running'), small.Head(small.CLASSES), freeze_backbone=True)
  frozen = METHODS['prevmatch'](model, small.CLASSES)
  tx, devices = small.optimizer(frozen), jax.devices()[:1]
  before = jax.eval_shape(lambda: small.state(frozen, tx, devices))
  assert set(before.method_state['snapshots']) == {'head'}
  step = make_train_step(frozen, tx, 0, devices)
  after, _ = jax.eval_shape(step, before, small.shard(small.batch(), 1))
  shapes = jax.tree.map(lambda x: (x.shape, x.dtype), (before, after))
  assert shapes[0] == shapes[1]
