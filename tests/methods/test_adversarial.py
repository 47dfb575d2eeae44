"""Hung et al. and s4GAN by hand: every term, whose gradient it is, and when it begins."""

import dataclasses

from fixed import LN2, LN3, Fixed, image, pixels, softplus
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

from classmix_jax.methods import s4gan_targets
from classmix_jax.methods.adversarial import Adversarial, Judged, Targets
from classmix_jax.methods.labeled_loss import Labeled
from classmix_jax.methods.s4gan import S4GAN
from classmix_jax.models.discriminators import ImageDiscriminator, PixelDiscriminator
from classmix_jax.types import AXIS, VOID

# Class 0 has a probability of 1/2 and of 3/4.
LOGITS = jnp.array([[[0.0, 0.0], [LN3, 0.0]]])


@dataclasses.dataclass(frozen=True)
class Linear(Adversarial):
  """D's logit is its parameter times the probability of class 0 above 1/2."""

  def judge(self, discriminator, prob):
    return discriminator * (prob[..., 0] - 0.5)


def labeled(*labels):
  label = pixels(*labels)
  known = label != VOID
  return Labeled(
    image(len(labels)), label, known.astype(jnp.float32), jnp.float32(known.sum()), jnp.float32(1.0)
  )


def adversarial_targets():
  """The second labelled pixel is void; of the unlabelled ones D trusts the second."""
  judged = Judged(
    image(2),
    pixels(True, True),
    jnp.float32(2.0),
    pixels(0, 0),
    pixels(False, True),
    jnp.float32(1.0),
    jnp.float32(0.25),
    jnp.float32(0.125),
  )
  return Targets(labeled(0, VOID), judged)


def adversarial_terms(discriminator=2.0, logits=LOGITS):
  method = Linear(Fixed(), 2, lambda_adv=0.5)
  params = {'segmenter': logits, 'discriminator': jnp.float32(discriminator)}
  return method.loss(params, {'segmenter': {}}, adversarial_targets())


def test_every_term_of_adversarial_learning():
  """D returns 2 (p - 1/2): 0 and 1/2 for the predictions, 1 for the truth."""
  loss, (_, terms) = adversarial_terms()
  expected = {
    'loss/sup': LN2,
    'loss/adv': softplus(0.0),
    'loss/semi_adv': (softplus(0.0) + softplus(-0.5)) / 2,
    'loss/semi': -np.log(0.75),
    'loss/discriminator': ((2 * softplus(0.0) + softplus(0.5)) / 3 + softplus(-1.0)) / 2,
  }
  assert terms.keys() == expected.keys()
  for name, value in expected.items():
    np.testing.assert_allclose(terms[name], value, rtol=1e-6, err_msg=name)
  weights = dict(zip(expected, (1.0, 0.5, 0.25, 0.125, 1.0), strict=True))
  np.testing.assert_allclose(
    loss, sum(weights[name] * value for name, value in expected.items()), rtol=1e-6
  )


def test_each_adversarial_term_reaches_its_own_network():
  of_discriminator = jax.jacobian(lambda x: adversarial_terms(x)[1][1])(2.0)
  assert [name for name, slope in of_discriminator.items() if slope] == ['loss/discriminator']
  of_segmenter = jax.jacobian(lambda x: adversarial_terms(logits=x)[1][1])(LOGITS)
  assert [name for name, slope in of_segmenter.items() if not slope.any()] == ['loss/discriminator']


def on_one_device(function, *arguments):
  mapped = jax.pmap(function, AXIS, out_axes=None, devices=jax.devices()[:1])
  return jax.device_get(mapped(*(jnp.asarray(x)[None] for x in arguments)))


@pytest.fixture(scope='module')
def gates():
  """`targets` of the real network at any step, with a D that is never or always convinced."""
  method = small.method('adversarial', semi_start=5)
  start = small.start('adversarial')
  batch = jax.tree.map(lambda x: jnp.asarray(x)[None], small.batch())

  def run(step, convinced):
    discriminator = jax.tree.map(jnp.zeros_like, start.params['discriminator'])
    discriminator['classifier']['bias'] += jnp.where(convinced, 9.0, -9.0)
    params = {**start.params, 'discriminator': discriminator}
    state = start.replace(params=params, step=step)
    targets, _, _ = method.targets(state, batch, jax.random.key(0))
    return targets.unlabeled

  return lambda *arguments: on_one_device(run, *arguments)


def test_self_training_begins_at_its_step(gates):
  before, after = gates(4, True), gates(5, True)
  assert (float(before.weight_semi[0]), float(after.weight_semi[0])) == (0.0, np.float32(0.1))
  assert before.weight_adv[0] == after.weight_adv[0] == np.float32(0.001)
  np.testing.assert_array_equal(after.trusted, after.valid)
  assert after.trusted_count[0] == after.num_pixels[0] == after.valid.sum()


def test_without_trust_the_adversarial_term_is_skipped_too(gates):
  """As in the original, in steps of self-training only."""
  before, after = gates(4, False), gates(5, False)
  assert not after.trusted.any()
  assert (float(before.weight_adv[0]), float(after.weight_adv[0])) == (np.float32(0.001), 0.0)


