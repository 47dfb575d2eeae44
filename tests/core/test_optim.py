"""SGD by hand for two steps; heads, frozen BN and the poly schedule."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from classmix_jax.core.duplicate_steps import repeated
from classmix_jax.core.optim import group_of, poly_optimizer, poly_schedule
from classmix_jax.methods.adversary import discriminator_optimizer

RATE, DECAY, STEPS = 0.1, 0.01, 10
START = {
  'backbone': {
    'conv1': {'kernel': 2.0},
    'bn1': {'scale': 1.0, 'bias': -1.0},
    'layer1_0': {
      'bn_shortcut': {'scale': 3.0},
      'conv2': {'kernel': -3.0},
      'conv_shortcut': {'kernel': 4.0},
    },
  },
  'head': {'dilation6': {'kernel': -1.0, 'bias': 0.5}},
}
GRADIENTS = 0.5, -2.0  # of every parameter at steps 0 and 1


def by_hand(start, rate, times=1):
  """v = 0.9 v + g + decay w;  w = w - rate (1 - t / steps)^0.9 v, `times` times for each g."""
  weight, velocity = start, 0.0
  for t, gradient in enumerate(GRADIENTS):
    for _ in range(times):
      velocity = 0.9 * velocity + gradient + DECAY * weight
      weight -= rate * (1 - t / STEPS) ** 0.9 * velocity
  return weight


def after_two_steps(**options):
  tx = poly_optimizer(RATE, STEPS, weight_decay=DECAY, **options)
  params = jax.tree.map(jnp.array, {'segmenter': START})
  state = tx.init(params)
  for gradient in GRADIENTS:
    gradients = jax.tree.map(lambda x, g=gradient: jnp.full_like(x, g), params)
    updates, state = tx.update(gradients, state, params)
    params = optax.apply_updates(params, updates)
  return params['segmenter']


def test_two_steps_by_hand():
  expected = jax.tree.map(lambda x: by_hand(x, RATE), START)
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), after_two_steps(), expected
  )


def test_head_multiplier_and_frozen_affine():
  result = after_two_steps(head_multiplier=10.0, freeze_bn_affine=True)
  for name, start in START['head']['dilation6'].items():
    np.testing.assert_allclose(
      result['head']['dilation6'][name], by_hand(start, 10 * RATE), rtol=1e-5
    )
  backbone = result['backbone']
  np.testing.assert_allclose(backbone['conv1']['kernel'], by_hand(2.0, RATE), rtol=1e-5)
  assert float(backbone['bn1']['scale']) == 1.0 and float(backbone['bn1']['bias']) == -1.0
  assert float(backbone['layer1_0']['bn_shortcut']['scale']) == 3.0


def test_duplicate_steps():
  """Once the stem and the head, three times a block, four times its shortcut."""
  result = after_two_steps(duplicate_steps=True, head_multiplier=10.0)
  block = START['backbone']['layer1_0']
  for names, times in (
    (('bn_shortcut', 'scale'), 4),
    (('conv_shortcut', 'kernel'), 4),
    (('conv2', 'kernel'), 3),
  ):
    start, after = (tree[names[0]][names[1]] for tree in (block, result['backbone']['layer1_0']))
    np.testing.assert_allclose(after, by_hand(start, RATE, times), rtol=1e-5)
  np.testing.assert_allclose(result['backbone']['conv1']['kernel'], by_hand(2.0, RATE), rtol=1e-5)
  np.testing.assert_allclose(
    result['head']['dilation6']['kernel'], by_hand(-1.0, 10 * RATE), rtol=1e-5
  )


# Of velocity and gradient in the new velocity, and in the step of the weight per rate: with
# momentum 0.9, for k = 3, 0.9^3 and 1 + 0.9 + 0.81; 0.9 + 0.81 + 0.729 and 1 + 1.9 + 2.71.
CLOSED_FORMS = {3: (0.729, 2.71, 2.439, 5.61), 4: (0.6561, 3.439, 3.0951, 9.049)}


@pytest.mark.parametrize('times', CLOSED_FORMS)
def test_repeated_steps_in_closed_form(times):
  keep, take, drift, push = CLOSED_FORMS[times]
  tx = repeated(optax.sgd(RATE, momentum=0.9), times)
  weight = jnp.array(5.0)
  state = tx.init(weight)
  expected_weight, velocity = 5.0, 0.0
  for gradient in (0.5, -2.0, 3.0):
    update, state = tx.update(jnp.array(gradient), state, weight)
    weight = optax.apply_updates(weight, update)
    expected_weight -= RATE * (drift * velocity + push * gradient)
    velocity = keep * velocity + take * gradient
    np.testing.assert_allclose(weight, expected_weight, rtol=1e-5)
    np.testing.assert_allclose(state[0].trace, velocity, rtol=1e-5)


def test_unused_branches_never_move():
  tx = poly_optimizer(RATE, STEPS, weight_decay=DECAY)
  params = {'head': {name: {'kernel': jnp.array(2.0)} for name in ('dilation6', 'unused18')}}
  update, state = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
  assert float(update['head']['unused18']['kernel']) == 0.0
  assert float(update['head']['dilation6']['kernel']) == pytest.approx(-RATE * DECAY * 2.0)
  shapes = [path for path, _ in jax.tree.leaves_with_path(state) if 'unused18' in str(path)]
  assert not shapes  # no momentum is kept for them


@pytest.mark.parametrize(
  'path, frozen, group',
  [
    ('segmenter/backbone/layer2_0/bn_shortcut/scale', True, 'frozen'),
    ('segmenter/backbone/bn_stem_1/bias', True, 'frozen'),
    ('segmenter/backbone/bn_stem_1/bias', False, 'backbone'),
    ('segmenter/backbone/layer2_0/conv1/kernel', True, 'backbone'),
    ('segmenter/head/dilation6/bias', True, 'head'),
    ('segmenter/head/unused18/kernel', False, 'frozen'),
    ('segmenter/head/fusion4/unused_unit1/conv1/kernel', False, 'frozen'),
    ('segmenter/backbone/unused_mask_token', False, 'frozen'),
    ('segmenter/backbone/block0/ls1/gamma', False, 'backbone'),
    ('segmenter/backbone/pos_embed', False, 'backbone'),
  ],
)
def test_groups(path, frozen, group):
  assert group_of(tuple(map(jax.tree_util.DictKey, path.split('/'))), frozen) == group


def test_poly():
  schedule = poly_schedule(2.0, 100, 0.9)
  for t in (0, 1, 50, 99):
    np.testing.assert_allclose(schedule(t), 2 * (1 - t / 100) ** 0.9, rtol=1e-4)


def test_a_late_schedule_keeps_the_first_rate_for_two_steps():
  """As code that sets the rate after the step: step t has 1 - (t - 1) / 10 to the power."""
  schedule = poly_schedule(2.0, 10, power=2.0, lag=1)
  rates = [float(schedule(t)) for t in (0, 1, 2, 6, 9)]
  np.testing.assert_allclose(rates, [2.0, 2.0, 2 * 0.81, 2 * 0.25, 2 * 0.04], rtol=1e-6)


def test_a_lag_of_the_optimizer():
  """Two steps of gradient descent with the same gradient have the same length."""
  tx = poly_optimizer(RATE, STEPS, momentum=0.0, weight_decay=0.0, power=1.0, lag=1)
  params = {'backbone': {'kernel': jnp.array(2.0)}}
  state, lengths = tx.init(params), []
  for _ in range(3):
    update, state = tx.update(jax.tree.map(jnp.ones_like, params), state, params)
    lengths.append(-float(update['backbone']['kernel']))
  np.testing.assert_allclose(lengths, [RATE, RATE, 0.9 * RATE], rtol=1e-6)


@pytest.mark.parametrize('steps', [3, 7, 10, 100, 500, 40_000])
def test_poly_ends_at_zero(steps):
  """Also compiled, where the rest of the schedule may round to less than nothing."""
  schedule = jax.jit(poly_schedule(1.0, steps))
  assert 0 <= float(schedule(jnp.array(steps))) < 1e-6
  assert float(schedule(jnp.array(steps + 1))) == 0.0


def two_adam_steps(weight, rate, gradients, decay, b1, b2, eps=1e-8):
  """Adam with bias correction, in float64; the decay is added to the gradient."""
  mean = square = 0.0
  for t, gradient in enumerate(gradients):
    gradient = gradient + decay * weight
    mean, square = b1 * mean + (1 - b1) * gradient, b2 * square + (1 - b2) * gradient**2
    step = mean / (1 - b1 ** (t + 1)) / (np.sqrt(square / (1 - b2 ** (t + 1))) + eps)
    weight -= rate * (1 - t / STEPS) ** 0.9 * step
  return weight


def test_adam():
  result = after_two_steps(rule='adam')
  expected = two_adam_steps(2.0, RATE, GRADIENTS, DECAY, 0.9, 0.999)
  np.testing.assert_allclose(result['backbone']['conv1']['kernel'], expected, rtol=1e-5)


def test_adamw_decays_beside_the_gradient():
  """The first step of Adam is the sign of the gradient."""
  tx = poly_optimizer(RATE, STEPS, rule='adamw', weight_decay=DECAY)
  params = {'backbone': {'conv': {'kernel': jnp.array(2.0)}}}
  updates, _ = tx.update(jax.tree.map(lambda x: -3.0 * x, params), tx.init(params), params)
  np.testing.assert_allclose(
    updates['backbone']['conv']['kernel'], RATE * (1 - DECAY * 2.0), rtol=1e-5
  )


def test_other_networks_have_optimizers_of_their_own():
  others = {'discriminator': discriminator_optimizer(0.01, STEPS, power=0.9)}
  tx = poly_optimizer(RATE, STEPS, weight_decay=DECAY, others=others)
  params = {'segmenter': START, 'discriminator': {'conv1': {'kernel': 2.0}}}
  params = jax.tree.map(jnp.array, params)
  state = tx.init(params)
  for gradient in GRADIENTS:
    gradients = jax.tree.map(lambda x, g=gradient: jnp.full_like(x, g), params)
    updates, state = tx.update(gradients, state, params)
    params = optax.apply_updates(params, updates)
  expected = two_adam_steps(2.0, 0.01, GRADIENTS, 0.0, 0.9, 0.99)
  np.testing.assert_allclose(params['discriminator']['conv1']['kernel'], expected, rtol=1e-5)
  np.testing.assert_allclose(
    params['segmenter']['backbone']['conv1']['kernel'], by_hand(2.0, RATE), rtol=1e-5
  )


def test_power_zero_keeps_the_rate():
  assert [float(poly_schedule(0.5, 10, power=0.0)(t)) for t in (0, 9, 10)] == [0.5] * 3
