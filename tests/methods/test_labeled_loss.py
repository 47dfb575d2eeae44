"""The loss of labelled images by hand: weights, hard pixels, Dice."""

from fixed import LN2, LN3
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.core.ohem import hard_pixels, kth_smallest
from classmix_jax.errors import UserError
from classmix_jax.methods.labeled_loss import LabeledLoss, dice_loss
from classmix_jax.types import AXIS, VOID, Example

# Class 0 has a probability of 1/2, 3/4, 1/4 and 3/4.
LOGITS = np.array([[0.0, 0.0], [LN3, 0.0], [0.0, LN3], [LN3, 0.0]], np.float32)
LABELS = np.array([0, 1, 1, VOID], np.uint8)
PIXEL_LOSS = np.array([LN2, 2 * LN2, -np.log(0.75)])  # of the known ones


def loss(devices=1, parts=1, **options):
  """Of two images of two pixels, on so many devices and in so many micro-batches."""
  labeled_loss = LabeledLoss(**options)
  lead = (devices, parts, 2 // devices // parts, 1, 2)
  label, logits = LABELS.reshape(lead), LOGITS.reshape(*lead, 2)
  example = Example(np.zeros((*lead, 3), np.uint8), label, np.ones(lead, bool))

  def run(example, logits):
    labeled = labeled_loss.targets(example)
    micro = [
      labeled_loss(logits[i], jax.tree.map(lambda x, i=i: x[i], labeled)) for i in range(parts)
    ]
    return jax.lax.pmean(sum(micro), AXIS)

  mapped = jax.pmap(run, AXIS, out_axes=None, devices=jax.devices()[:devices])
  return float(mapped(example, logits))


@pytest.mark.parametrize('devices, parts', [(1, 1), (2, 1), (1, 2)])
def test_class_weights(devices, parts):
  """Divided by the sum of the weights of the known pixels, 1 + 3 + 3."""
  result = loss(devices, parts, class_weights=(1.0, 3.0))
  np.testing.assert_allclose(result, (PIXEL_LOSS @ [1, 3, 3]) / 7, rtol=1e-6)
  np.testing.assert_allclose(loss(devices, parts), PIXEL_LOSS.mean(), rtol=1e-6)


def test_padding_is_void_for_any_label():
  valid = np.array([True, False, True, True]).reshape(1, 2, 1, 2)
  label = LABELS.reshape(1, 2, 1, 2)
  example = Example(np.zeros((1, 2, 1, 2, 3), np.uint8), label, valid)
  run = jax.pmap(LabeledLoss().targets, AXIS, devices=jax.devices()[:1])
  labeled = run(jax.tree.map(lambda x: x[None], example))
  assert labeled.label.ravel().tolist() == [0, VOID, 1, VOID]
  assert labeled.weight.ravel().tolist() == [1, 0, 1, 0] and labeled.num_pixels.item() == 2


@pytest.mark.parametrize('devices', [1, 2])
@pytest.mark.parametrize(
  'threshold, min_kept, hard',
  [(0.3, 0, [0, 1, 0]), (0.6, 0, [1, 1, 0]), (0.3, 2, [1, 1, 0]), (0.3, 9, [1, 1, 1])],
)
def test_hard_pixels_count(devices, threshold, min_kept, hard):
  """Probabilities of the labels are 1/2, 1/4 and 3/4; void is never hard."""
  result = loss(devices, ohem_threshold=threshold, ohem_min_kept=min_kept)
  np.testing.assert_allclose(result, (PIXEL_LOSS @ hard) / sum(hard), rtol=1e-6)


@pytest.mark.parametrize('devices', [1, 2])
def test_dice(devices):
  """Class 0: 2 * 1/2 / (3/2 + 1), class 1: 2 * (1/4 + 3/4) / (3/2 + 2)."""
  coefficient = (1 / 2.5 + 2 / 3.5) / 2
  result = loss(devices, dice=0.5) - loss(devices)
  np.testing.assert_allclose(result, 0.5 * (1 - coefficient), rtol=1e-5)


def test_dice_leaves_absent_classes_out():
  logits = jnp.zeros((1, 1, 2, 3)).at[..., 0].set(50.0)
  assert float(dice_loss(logits, jnp.array([[[0, VOID]]]))) == 0.0


def test_kth_smallest():
  rng = np.random.default_rng(0)
  value = rng.random(1000).astype(np.float32)
  for k in (1, 2, 500, 1000):
    assert kth_smallest(jnp.asarray(value), k) == np.sort(value)[k - 1]
  assert kth_smallest(jnp.asarray(value), 1001) == np.inf


def test_hard_pixels_pass_no_gradient():
  slope = jax.grad(lambda p: jnp.sum(hard_pixels(p, jnp.ones(2, bool), 0.5, 1) * 1.0))(
    jnp.array([0.2, 0.7])
  )
  np.testing.assert_array_equal(slope, 0.0)


@pytest.mark.parametrize(
  'weights, message',
  [((1.0,), 'has 1 numbers for 2 classes'), ((1.0, -2.0), 'has -2.0; use 0 or more')],
)
def test_wrong_weights_are_named(weights, message):
  with pytest.raises(UserError, match=f'config.labeled_loss.class_weights {message}'):
    LabeledLoss(class_weights=weights).check(2)