def scored(features, gap):
  """Of two unlabelled images D is convinced of the second."""
  keys = jnp.zeros((2, 2))
  pair = jnp.zeros((2, 1, 2, 3), jnp.uint8)
  chosen = jnp.array([False, True])[:, None, None] & jnp.ones((2, 1, 2), bool)
  return s4gan_targets.Scored(
    pair / 1.0,
    pair,
    jnp.zeros((1, 1, 2, 3)),
    keys,
    keys[:1],
    jnp.asarray(gap),
    jnp.mean(features, axis=0),
    jnp.zeros((2, 1, 2), int),
    chosen,
    jnp.float32(2.0),
  )


def test_feature_matching():
  """|gap| averaged over features; each image pulls against its sign."""
  features = jnp.array([[1.0, 0.0], [3.0, 2.0]])
  method = S4GAN(Fixed(), 2)
  value, slope = jax.value_and_grad(method.matching_loss)(
    features, scored(features, [0.5, -1.0]), jnp.float32(1.0)
  )
  assert float(value) == 0.75
  np.testing.assert_array_equal(slope, [[-0.25, 0.25], [-0.25, 0.25]])


@dataclasses.dataclass(frozen=True)
class LinearImages(S4GAN):
  """D's logit is its parameter times the mean of p_0 - 1/2, which is its only feature."""

  def judge(self, discriminator, prob, image, keys):
    feature = jnp.mean(prob[..., 0] - 0.5, axis=(1, 2))
    return discriminator * feature, feature[:, None]


def s4gan_terms(discriminator=2.0, logits=LOGITS):
  """Mean probabilities above 1/2: 1/8 of the predictions, 0 of a truth of one class each."""
  method = LinearImages(Fixed(), 2, lambda_fm=0.5, lambda_st=0.25)
  params = {'segmenter': logits, 'discriminator': jnp.float32(discriminator)}
  targets = s4gan_targets.Targets(labeled(0, 1), scored(jnp.full((2, 1), 0.125), [-0.125]))
  return method.loss(params, {'segmenter': {}}, targets)


def test_every_term_of_s4gan():
  loss, (_, terms) = s4gan_terms()
  expected = {
    'loss/sup': (LN2 + 2 * LN2) / 2,  # of class 1 at 1/4
    'loss/fm': 0.125,
    'loss/st': (LN2 - np.log(0.75)) / 2,
    'loss/discriminator': (softplus(0.25) + softplus(0.0)) / 2,
  }
  for name, value in expected.items():
    np.testing.assert_allclose(terms[name], value, rtol=1e-6, err_msg=name)
  weights = dict(zip(expected, (1.0, 0.5, 0.25, 1.0), strict=True))
  np.testing.assert_allclose(
    loss, sum(weights[name] * value for name, value in expected.items()), rtol=1e-6
  )


def test_each_term_of_s4gan_reaches_its_own_network():
  of_discriminator = jax.jacobian(lambda x: s4gan_terms(x)[1][1])(2.0)
  assert [name for name, slope in of_discriminator.items() if slope] == ['loss/discriminator']
  of_segmenter = jax.jacobian(lambda x: s4gan_terms(logits=x)[1][1])(LOGITS)
  assert [name for name, slope in of_segmenter.items() if not slope.any()] == ['loss/discriminator']


def test_images_train_themselves_above_gamma():
  """D returns the same for all images: sigmoid(0) = 0.5 is not above 0.5."""
  start, batch = small.start('s4gan'), jax.tree.map(lambda x: jnp.asarray(x)[None], small.batch())

  def run(bias):
    discriminator = jax.tree.map(jnp.zeros_like, start.params['discriminator'])
    discriminator['classifier']['bias'] += bias
    state = start.replace(params={**start.params, 'discriminator': discriminator})
    method = small.method('s4gan', gamma=0.5)
    targets, _, metrics = method.targets(state, batch, jax.random.key(0))
    return targets.unlabeled, metrics['self_trained_share']

  (unsure, none), (sure, every) = (on_one_device(run, jnp.float32(x)) for x in (0.0, 0.1))
  assert not unsure.chosen.any() and none == 0
  np.testing.assert_array_equal(sure.chosen, batch.unlabeled.valid)
  assert sure.num_pixels[0] == batch.unlabeled.valid.sum() and every == 1
  assert sure.image.min() == 0 and sure.image.max() == 1  # stretched over the batch


def count(module, *arguments):
  shapes = jax.eval_shape(module.init, jax.random.key(0), *arguments)
  return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def test_parameters_of_discriminators():
  """4x4 convolutions 64, 128, 256, 512 wide, each with biases; the last layer is one unit."""
  body = sum(16 * a * b + b for a, b in ((64, 128), (128, 256), (256, 512)))
  prob, pair = jnp.zeros((1, 64, 96, 21)), jnp.zeros((1, 64, 96, 24))
  assert count(PixelDiscriminator(), prob) == 16 * 21 * 64 + 64 + body + 16 * 512 + 1
  keys = jax.random.split(jax.random.key(0), 1)
  assert count(ImageDiscriminator(), pair, keys) == 16 * 24 * 64 + 64 + body + 512 + 1


def test_small_images_have_no_pixel_discriminator():
  with pytest.raises(ValueError, match=r'\(31, 64\); the discriminator needs 32x32'):
    PixelDiscriminator().init(jax.random.key(0), jnp.zeros((1, 31, 64, 2)))
