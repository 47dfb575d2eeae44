"""The tutorial's code, as it stands in docs/extending.md: a mask and a method of a newcomer."""

import fixed
import jax
import jax.numpy as jnp
import numpy as np
import pages
import pytest
import small

from classmix_jax.masks import MASKS
from classmix_jax.methods import METHODS
from classmix_jax.training.step import make_train_step
from classmix_jax.types import AXIS, Batch, Example


@pytest.fixture(scope='module', name='tutorial')
def run_tutorial():
  with pages.tutorial() as names:
    yield names


def test_the_mask(tutorial):
  mask = np.asarray(MASKS['stripe'](jax.random.key(0), jnp.zeros((3, 32), int), 4))
  assert mask.shape == (3, 32) and mask.dtype == bool and (mask == mask[0]).all()
  assert (
    mask.mean() == 0.5
    and (np.flatnonzero(np.diff(mask[0])) % 8 == np.flatnonzero(np.diff(mask[0]))[0] % 8).all()
  )


def test_the_loss_by_hand(tutorial):
  """A pixel at 1/2 has the entropy ln 2, a sure one none: their mean, and the CE of label 0."""
  method = METHODS['entropy'](fixed.Fixed(), 2, lambda_entropy=0.5)
  logits = jnp.array([[[0.0, 0.0], [60.0, 0.0]]])
  batch = Batch(
    Example(fixed.image(2)[None], fixed.pixels(0, 255)[None], jnp.ones((1, 1, 1, 2), bool)),
    Example(fixed.image(2)[None], fixed.pixels(255, 255)[None], jnp.ones((1, 1, 1, 2), bool)),
  )

  def run(batch):
    targets, _, _ = method.targets({}, {}, {}, batch, None, None)
    micro = jax.tree.map(lambda x: x[0], targets)
    return method.loss({'segmenter': logits}, {'segmenter': {}}, micro)[0]

  loss = jax.pmap(run, AXIS, devices=jax.devices()[:1])(jax.tree.map(lambda x: x[None], batch))
  np.testing.assert_allclose(loss[0], fixed.LN2 + 0.5 * fixed.LN2 / 2, rtol=1e-6)


def test_both_train_together_on_two_devices(tutorial):
  """The entropy method needs no mask and ClassMix takes the new one: a step of each."""
  devices = jax.devices()[:2]
  for name, options in (('entropy', {}), ('classmix', {'mask': 'stripe'})):
    method = small.method(name, **options)
    state = small.place(small.start(name), devices)
    step = make_train_step(method, small.optimizer(), 0, devices)
    state, metrics = step(state, small.shard(small.batch(), 2))
    assert int(state.step) == 1 and all(np.isfinite(x).all() for x in metrics.values())
