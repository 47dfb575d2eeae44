"""FixMatch, UniMatch and its second version by hand."""

import dataclasses

from fixed import LN2, LN3, Fixed, image, pixels
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

from classmix_jax.core.channel_dropout import drop_channels, drop_complementary_channels
from classmix_jax.methods import METHODS
from classmix_jax.methods.labeled_loss import Labeled
from classmix_jax.methods.pseudo_label import PseudoLabel
from classmix_jax.methods.unimatch import Counted, Targets
from classmix_jax.types import AXIS, Features

# Class 0 has a probability of 1/2 and of 3/4.
LOGITS = jnp.array([[[0.0, 0.0], [LN3, 0.0]]])


def counted(label, confidence, valid=(True, True)):
  pseudo = PseudoLabel(image(2) / 1.0, pixels(*label), pixels(*confidence), None, pixels(*valid))
  return Counted(pseudo, jnp.float32(sum(valid)))


def targets(views):
  labeled = Labeled(image(2), pixels(0, 255), pixels(1.0, 0.0), jnp.float32(1.0), jnp.float32(1.0))
  weak = counted((1, 1), (0.96, 0.94))
  return Targets(labeled, weak, views, jax.random.split(jax.random.key(0), 1))


# Of the first view a pixel is not confident, of the second one is padding.
VIEWS = (counted((1, 0), (0.95, 0.94)), counted((0, 0), (0.5, 1.0), (False, True)))
LOSSES = (LN2 / 2, -np.log(0.75))


def loss(name, views, logits=LOGITS):
  method = METHODS[name](Fixed(), 2)
  return method.loss({'segmenter': logits}, {'segmenter': {}}, targets(views))


def test_fixmatch():
  """Uncertain pixels count in the denominator, padding does not: L = (L_x + L_s) / 2."""
  for view, value in zip(VIEWS, LOSSES, strict=True):
    total, (_, result) = loss('fixmatch', (view,))
    np.testing.assert_allclose(result['loss/unsup'], value, rtol=1e-6)
    np.testing.assert_allclose(total, (LN2 + value) / 2, rtol=1e-6)


def test_two_views_have_half_each():
  total, (_, result) = loss('unimatch_v2', VIEWS)
  np.testing.assert_allclose(result['loss/unsup'], sum(LOSSES) / 2, rtol=1e-6)
  np.testing.assert_allclose(total, (LN2 + sum(LOSSES) / 2) / 2, rtol=1e-6)


def test_unimatch_has_a_branch_of_perturbed_features():
  """L = 1/2 (L_x + 1/4 L_s1 + 1/4 L_s2 + 1/2 L_fp); the branch learns the weak image's labels."""
  method = METHODS['unimatch'](Fixed(), 2)
  perturbed = jnp.array([[[[0.0, 0.0], [9.0, 0.0]]]])
  given = targets(VIEWS)

  class Half(type(method)):
    def joint_pass(self, student, batch_stats, targets):
      return student[None], perturbed, batch_stats

  total, (_, result) = Half(Fixed(), 2).loss({'segmenter': LOGITS}, {'segmenter': {}}, given)
  fp = LN2 / 2  # the second pixel's confidence is 0.94
  np.testing.assert_allclose(result['loss/fp'], fp, rtol=1e-6)
  np.testing.assert_allclose(total, (LN2 + sum(LOSSES) / 4 + fp / 2) / 2, rtol=1e-6)


def features(count):
  draw = np.random.default_rng(0).uniform(1, 2, (count, 3, 4, 64))
  return Features((jnp.asarray(draw[..., :32]), jnp.asarray(draw)), (1, 1))


def test_dropped_channels():
  """Whole channels of an image, half of them, the others doubled."""
  keys, x = jax.random.split(jax.random.key(0), 8), features(8)
  for before, after in zip(x.levels, drop_channels(keys, x, 0.5).levels, strict=True):
    ratio = np.asarray(after / before)
    assert (ratio == ratio[:, :1, :1]).all() and set(ratio.ravel()) == {0.0, 2.0}
    assert 0.4 < (ratio > 0).mean() < 0.6
    assert len({tuple(row) for row in ratio[:, 0, 0]}) == 8


def complementary_ratios(x, unchanged):
  """By which each level of both views is multiplied, `[2, B, F]`."""
  keys = jax.random.split(jax.random.key(1), len(unchanged))
  twice = jax.tree.map(lambda x: jnp.concatenate([x, x]), x)
  result = drop_complementary_channels(keys, jnp.asarray(unchanged), twice)
  ratios = [
    np.asarray(after / before) for after, before in zip(result.levels, twice.levels, strict=True)
  ]
  for ratio in ratios:
    assert (ratio == ratio[:, :1, :1]).all()  # of all positions
  return [ratio[:, 0, 0].reshape(2, len(unchanged), -1) for ratio in ratios]


