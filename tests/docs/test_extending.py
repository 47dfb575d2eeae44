"""The code of docs/extending.md, and a method with a memory bank, in one file each."""

from collections.abc import Mapping
import dataclasses
import json
from typing import Any
from unittest import mock

import fixed
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pages
import pytest
from safetensors.numpy import save_file
import small
import toy

from classmix_jax.config import defaults
from classmix_jax.core.ema import ema_update
from classmix_jax.masks import MASKS
from classmix_jax.methods import METHODS
from classmix_jax.methods.mean_teacher import MeanTeacher
from classmix_jax.methods.options import option
from classmix_jax.models.backbones import BACKBONES
from classmix_jax.models.segmenter import initialize
from classmix_jax.training.step import make_train_step
from classmix_jax.types import AXIS, Batch, Example, TrainState
from classmix_jax.utils.ranges import POSITIVE_COUNT
from classmix_jax.workdir import checkpoint_lookup

DECAY = 0.75


@dataclasses.dataclass(frozen=True)
class MemoryBank(MeanTeacher):
  """A bank of class shares of past batches, and a network that an average of its own follows."""

  bank_size: int = option(4, POSITIVE_COUNT)

  averages = {**MeanTeacher.averages, 'slow_projector': 'projector'}

  def init(self, key, image):
    params, model_state, method_state = super().init(key, image)
    projector = jnp.eye(self.num_classes)
    bank = jnp.zeros((self.bank_size, self.num_classes))
    return (
      {**params, 'projector': projector},
      {**model_state, 'shares': jnp.zeros(self.num_classes)},
      {**method_state, 'slow_projector': projector, 'bank': bank},
    )

  def optimizers(self, steps: int, power: float) -> Mapping[str, Any]:
    return {'projector': optax.sgd(0.1)}

  def targets(self, state: TrainState, batch: Batch, key):
    targets, model_state, metrics = super().targets(state, batch, key)
    shares = metrics['pseudo_shares'] @ state.method_state['slow_projector']
    memory = jnp.mean(state.method_state['bank'], axis=0)
    repeat = (len(batch.labeled.image), self.num_classes)
    return (
      (targets, jnp.broadcast_to(shares - memory, repeat)),
      {**model_state, 'shares': shares},
      metrics,
    )

  def loss(self, params, model_state, targets):
    mixed_targets, difference = targets
    loss, (model_state, metrics) = super().loss(params, model_state, mixed_targets)
    loss_memory = jnp.sum((difference @ params['projector']) ** 2)
    return loss + loss_memory, (model_state, {**metrics, 'loss/memory': loss_memory})

  def finish(self, state: TrainState):
    old = state.method_state
    bank = old['bank'].at[state.step % self.bank_size].set(state.model_state['shares'])
    average = ema_update(state.params['projector'], old['slow_projector'], DECAY)
    return {**super().finish(state), 'slow_projector': average, 'bank': bank}


@pytest.fixture(scope='module', name='tutorial')
def run_tutorial():
  with pages.tutorial() as names, mock.patch.dict(METHODS, {'memory_bank': MemoryBank}):
    yield names


def test_the_mask(tutorial):
  mask = np.asarray(MASKS['stripe'](jax.random.key(0), jnp.zeros((3, 32), int), 4))
  assert mask.shape == (3, 32) and mask.dtype == bool and (mask == mask[0]).all()
  edges = np.flatnonzero(np.diff(mask[0]))
  assert mask.mean() == 0.5 and (edges % 8 == edges[0] % 8).all()


