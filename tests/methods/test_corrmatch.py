"""CorrMatch by hand: its six losses, spread labels, and the moving threshold."""

from fixed import LN2, LN3, Fixed, image, pixels, softplus
import jax
import jax.numpy as jnp
import numpy as np
import small

from classmix_jax.core.losses import kl_divergence
from classmix_jax.methods.corrmatch import CorrMatch
from classmix_jax.methods.labeled_loss import Labeled
from classmix_jax.methods.pseudo_label import PseudoLabel
from classmix_jax.methods.unimatch import Counted, Targets
from classmix_jax.types import AXIS, Features


class Echo(Fixed):
  """One labelled and one weak image of two pixels; the features are the logits."""

  def apply(self, variables, image, train, mutable=(), method=None, perturb=None, upsample=True):
    logits = jnp.broadcast_to(variables['params'], (len(image), *variables['params'].shape))
    if method is None:
      return logits, {}
    # Perturbed features are zeros here: their logits are equal.
    logits = jnp.concatenate([logits, jnp.zeros_like(logits[1:])])
    return (logits, Features((logits,), (1,))), {}


class Alike(CorrMatch):
  """All pixels of an image correlate alike."""

  def query_and_key(self, correlator, features):
    return jnp.zeros_like(features.levels[0]), features.levels[0]


# Class 0 has a probability of 1/2 and of 3/4. On average its logit is log(3) / 2.
LOGITS = jnp.array([[[0.0, 0.0], [LN3, 0.0]]])


def counted(label, reliable, prob):
  pseudo = PseudoLabel(
    image(2) / 1.0, pixels(*label), pixels(*reliable), pixels(*prob), pixels(True, True)
  )
  return Counted(pseudo, jnp.float32(2))


def test_losses():
  labeled = Labeled(image(2), pixels(0, 255), pixels(1.0, 0.0), jnp.float32(1), jnp.float32(1))
  weak = counted((1, 0), (1.0, 0.0), ((0.5, 0.5), (0.75, 0.25)))
  view = counted((0, 0), (0.0, 1.0), ((0.5, 0.5), (0.25, 0.75)))
  keys = jax.random.split(jax.random.key(0), 1)
  method = Alike(Echo(), 2)
  params = {'segmenter': LOGITS, 'correlator': {}}
  targets = Targets(labeled, weak, (view,), keys)
  loss, (_, metrics) = method.loss(params, {'segmenter': {}}, targets)
  expected = {
    'loss/sup': LN2,
    'loss/sup_corr': softplus(-LN3 / 2),
    'loss/unsup': -np.log(0.75) / 2,  # the second of two pixels
    'loss/kl': (0.75 * LN3 - 0.25 * LN3) / 2,  # 3/4 log(3/4 / 1/4) + 1/4 log(1/4 / 3/4)
    'loss/fp': LN2 / 2,  # the first of two pixels
    'loss/corr': softplus(LN3 / 2) / 2,
  }
  for name, value in expected.items():
    np.testing.assert_allclose(metrics[name], value, rtol=1e-5, err_msg=name)
  of_labeled = (expected['loss/sup'] + expected['loss/sup_corr']) / 2
  others = sum(expected[f'loss/{name}'] for name in ('unsup', 'kl', 'fp', 'corr'))
  np.testing.assert_allclose(loss, (of_labeled + others / 4) / 2, rtol=1e-5)


def test_divergence_is_finite_where_a_class_is_impossible():
  """1/2 log(1/2) + 1/2 log(1/2 / 1e-7)."""
  value = kl_divergence(jnp.zeros(2), jnp.array([1.0, 0.0]))
  np.testing.assert_allclose(value, -LN2 - np.log(1e-7) / 2, rtol=1e-5)


def run_targets(tau, **options):
  method, start = small.method('corrmatch', **options), small.start('corrmatch')
  state = start.replace(method_state={'tau': jnp.float32(tau)})
  batch = jax.tree.map(lambda x: x[None, None], small.batch())

  def run(batch):
    targets, model_state, metrics = method.targets(state, batch, jax.random.key(3))
    plain = method.pseudo_label(state, batch.unlabeled)
    return targets.weak.images, plain, model_state['top_confidence'], metrics

  return jax.device_get(jax.pmap(run, AXIS, out_axes=None, devices=jax.devices()[:1])(batch))


def test_labels_spread():
  """Confident pixels stay reliable; with a low threshold others follow, and labels change."""
  weak, plain, top, metrics = run_targets(0.4)
  weak = jax.tree.map(lambda x: x[0], weak)
  confident = plain.confidence >= 0.4
  reliable = weak.confidence == 1
  assert (reliable | ~confident).all() and set(np.unique(weak.confidence)) == {0.0, 1.0}
  assert (weak.label != plain.label).any()
  # Pixels whose label changed are in an accepted segment.
  assert reliable[weak.label != plain.label].all()
  np.testing.assert_allclose(metrics['threshold'], 0.4, rtol=1e-6)
  classes = np.unique(plain.label[plain.valid])
  highest = [plain.confidence[plain.valid & (plain.label == index)].max() for index in classes]
  np.testing.assert_allclose(top, np.mean(highest), rtol=1e-5)


def test_nothing_spreads_at_the_highest_threshold():
  """No fraction exceeds 1."""
  weak, plain, _, metrics = run_targets(1.0)
  np.testing.assert_array_equal(weak.label[0], plain.label)
  assert not weak.confidence.any() and float(metrics['confident_share']) == 0


def test_threshold_follows():
  method, start = small.method('corrmatch', threshold_decay=0.75), small.start('corrmatch')
  np.testing.assert_allclose(start.method_state['tau'], 0.5)  # of small.method; 0.85 by default
  state = start.replace(model_state={**start.model_state, 'top_confidence': jnp.float32(0.9)})
  np.testing.assert_allclose(method.finish(state)['tau'], 0.75 * 0.5 + 0.25 * 0.9, rtol=1e-6)
