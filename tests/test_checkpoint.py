"""Saved is restored, bit for bit, on any number of devices; and what is kept."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

from classmix_jax import checkpoint
from classmix_jax.types import UserError


def state_of(step, name='classmix'):
  """A real state whose every array tells its step."""
  state = small.start(name)
  fill = lambda x: (np.asarray(x) + step).astype(x.dtype)
  return jax.tree.map(fill, state).replace(step=np.int32(step))


def assert_same(a, b):
  assert jax.tree.structure(a) == jax.tree.structure(b)
  for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
    np.testing.assert_array_equal(x, y)
    assert x.dtype == y.dtype


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """A run on eight devices: steps 10 to 50, the best at 20, the last not evaluated."""
  run = tmp_path_factory.mktemp('run')
  with checkpoint.open_manager(run / 'checkpoints') as manager:
    for step, miou in ((10, 0.1), (20, 0.6), (30, 0.2), (40, 0.3), (50, None)):
      checkpoint.save(manager, step, small.place(state_of(step), jax.devices()), miou)
    manager.wait_until_finished()
  return run


def test_keeps_the_newest_two_and_the_best(run):
  with checkpoint.open_manager(run / 'checkpoints', read_only=True) as manager:
    assert sorted(manager.all_steps()) == [20, 40, 50]
    assert manager.latest_step() == 50 and manager.best_step() == 20


@pytest.mark.parametrize('devices', [1, 2, 8])
def test_restores_on_any_number_of_devices(run, devices):
  target = small.place(small.start('classmix'), jax.devices()[:devices])
  with checkpoint.open_manager(run / 'checkpoints', read_only=True) as manager:
    for step in (20, 50):
      state = checkpoint.restore(manager, target, step)
      assert_same(jax.device_get(state), state_of(step))
      assert {len(x.sharding.device_set) for x in jax.tree.leaves(state)} == {devices}


def test_other_classes_or_methods_are_refused(run):
  state = small.start('classmix')
  wider = jax.tree.map_with_path(
      lambda path, x: np.concatenate([x, x], -1) if 'head' in str(path) and x.ndim else x, state)
  for target in (wider, small.start('supervised')):
    target = small.place(target, jax.devices()[:1])
    with checkpoint.open_manager(run / 'checkpoints', read_only=True) as manager:
      with pytest.raises(UserError, match='50 does not fit the network of this config') as caught:
        checkpoint.restore(manager, target, 50)
      assert '\n' not in str(caught.value)


@pytest.mark.parametrize('which, step', [('best', 20), ('latest', 50), ('40', 40)])
def test_load_needs_no_model(run, which, step):
  found, tree = checkpoint.load(run, which)
  assert found == step and int(tree['step']) == step
  expected = state_of(step)
  for key in ('params', 'model_state', 'method_state'):
    assert_same(jax.device_get(tree[key]), getattr(expected, key))


def test_eight_devices_save_and_a_laptop_loads(run):
  code = (
      'import sys; from pathlib import Path; import jax; from classmix_jax import checkpoint; '
      'step, tree = checkpoint.load(Path(sys.argv[1])); '
      'bias = tree["params"]["segmenter"]["head"]["conv"]["bias"]; '
      'print(jax.device_count(), step, float(bias[0]))')
  told = subprocess.run(
      [sys.executable, '-c', code, str(run)], capture_output=True, text=True, check=True,
      env={**os.environ, 'XLA_FLAGS': ''})
  assert told.stdout.split() == ['1', '20', '20.0']


def test_without_an_evaluation_the_newest_is_best(tmp_path):
  with checkpoint.open_manager(tmp_path / 'checkpoints') as manager:
    for step in (1, 2):
      checkpoint.save(manager, step, small.place(state_of(step), jax.devices()[:1]), None)
    manager.wait_until_finished()
  assert checkpoint.load(tmp_path)[0] == 2


@pytest.mark.parametrize('which', ['10', '7', 'first', '-1'])
def test_missing_checkpoints_are_named(run, which):
  with pytest.raises(UserError, match=f"has no checkpoint '{which}'; there are 20, 40, 50"):
    checkpoint.load(run, which)


def test_a_folder_that_is_no_run(tmp_path):
  with pytest.raises(UserError, match='is not the folder of a run'):
    checkpoint.load(tmp_path)
  (tmp_path / 'checkpoints').mkdir()
  with pytest.raises(UserError, match='none yet'):
    checkpoint.load(tmp_path)


def test_the_state_may_be_trained_on_while_it_is_saved(tmp_path):
  """Steps donate their state: saving in the background must have copied it."""
  state = small.place(state_of(3), jax.devices()[:2])
  step = jax.jit(lambda x: jax.tree.map(jnp.zeros_like, x), donate_argnums=0)
  with checkpoint.open_manager(tmp_path / 'checkpoints') as manager:
    checkpoint.save(manager, 3, state, 0.5)
    jax.block_until_ready(step(state))
    manager.wait_until_finished()
  tree = checkpoint.load(tmp_path)[1]
  assert_same(jax.device_get(tree['params']), state_of(3).params)
