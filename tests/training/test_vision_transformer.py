"""Invariants of training steps with a vision transformer and the DPT head."""

import functools

import jax
from jax import export as jax_export
import jax.numpy as jnp
import numpy as np
import pytest
import small
import toy

from classmix_jax.core.optim import poly_optimizer
from classmix_jax.inference.export.network import exported_network, restore
from classmix_jax.inference.export.stablehlo import write_stablehlo
from classmix_jax.methods import METHODS, hyper_parameters
from classmix_jax.models.backbones import BACKBONES
from classmix_jax.models.backbones.dinov2 import DinoV2
from classmix_jax.models.heads import HEADS
from classmix_jax.models.heads.dpt import DPT
from classmix_jax.models.segmenter import build_segmenter
from classmix_jax.training.create_state import create_state
from classmix_jax.training.step import make_train_step
from classmix_jax.workdir import checkpoint_lookup

ENCODER = functools.partial(DinoV2, width=64, depth=4, taps=(0, 1, 2, 3))
HEAD = functools.partial(DPT, width=8, projections=(8,) * 4)
UNAUGMENTED = {'strength': 0.0, 'grey': 0.0, 'blur': False, 'jitter': 0.0, 'threshold': 0.22}


def make_method(name, **options):
  model = build_segmenter(ENCODER(), HEAD, small.CLASSES, **options)
  known = hyper_parameters(name).keys() & UNAUGMENTED.keys()
  return METHODS[name](model, small.CLASSES, **{key: UNAUGMENTED[key] for key in known})


@functools.cache
def two_steps(devices, accumulate, frozen):
  """State and losses after two steps of UniMatch V2 on the same global batches."""
  method = make_method('unimatch_v2', freeze_backbone=frozen)
  tx = poly_optimizer(1e-2, 10, head_multiplier=2.0, weight_decay=1e-3)
  places = jax.devices()[:devices]
  image = jax.ShapeDtypeStruct((1, *small.SIZE, 3), jnp.float32)
  state = create_state(method, tx, jax.random.key(0), image, places)
  step = make_train_step(method, tx, 0, places, accumulate=accumulate)
  losses = []
  for seed in range(2):
    state, metrics = step(state, small.shard(small.batch(seed), devices, accumulate))
    losses.append([float(metrics[key]) for key in ('loss/sup', 'loss/unsup')])
  return jax.device_get(state), losses


@pytest.mark.slow
@pytest.mark.parametrize('devices, accumulate, frozen', [(2, 2, False), (4, 1, True)])
def test_devices_and_micro_batches_do_not_matter(devices, accumulate, frozen):
  state, losses = two_steps(1, 1, frozen)
  other, other_losses = two_steps(devices, accumulate, frozen)
  np.testing.assert_allclose(other_losses, losses, rtol=1e-4)
  assert losses[0][1] > 0  # some pixels are confident
  for x, y in zip(jax.tree.leaves(state), jax.tree.leaves(other), strict=True):
    np.testing.assert_allclose(x, y, atol=2e-5)


@pytest.mark.slow
def test_a_frozen_head_learns_as_a_trained_one_does_first():
  """The first gradient of the head does not depend on whether the backbone learns."""
  trained, frozen = two_steps(1, 1, False)[1], two_steps(1, 1, True)[1]
  np.testing.assert_allclose(frozen[0], trained[0], rtol=1e-6)


def test_a_large_network_has_no_gradient_of_a_frozen_backbone():
  """By XLA's account, the state of a frozen run has one backbone and no moments of it."""
  sizes = {}
  for freeze in (False, True):
    method = make_method('classmix', freeze_backbone=freeze)
    tx = poly_optimizer(1e-3, 10, rule='adamw')
    image = jax.ShapeDtypeStruct((1, 28, 28, 3), jnp.float32)
    state = jax.eval_shape(
      functools.partial(create_state, method, tx, image=image, devices=jax.devices()[:1]),
      jax.random.key(0),
    )
    sizes[freeze] = sum(x.size for x in jax.tree.leaves(state))
  backbone = sum(x.size for x in jax.tree.leaves(state.frozen))
  # Student, teacher and two moments against one copy.
  assert abs(sizes[False] - sizes[True] - 3 * backbone) < 0.02 * sizes[False]


@pytest.fixture
def networks(monkeypatch):
  monkeypatch.setitem(BACKBONES, 'small_vit', ENCODER)
  monkeypatch.setitem(HEADS, 'small_dpt', HEAD)


FIELDS = {
  'model.backbone': 'small_vit',
  'model.head': 'small_dpt',
  'optim.rule': 'adamw',
  'optim.learning_rate': 1e-3,
}


@pytest.mark.slow
def test_a_resumed_run_is_the_same(networks, tmp_path):
  root = toy.write_folder(tmp_path / 'data')
  config = functools.partial(toy.config, root, 'method=unimatch_v2', **FIELDS)
  toy.train(config(), tmp_path / 'whole')

  class Interrupted(Exception):
    pass

  def interrupt(step):
    if step == 2:
      raise Interrupted

  with pytest.raises(Interrupted):
    toy.train(config(), tmp_path / 'resumed', on_step=interrupt)
  toy.train(config(), tmp_path / 'resumed')
  states = [checkpoint_lookup.load(tmp_path / name, '4')[1] for name in ('whole', 'resumed')]
  jax.tree.map(np.testing.assert_array_equal, *states)


@pytest.mark.parametrize('frozen', [pytest.param(False, marks=pytest.mark.slow), True])
def test_stablehlo(networks, tmp_path, frozen):
  root = toy.write_folder(tmp_path / 'data')
  fields = {**FIELDS, 'model.freeze_backbone': frozen}
  run = toy.write_run(tmp_path / 'run', root, **fields)
  write_stablehlo(exported_network(restore(run, '1', '')), tmp_path / 'model.stablehlo')
  program = jax_export.deserialize(bytearray((tmp_path / 'model.stablehlo').read_bytes()))
  images = np.random.default_rng(0).integers(0, 256, (2, 32, 64, 3), np.uint8)
  state = checkpoint_lookup.load(run, '1')[1]
  head = state['method_state']['teacher']['head']
  source = state['frozen']['segmenter'] if frozen else state['method_state']['teacher']
  params = {'backbone': source['backbone'], 'head': head}
  model = build_segmenter(ENCODER(), HEAD, len(toy.CLASSES))
  expected = model.apply({'params': params}, images.astype(np.float32) / 255, train=False)
  np.testing.assert_allclose(program.call(images)['logits'], expected, atol=1e-4)
