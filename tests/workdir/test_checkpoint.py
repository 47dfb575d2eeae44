"""Saved is restored, bit for bit, on any number of devices; and what is kept."""

import errno
import gc
import os
from pathlib import Path
import shutil
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

from classmix_jax.errors import UserError
from classmix_jax.types import TrainState
from classmix_jax.workdir import checkpoint, checkpoint_integrity


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
    lambda path, x: np.concatenate([x, x], -1) if 'head' in str(path) and x.ndim else x, state
  )
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


def test_a_relative_path_is_as_good(run, monkeypatch):
  monkeypatch.chdir(run.parent)
  step, tree = checkpoint.load(Path(run.name), 'latest')
  assert step == int(tree['step']) == 50


def test_eight_devices_save_and_a_laptop_loads(run):
  code = (
    'import sys; from pathlib import Path; import jax; '
    'from classmix_jax.workdir import checkpoint; '
    'step, tree = checkpoint.load(Path(sys.argv[1])); '
    'bias = tree["params"]["segmenter"]["head"]["conv"]["bias"]; '
    'print(jax.device_count(), step, float(bias[0]))'
  )
  told = subprocess.run(
    [sys.executable, '-c', code, str(run)],
    capture_output=True,
    text=True,
    check=True,
    env={**os.environ, 'XLA_FLAGS': ''},
  )
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


# ------------------------------------------------------------------ what can go wrong

PUT = lambda state: jax.device_put(state, jax.devices()[0])


def tiny(step):
  """A state of a few files."""
  array = np.random.default_rng(step).normal(size=(40, 50)).astype(np.float32)
  return TrainState(
    step=np.int32(step), params={'a': array}, model_state={}, opt_state=(), method_state={}
  )


def save_tiny(run, *steps):
  with checkpoint.open_manager(run / 'checkpoints') as manager:
    for step in steps:
      checkpoint.save(manager, step, PUT(tiny(step)), step / 100)
    checkpoint.finish(manager)


def resume(run):
  with checkpoint.open_manager(run / 'checkpoints') as manager:
    return jax.device_get(checkpoint.restore_newest(manager, PUT(tiny(0))))


@pytest.fixture(scope='module')
def two(tmp_path_factory):
  run = tmp_path_factory.mktemp('two') / 'run'
  save_tiny(run, 10, 20)
  return run


def harm(path, how):
  data = path.read_bytes()
  if how == 'deleted':
    path.unlink()
  else:
    middle = len(data) // 2
    path.write_bytes(
      data[:middle]
      if how == 'truncated'
      else data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]
    )


def files_of(run):
  return sorted(path.relative_to(run) for path in run.glob('checkpoints/20/**/*') if path.is_file())


def data_file(run):
  return max((run / path for path in files_of(run)), key=lambda path: path.stat().st_size)


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('how', ['deleted', 'truncated', 'flipped'])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(two, tmp_path, capfd, how):
  """The largest file; one line says so, the damaged one lies aside, and the training goes on."""
  run = shutil.copytree(two, tmp_path / 'run')
  harm(data_file(run), how)
  with pytest.raises(UserError, match='checkpoints/20 is damaged .*ask for another --step'):
    checkpoint.load(run, 'latest')
  assert_same(resume(run), tiny(10))
  said = [line for line in capfd.readouterr().err.splitlines() if line.startswith('warning')]
  assert len(said) == 1 and 'checkpoints/20 is damaged (' in said[0]
  assert said[0].endswith('damaged_checkpoints, and the training goes on from step 10')
  assert (run / 'damaged_checkpoints' / '20').is_dir()
  save_tiny(run, 20)
  assert_same(resume(run), tiny(20))
  harm(data_file(run), how)  # once more: both are kept
  assert_same(resume(run), tiny(10))
  assert {path.name for path in (run / 'damaged_checkpoints').iterdir()} == {'20', '20-1'}


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('how', ['deleted', 'truncated', 'flipped'])
def test_any_damaged_file_ends_in_a_whole_state(two, tmp_path, how):
  seen = set()
  for file in files_of(two):
    run = shutil.copytree(two, tmp_path / 'run')
    harm(run / file, how)
    found = resume(run)
    assert_same(found, tiny(int(found.step)))
    seen.add(int(found.step))
    shutil.rmtree(run)
  assert seen == {10, 20}  # some files are not needed


@pytest.mark.filterwarnings('ignore')
def test_where_none_is_whole_the_training_does_not_begin_anew(two, tmp_path):
  run = shutil.copytree(two, tmp_path / 'run')
  shutil.rmtree(run / 'checkpoints' / '10')
  data_file(run).unlink()
  with pytest.raises(UserError, match='no checkpoint in .* is whole .*; remove that folder'):
    resume(run)


def test_a_score_that_cannot_be_read(two, tmp_path, capsys):
  run = shutil.copytree(two, tmp_path / 'run')
  (run / 'checkpoints' / '20' / 'metrics' / 'metrics').write_text('{"mi')
  with pytest.raises(UserError, match=r'20 is damaged \(metrics: .*let the training go on'):
    checkpoint.load(run, 'latest')
  assert_same(resume(run), tiny(10))
  assert '20 is damaged (metrics: ' in capsys.readouterr().err