UNCHANGED = np.arange(16) % 3 == 0


@pytest.mark.parametrize('widths', [(32, 64), (32, 32, 32)])
def test_complementary_channels(widths):
  """0 and 2 in one view where the other has 2 and 0; unchanged images have 1 in both."""
  x = features(16)
  x = x.replace(levels=tuple(x.levels[-1][..., :width] for width in widths))
  for ratio in complementary_ratios(x, UNCHANGED):
    np.testing.assert_array_equal(ratio.sum(axis=0), 2.0)
    np.testing.assert_array_equal(ratio[:, UNCHANGED], 1.0)
    assert set(ratio[:, ~UNCHANGED].ravel()) == {0.0, 2.0}
    assert 0.4 < (ratio[0, ~UNCHANGED] > 0).mean() < 0.6


def test_levels_of_one_width_share_a_mask():
  x = features(16).levels[-1]
  ratios = complementary_ratios(Features((x, 2 * x, 3 * x), (14, 14, 14)), UNCHANGED)
  np.testing.assert_array_equal(ratios[1], ratios[0])
  np.testing.assert_array_equal(ratios[2], ratios[0])
  assert len(np.unique(ratios[0][0, ~UNCHANGED], axis=0)) == (~UNCHANGED).sum()  # one per image


def test_levels_of_several_widths_have_masks_of_their_own():
  first, second = complementary_ratios(features(16), UNCHANGED)
  assert (first != second[..., :32]).any()


@pytest.mark.parametrize('name', ['unimatch', 'unimatch_v2'])
def test_views_are_mixed_with_their_labels(name):
  """Without distortion a pixel of a view is the pixel of its own image or of its partner.

  The partner is the next image, in the second version the one of the reversed batch.
  """
  method, start = small.method(name), small.start(name)
  batch = jax.tree.map(lambda x: x[None, None], small.batch())

  def run(batch):
    return method.targets(start, batch, jax.random.key(3))[0]

  result = jax.pmap(run, AXIS, out_axes=None, devices=jax.devices()[:1])(batch)
  weak = jax.tree.map(lambda x: np.asarray(x[0]), result.weak.images)
  order = np.roll(np.arange(8), -1) if name == 'unimatch' else np.arange(8)[::-1]
  partner = jax.tree.map(lambda x: x[order], weak)
  masks = []
  for view in result.views:
    view = jax.tree.map(lambda x: np.asarray(x[0]), view.images)
    own = (view.image == weak.image).all(-1)
    for field in ('label', 'confidence', 'valid'):
      mixed = np.where(own, getattr(weak, field), getattr(partner, field))
      np.testing.assert_array_equal(getattr(view, field), mixed)
    np.testing.assert_array_equal(view.image, np.where(own[..., None], weak.image, partner.image))
    masks.append(own)
  assert 0.5 < np.mean(masks) < 1 and (masks[0] != masks[1]).any()
  assert name == 'unimatch' or result.unchanged.sum() == 4


def test_wrong_masks_are_named():
  with pytest.raises(Exception, match="config.method.mask is 'boxes'; choose one of class, cut"):
    METHODS['unimatch'](Fixed(), 2, mask='boxes')


@pytest.mark.parametrize('step, decay', [(0, 0.0), (1, 0.0), (2, 0.5), (4, 0.75), (5000, 0.996)])
def test_statistics_of_the_second_version_follow_with_the_last_step(step, decay):
  """The teacher's parameters moved after step s - 1, and so do its BN statistics, before s."""
  method, start = small.method('unimatch_v2'), small.start('unimatch_v2')
  model_state = {
    'segmenter': jax.tree.map(lambda x: x + 2, start.model_state['segmenter']),
    'teacher': jax.tree.map(lambda x: x + 1, start.model_state['segmenter']),
  }
  state = start.replace(model_state=model_state, step=jnp.array(step))

  class Blind(type(method)):
    def pseudo_label(self, state, example):
      raise Seen(state.model_state['teacher'])

  class Seen(Exception):
    pass

  fields = dataclasses.fields(method)
  blind = Blind(**{field.name: getattr(method, field.name) for field in fields})
  with pytest.raises(Seen) as seen:
    blind.targets(state, small.batch(), jax.random.key(0))
  jax.tree.map(
    lambda result, x: np.testing.assert_allclose(result, x + decay + 2 * (1 - decay), rtol=1e-5),
    seen.value.args[0],
    start.model_state['segmenter'],
  )
