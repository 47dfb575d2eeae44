"""The second branch of s4GAN by hand: its terms, their gradients, and their first steps."""

import dataclasses

from fixed import LN2, LN3, Fixed, image, pixels
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from test_adversarial import LOGITS, labeled, on_one_device, scored

from classmix_jax.evaluation.eval_step import predict
from classmix_jax.methods.s4gan_mlmt import (
  S4GANMLMT,
  Presence,
  Targets,
  cosine_distance,
  shown_classes,
)
from classmix_jax.models.image_classifier import mask_absent_classes, predict_logits
from classmix_jax.models.segmenter import to_unit_range
from classmix_jax.types import VOID


def test_shown_classes():
  label = jnp.stack([pixels(0, 2)[0], pixels(VOID, 1)[0]])
  np.testing.assert_array_equal(shown_classes(label, 3), [[1, 0, 1], [0, 1, 0]])


def test_cosine_distance():
  """Right angle: 1; the same direction, whatever the length: 0."""
  a, b = jnp.array([[1.0, 0.0], [1.0, 2.0]]), jnp.array([[0.0, 5.0], [2.0, 4.0]])
  np.testing.assert_allclose(cosine_distance(a, b), 0.5, atol=1e-6)


@dataclasses.dataclass(frozen=True)
class Branches(S4GANMLMT):
  """D and C return their parameters."""

  def judge(self, discriminator, prob, image, keys):
    feature = jnp.mean(prob[..., 0] - 0.5, axis=(1, 2))
    return discriminator * feature, feature[:, None]

  def classify(self, params, batch_stats, image):
    return jnp.broadcast_to(params, (len(image), 2)), batch_stats


def terms(classifier=(0.0, LN3), logits=LOGITS):
  """The labelled image shows class 0 only, the teacher sees class 0 only; w is 1/4."""
  method = Branches(Fixed(), 2)
  taught = Presence(image(2) / 1.0, jnp.array([[2.0, 0.0], [1.0, 0.0]]), jnp.float32(0.25))
  targets = Targets(labeled(0, VOID), scored(jnp.full((2, 1), 0.125), [-0.125]), taught)
  params = {
    'segmenter': logits,
    'discriminator': jnp.float32(2.0),
    'classifier': jnp.asarray(classifier),
  }
  return method.loss(params, {'segmenter': {}, 'classifier': {}}, targets)


def test_both_terms():
  """Present with 1/2, absent with 1/4; C's logits are at a right angle to the teacher's."""
  loss, (_, result) = terms()
  expected = {'loss/presence': (LN2 + np.log(4.0)) / 2, 'loss/presence_consistency': 1.0}
  for name, value in expected.items():
    np.testing.assert_allclose(result[name], value, rtol=1e-6, err_msg=name)
  rest = (
    result['loss/sup'] + 0.1 * result['loss/fm'] + result['loss/st'] + result['loss/discriminator']
  )
  np.testing.assert_allclose(loss, rest + expected['loss/presence'] + 0.25, rtol=1e-6)


@pytest.mark.slow
def test_the_branches_share_nothing():
  own = {'loss/presence', 'loss/presence_consistency'}
  of_classifier = jax.jacobian(lambda x: terms(classifier=x)[1][1])(jnp.array([0.0, LN3]))
  assert {name for name, slope in of_classifier.items() if slope.any()} == own
  of_segmenter = jax.jacobian(lambda x: terms(logits=x)[1][1])(LOGITS)
  assert not any(of_segmenter[name].any() for name in own)


@pytest.fixture(scope='module')
def started():
  return small.start('s4gan_mlmt')


def test_consistency_begins_at_its_step(started):
  """0 until step 4, then it grows by a half per step."""
  method = small.method('s4gan_mlmt', mlmt_start=4, mlmt_ramp=2)
  batch = jax.tree.map(lambda x: jnp.asarray(x)[None], small.batch())

  def run(step):
    targets, _, _ = method.targets(started.replace(step=step), batch, jax.random.key(0))
    return targets.classifier.weight[0], targets.classifier.image

  result = [on_one_device(run, step) for step in (3, 4, 5, 6, 7)]
  assert [float(weight) for weight, _ in result] == [0.0, 0.0, 0.5, 1.0, 1.0]
  # Every image is distorted.
  changed = np.abs(result[0][1] - to_unit_range(batch.unlabeled.image)).max(axis=(0, 2, 3, 4))
  assert (changed > 0.05).all()


def test_the_fused_network_leaves_out_what_is_not_seen(started):
  method = small.method('s4gan_mlmt')
  state = jax.tree.map(jnp.asarray, started)
  presence = state.method_state['classifier_teacher']['logits']
  presence['kernel'] *= 0.0
  presence['bias'] += jnp.array([9.0, -9.0, 9.0, -9.0])
  networks = method.networks(state)
  images = small.batch().labeled.image[:2]
  plain, fused = (
    predict_logits(method.model, networks[name], to_unit_range(images))
    for name in ('student', 'fused')
  )
  np.testing.assert_array_equal(fused[..., ::2], plain[..., ::2])
  assert plain[..., 1::2].any() and not fused[..., 1::2].any()
  np.testing.assert_allclose(
    predict(method.model, networks['fused'], images), jax.nn.softmax(fused), rtol=1e-5
  )


def test_present_from_one_fifth_on():
  """sigmoid(-ln 4) is 1/5."""
  logits = jnp.ones((1, 1, 1, 3))
  presence = -jnp.log(jnp.array([[4.01, 3.99, 0.1]]))
  assert mask_absent_classes(logits, presence).ravel().tolist() == [0.0, 1.0, 1.0]