def test_checksums_do_not_depend_on_the_tree_but_on_every_bit():
  tree = {'a': np.arange(6, dtype=np.float32).reshape(2, 3), 'b': np.float32(1)}
  assert checkpoint.checksum(tree) == checkpoint.checksum([tree['b'], tree['a'].T.T])
  changed = tree['a'].copy()
  changed[1, 2] = np.nextafter(changed[1, 2], 9)
  assert checkpoint.checksum(tree) != checkpoint.checksum({**tree, 'a': changed})


def test_a_checkpoint_without_a_checksum_is_damaged(two, monkeypatch):
  monkeypatch.setattr(checkpoint_integrity, 'saved_checksum', lambda folder: None)
  with pytest.raises(UserError, match='its checksum is missing'):
    checkpoint.load(two, 'latest')


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('error', [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize('told_by', ['check', 'save', 'finish'])
def test_a_save_that_fails_in_the_background_is_told(two, tmp_path, monkeypatch, error, told_by):
  """By the next look, by the next save, and at the end; the older checkpoints stay."""

  def refuse(directory):
    raise OSError(error, os.strerror(error))

  def look(manager):
    begin = time.monotonic()
    while time.monotonic() - begin < 20:
      checkpoint.check(manager)
      time.sleep(0.01)

  ask = {
    'check': look,
    'finish': checkpoint.finish,
    'save': lambda manager: checkpoint.save(manager, 40, PUT(tiny(40)), 0.1),
  }[told_by]
  run = shutil.copytree(two, tmp_path / 'run')
  with monkeypatch.context() as patch:
    patch.setattr(checkpoint, 'read_back', refuse)
    manager = checkpoint.open_manager(run / 'checkpoints')
    checkpoint.save(manager, 30, PUT(tiny(30)), 0.1)
    with pytest.raises(UserError, match=rf'not be written to .*\(.*{os.strerror(error)}'):
      ask(manager)
  assert {int(path.name) for path in (run / 'checkpoints').glob('[0-9]0')} == {10, 20}
  assert_same(resume(run), tiny(20))
  save_tiny(run, 30)  # and what was left is tidied up
  assert not list((run / 'checkpoints').glob(checkpoint.UNFINISHED))


def test_what_cannot_be_read_back_does_not_get_its_name(two, tmp_path, monkeypatch):
  """And the older checkpoints, one of which would go, stay."""
  run = shutil.copytree(two, tmp_path / 'run')
  manager = checkpoint.open_manager(run / 'checkpoints')
  monkeypatch.setattr(checkpoint, 'checksum', lambda tree: 'a')
  monkeypatch.setattr(checkpoint_integrity, 'checksum', lambda tree: 'b')
  checkpoint.save(manager, 30, PUT(tiny(30)), 0.5)
  with pytest.raises(UserError, match='cannot be read back: its checksum is b and was a'):
    checkpoint.finish(manager)
  assert {int(path.name) for path in (run / 'checkpoints').glob('[0-9]0')} == {10, 20}


def test_what_was_saved_without_a_score_is_replaced_by_what_has_one(tmp_path):
  run = tmp_path / 'run'
  with checkpoint.open_manager(run / 'checkpoints') as manager:
    for miou in (None, 0.7):
      checkpoint.save(manager, 5, PUT(tiny(5)), miou)
    checkpoint.finish(manager)
    assert manager.all_steps() == [5] and manager.best_step() == 5
  assert_same(resume(run), tiny(5))


def test_what_a_killed_process_was_writing_is_removed(two, tmp_path):
  run = shutil.copytree(two, tmp_path / 'run')
  shutil.copytree(run / 'checkpoints' / '20', run / 'checkpoints' / '30.orbax-checkpoint-tmp')
  assert checkpoint.load(run, 'latest')[0] == 20  # who only reads leaves it there
  assert list((run / 'checkpoints').glob(checkpoint.UNFINISHED))
  assert_same(resume(run), tiny(20))
  save_tiny(run, 30)
  assert not list((run / 'checkpoints').glob(checkpoint.UNFINISHED))


def test_saves_leave_no_objects_behind(tmp_path):
  arrays = 60
  state = TrainState(
    step=jnp.zeros((), jnp.int32),
    params={str(i): jnp.ones(3) for i in range(arrays)},
    model_state={},
    opt_state={},
    method_state={},
  )
  counts = []
  with checkpoint.open_manager(tmp_path / 'checkpoints') as manager:
    for step in range(1, 9):
      checkpoint.save(manager, step, state, None)
      checkpoint.finish(manager)
      gc.collect()
      counts.append(len(gc.get_objects()))
  # Tensorstore counts its work in some thirty lists; nothing may grow with the arrays.
  assert counts[-1] - counts[2] < 5 * arrays