def test_the_loss_by_hand(tutorial):
  """A pixel at 1/2 has the entropy ln 2, a certain one 0: their mean, and the CE of label 0."""
  method = METHODS['entropy'](fixed.Fixed(), 2, lambda_entropy=0.5)
  logits = jnp.array([[[0.0, 0.0], [60.0, 0.0]]])
  batch = Batch(
    Example(fixed.image(2)[None], fixed.pixels(0, 255)[None], jnp.ones((1, 1, 1, 2), bool)),
    Example(fixed.image(2)[None], fixed.pixels(255, 255)[None], jnp.ones((1, 1, 1, 2), bool)),
  )

  def run(batch):
    state = TrainState(jnp.array(0), {}, {}, (), {})
    targets, _, _ = method.targets(state, batch, jax.random.key(0))
    micro_batch = jax.tree.map(lambda x: x[0], targets)
    return method.loss({'segmenter': logits}, {'segmenter': {}}, micro_batch)[0]

  loss = jax.pmap(run, AXIS, devices=jax.devices()[:1])(jax.tree.map(lambda x: x[None], batch))
  np.testing.assert_allclose(loss[0], fixed.LN2 + 0.5 * fixed.LN2 / 2, rtol=1e-6)


def test_the_method_trains_on_two_devices(tutorial):
  devices, method = jax.devices()[:2], small.method('entropy')
  state = small.place(small.start('entropy'), devices)
  step = make_train_step(method, small.optimizer(method), 0, devices)
  state, metrics = step(state, small.shard(small.batch(), 2))
  assert int(state.step) == 1 and all(np.isfinite(x).all() for x in metrics.values())


def make_config():
  """Two steps with an entry of every table that did not exist before."""
  config = defaults.small(defaults.get_config('method=memory_bank,labeled=4'))
  config.steps = 2
  config.log_every = config.checkpoint_every = config.eval_every = 1
  config.batch_size = config.unlabeled_batch_size = config.eval_batch_size = 2
  config.data.name = 'checkers'
  config.data.crop = (32, 32)
  config.data.scale = (1.0, 1.0)
  config.method.mask = 'stripe'
  config.model.backbone, config.model.head = 'patches', 'pixelwise'
  config.eval.protocol = 'upside_down'
  return config


def write_weights(path):
  """Writes a backbone `patches` in the layout of its files; returns its kernel."""
  backbone = BACKBONES['patches']()
  params, statistics = initialize(backbone, jax.random.key(7), np.zeros((1, 32, 32, 3)))
  tensors = {
    '.'.join(('patch_net', *(entry.key for entry in key))): np.array(x)
    for tree in (params, statistics)
    for key, x in jax.tree.leaves_with_path(tree)
  }
  save_file(tensors, path)
  return np.asarray(params['conv_patch']['kernel'])


def test_an_entry_of_every_table_trains_two_steps(tutorial, tmp_path):
  """The command line's way: config, run, checkpoint, evaluation."""
  config, run = make_config(), tmp_path / 'run'
  config.model.pretrained = str(tmp_path / 'weights.safetensors')
  kernel = write_weights(tmp_path / 'weights.safetensors')
  result = toy.train(config, run)
  assert result['protocol'].startswith('upside down at 48x64') and result['dataset'] == 'checkers'
  assert set(result['networks']) == {'student', 'teacher'}

  rows = [json.loads(line) for line in (run / 'metrics.jsonl').read_text().splitlines()]
  assert [row['step'] for row in rows] == [1, 2]
  assert all(np.isfinite(row['loss/memory']) for row in rows)
  assert rows[0]['distance/slow_projector'] > 0 and 'distance/teacher' in rows[0]

  states = [checkpoint_lookup.load(run, str(step))[1] for step in (1, 2)]
  banks = [np.asarray(state['method_state']['bank']) for state in states]
  np.testing.assert_allclose(banks[0].sum(axis=1), [1, 0, 0, 0], atol=1e-6)
  np.testing.assert_array_equal(banks[1][0], banks[0][0])
  assert banks[1][1].any() and not banks[1][2:].any()
  first, second = (state['method_state']['slow_projector'] for state in states)
  expected = DECAY * first + (1 - DECAY) * states[1]['params']['projector']
  np.testing.assert_allclose(second, expected, rtol=1e-5)
  learned = states[0]['params']['segmenter']['backbone']['conv_patch']['kernel']
  np.testing.assert_allclose(learned, kernel, atol=0.2)


def test_ranges_of_a_new_method_are_checked(tutorial, tmp_path):
  config = make_config()
  config.method.bank_size = 0
  with pytest.raises(Exception, match='config.method.bank_size is 0; it must be 1 or more'):
    toy.train(config, tmp_path / 'run')
