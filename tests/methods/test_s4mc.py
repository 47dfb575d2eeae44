"""S4MC by hand: neighbours, refined probabilities, the quantile, and the pixels that count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

from classmix_jax.core.collectives import ALL_DEVICES
from classmix_jax.core.neighbors import BETA, best_neighbor, refine_by_neighbors, top_margin
from classmix_jax.core.quantile import BITS, global_quantile
from classmix_jax.errors import UserError
from classmix_jax.methods import METHODS
from classmix_jax.methods.s4mc import JOINT
from classmix_jax.types import AXIS


def test_the_best_neighbor_is_above_below_left_or_right():
  """Corners do not count, nor does the pixel itself, and there is nothing outside."""
  prob = jnp.array([[0.9, 0.1, 0.2], [0.3, 0.8, 0.4], [0.5, 0.6, 0.7]])
  expected = [[0.3, 0.9, 0.4], [0.9, 0.6, 0.8], [0.6, 0.8, 0.6]]
  np.testing.assert_array_equal(
    best_neighbor(prob[None, :, :, None])[0, :, :, 0], np.float32(expected)
  )
  assert best_neighbor(jnp.ones((1, 1, 1, 1))) == 0


def test_refined_probabilities_by_hand():
  """Of class 0 p = 0.6 and n = 0.9; of class 1 p = 0.4 and n = 0.1."""
  prob = jnp.array([[0.6, 0.4], [0.9, 0.1]])[None, None]
  independent = [0.6 + BETA * (0.9 - 0.6 * 0.9), 0.4 + BETA * (0.1 - 0.4 * 0.1)]
  np.testing.assert_allclose(refine_by_neighbors(prob)[0, 0, 0], independent, rtol=1e-6)
  # E = 0.95 is above both neighbours, E = 0.5 above the second.
  joint = [0.6 + BETA * (0.9 - 0.6 * 0.95), 0.4 + BETA * (0.1 - 0.4 * 0.5)]
  refined = refine_by_neighbors(prob, jnp.array([0.95, 0.5]))[0, 0, 0]
  np.testing.assert_allclose(refined, joint, rtol=1e-6)
  assert pytest.approx(0.606531, abs=1e-6) == BETA


def test_scores_stay_in_the_unit_interval():
  prob = jax.nn.softmax(10 * jax.random.normal(jax.random.key(0), (2, 5, 6, 21)))
  for joint in (0.0, 1.0, jnp.array(JOINT['pascal_voc'])):
    score = refine_by_neighbors(prob, joint)
    assert score.min() >= 0 and score.max() <= 1 + 1e-6
    margin = top_margin(score)
    order = np.sort(score, axis=-1)
    np.testing.assert_allclose(margin, order[..., -1] - order[..., -2], rtol=1e-6)


@pytest.mark.parametrize('fraction', [0.0, 0.2, 0.5, 0.9])
def test_quantile_is_numpys(fraction):
  value = jnp.asarray(np.random.default_rng(0).uniform(size=(8, 50)), jnp.float32)
  mask = jnp.arange(400).reshape(8, 50) % 3 > 0
  expected = np.quantile(np.asarray(value)[mask], fraction, method='higher')
  assert global_quantile(value, mask, fraction) == pytest.approx(expected, abs=2.0**-BITS)


def test_quantile_is_that_of_all_devices():
  value = jnp.asarray(np.random.default_rng(1).uniform(size=(2, 40)), jnp.float32)
  together = jax.pmap(
    lambda x: global_quantile(x, x < 2, 0.3, ALL_DEVICES), AXIS, devices=jax.devices()[:2]
  )(value)
  assert together.tolist() == 2 * [float(global_quantile(value, value < 2, 0.3))]


def test_quantiles_of_nothing_and_of_equal_values():
  nothing = jnp.zeros(3, bool)
  assert global_quantile(jnp.full(3, 0.5), nothing, 0.5) == 1 - 2.0**-BITS
  assert global_quantile(jnp.full(3, 0.5), ~nothing, 0.5) == 0.5


def run_targets(step, **options):
  method, start = small.method('s4mc', mask='none', **options), small.start('s4mc')
  batch = jax.tree.map(lambda x: x[None, None], small.batch())
  state = start.replace(step=jnp.array(step))

  def run(batch):
    return method.targets(state, batch, jax.random.key(3))

  targets, _, metrics = jax.pmap(run, AXIS, out_axes=None, devices=jax.devices()[:1])(batch)
  return method, jax.device_get(targets), metrics


def test_pixels_that_count():
  """A tenth of the pixels has a lower margin; refined margins pass that bound, or do not."""
  _, targets, metrics = run_targets(3, drop_fraction=0.4)  # at step 3 of 4: 0.4 * (1 - 3/4)
  mixed = targets.mixed
  least = np.quantile(mixed.extra.plain[mixed.valid], 0.1)
  counts = mixed.extra.refined > least
  share = counts[mixed.valid].mean()
  assert 0.5 < share < 1 and not np.array_equal(counts, mixed.extra.plain > least)
  assert metrics['confident_share'] == pytest.approx(share, abs=2e-3)
  weights = np.unique(targets.weight)
  np.testing.assert_allclose(weights, [0, share**-2], rtol=5e-3)
  assert mixed.prob is None


def test_nothing_is_dropped_after_the_ramp():
  """Except for pixels whose margin is the smallest or less."""
  _, targets, metrics = run_targets(9, drop_fraction=0.4)
  assert metrics['confident_share'] > 0.99


def test_labels_are_those_of_the_teacher_or_refined():
  _, targets, _ = run_targets(0)
  _, refined, _ = run_targets(0, relabel=True)
  same = targets.mixed.label == refined.mixed.label
  assert 0.5 < same.mean() < 1
  np.testing.assert_array_equal(targets.mixed.extra.plain, refined.mixed.extra.plain)


def test_joint_probabilities_have_a_number_for_each_class():
  assert {name: len(values) for name, values in JOINT.items()} == {
    'independent': 0,
    'cityscapes': 19,
    'pascal_voc': 21,
  }
  METHODS['s4mc'](small.model(19), 19, joint='cityscapes')
  with pytest.raises(UserError, match="joint is 'cityscapes', which has 19 classes, but .* 4:"):
    METHODS['s4mc'](small.model(), 4, joint='cityscapes')
