"""Checkpoints: bit-equal on any number of devices, retention, corruption, failed saves."""

import errno
import gc
import multiprocessing
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
from classmix_jax.workdir import checkpoint, checkpoint_integrity, checkpoint_lookup


def state_of(step, name='classmix'):
  """A real state in which every array holds the step."""
  state = small.start(name)

  def fill(x):
    return (np.asarray(x) + step).astype(x.dtype)

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
  loaded_step, tree = checkpoint_lookup.load(run, which)
  assert loaded_step == step and int(tree['step']) == step
  expected = state_of(step)
  for key in ('params', 'model_state', 'method_state'):
    assert_same(jax.device_get(tree[key]), getattr(expected, key))


def test_a_relative_path_is_as_good(run, monkeypatch):
  monkeypatch.chdir(run.parent)
  step, tree = checkpoint_lookup.load(Path(run.name), 'latest')
  assert step == int(tree['step']) == 50


def test_eight_devices_save_and_a_laptop_loads(run):
  code = (
    'import sys; from pathlib import Path; import jax; '
    'from classmix_jax.workdir import checkpoint_lookup; '
    'step, tree = checkpoint_lookup.load(Path(sys.argv[1])); '
    'bias = tree["params"]["segmenter"]["head"]["conv"]["bias"]; '
    'print(jax.device_count(), step, float(bias[0]))'
  )
  process = subprocess.run(
    [sys.executable, '-c', code, str(run)],
    capture_output=True,
    text=True,
    check=True,
    env={**os.environ, 'XLA_FLAGS': ''},
  )
  assert process.stdout.split() == ['1', '20', '20.0']


def test_without_an_evaluation_the_newest_is_best(tmp_path):
  with checkpoint.open_manager(tmp_path / 'checkpoints') as manager:
    for step in (1, 2):
      checkpoint.save(manager, step, small.place(state_of(step), jax.devices()[:1]), None)
    manager.wait_until_finished()
  assert checkpoint_lookup.load(tmp_path)[0] == 2


@pytest.mark.parametrize('which', ['10', '7', 'first', '-1'])
def test_missing_checkpoints_are_named(run, which):
  with pytest.raises(UserError, match=f"has no checkpoint '{which}'; choose 20, 40, 50, 'latest'"):
    checkpoint_lookup.load(run, which)


def test_a_directory_that_is_no_run(tmp_path):
  with pytest.raises(UserError, match='is not the directory of a run'):
    checkpoint_lookup.load(tmp_path)
  (tmp_path / 'checkpoints').mkdir()
  with pytest.raises(UserError, match='none was saved yet'):
    checkpoint_lookup.load(tmp_path)


def test_the_state_may_be_trained_on_while_it_is_saved(tmp_path):
  """Steps donate their state: saving in the background must have copied it."""
  state = small.place(state_of(3), jax.devices()[:2])
  step = jax.jit(lambda x: jax.tree.map(jnp.zeros_like, x), donate_argnums=0)
  with checkpoint.open_manager(tmp_path / 'checkpoints') as manager:
    checkpoint.save(manager, 3, state, 0.5)
    jax.block_until_ready(step(state))
    manager.wait_until_finished()
  tree = checkpoint_lookup.load(tmp_path)[1]
  assert_same(jax.device_get(tree['params']), state_of(3).params)


# ------------------------------------------------------------------ corruption and failures


def put(state):
  return jax.device_put(state, jax.devices()[0])


def tiny(step):
  """A state of a few files."""
  array = np.random.default_rng(step).normal(size=(40, 50)).astype(np.float32)
  return TrainState(
    step=np.int32(step), params={'a': array}, model_state={}, opt_state=(), method_state={}
  )


def save_tiny(run, *steps):
  with checkpoint.open_manager(run / 'checkpoints') as manager:
    for step in steps:
      checkpoint.save(manager, step, put(tiny(step)), step / 100)
    checkpoint.finish(manager)


def resume(run):
  with checkpoint.open_manager(run / 'checkpoints') as manager:
    return jax.device_get(checkpoint.restore_newest(manager, put(tiny(0))))


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
def test_a_corrupt_checkpoint_falls_back_to_the_previous_one(two, tmp_path, capfd, how):
  """With one warning; the corrupt checkpoint is moved away and the training resumes."""
  run = shutil.copytree(two, tmp_path / 'run')
  harm(data_file(run), how)
  with pytest.raises(UserError, match='checkpoints/20 is damaged .*choose another --step'):
    checkpoint_lookup.load(run, 'latest')
  assert_same(resume(run), tiny(10))
  warnings = [line for line in capfd.readouterr().err.splitlines() if line.startswith('warning')]
  assert len(warnings) == 1 and 'checkpoints/20 is damaged (' in warnings[0]
  assert warnings[0].endswith('damaged_checkpoints, and the training resumes from step 10')
  assert (run / 'damaged_checkpoints' / '20').is_dir()
  save_tiny(run, 20)
  assert_same(resume(run), tiny(20))
  harm(data_file(run), how)  # once more: both are kept
  assert_same(resume(run), tiny(10))
  assert {path.name for path in (run / 'damaged_checkpoints').iterdir()} == {'20', '20-1'}


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('how', ['deleted', 'truncated', 'flipped'])
def test_any_corrupt_file_ends_in_a_valid_state(two, tmp_path, how):
  seen = set()
  for file in files_of(two):
    run = shutil.copytree(two, tmp_path / 'run')
    harm(run / file, how)
    state = resume(run)
    assert_same(state, tiny(int(state.step)))
    seen.add(int(state.step))
    shutil.rmtree(run)
  assert seen == {10, 20}  # some files are not needed


@pytest.mark.filterwarnings('ignore')
def test_without_a_valid_checkpoint_the_training_does_not_start_over(two, tmp_path):
  run = shutil.copytree(two, tmp_path / 'run')
  shutil.rmtree(run / 'checkpoints' / '10')
  data_file(run).unlink()
  with pytest.raises(UserError, match='no checkpoint in .* is valid .*; remove that directory'):
    resume(run)


def test_a_score_that_cannot_be_read(two, tmp_path, capsys):
  run = shutil.copytree(two, tmp_path / 'run')
  (run / 'checkpoints' / '20' / 'metrics' / 'metrics').write_text('{"mi')
  with pytest.raises(UserError, match=r'20 is damaged \(metrics: .*resume the training'):
    checkpoint_lookup.load(run, 'latest')
  assert_same(resume(run), tiny(10))
  assert '20 is damaged (metrics: ' in capsys.readouterr().err


def test_checksums_do_not_depend_on_the_tree_but_on_every_bit():
  tree = {'a': np.arange(6, dtype=np.float32).reshape(2, 3), 'b': np.float32(1)}
  assert checkpoint.compute_checksum(tree) == checkpoint.compute_checksum(
    [tree['b'], tree['a'].T.T]
  )
  changed = tree['a'].copy()
  changed[1, 2] = np.nextafter(changed[1, 2], 9)
  assert checkpoint.compute_checksum(tree) != checkpoint.compute_checksum({**tree, 'a': changed})


def test_a_checkpoint_without_a_checksum_is_corrupt(two, monkeypatch):
  monkeypatch.setattr(checkpoint_integrity, 'read_checksum', lambda directory: None)
  with pytest.raises(UserError, match='its checksum is missing'):
    checkpoint_lookup.load(two, 'latest')


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('error', [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize('noticed_by', ['check', 'save', 'finish'])
def test_a_failed_background_save_is_an_error(two, tmp_path, monkeypatch, error, noticed_by):
  """In the next check, the next save and at the end; the older checkpoints stay."""

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
    'save': lambda manager: checkpoint.save(manager, 40, put(tiny(40)), 0.1),
  }[noticed_by]
  run = shutil.copytree(two, tmp_path / 'run')
  with monkeypatch.context() as patch:
    patch.setattr(checkpoint, 'verify_save', refuse)
    manager = checkpoint.open_manager(run / 'checkpoints')
    checkpoint.save(manager, 30, put(tiny(30)), 0.1)
    with pytest.raises(UserError, match=rf'not be written to .*\(.*{os.strerror(error)}'):
      ask(manager)
  assert {int(path.name) for path in (run / 'checkpoints').glob('[0-9]0')} == {10, 20}
  assert_same(resume(run), tiny(20))
  save_tiny(run, 30)  # which also removes the remains
  assert not list((run / 'checkpoints').glob(checkpoint.UNFINISHED_PATTERN))


def test_an_unreadable_save_does_not_get_its_final_name(two, tmp_path, monkeypatch):
  """And the older checkpoints stay, including the one that would be replaced."""
  run = shutil.copytree(two, tmp_path / 'run')
  manager = checkpoint.open_manager(run / 'checkpoints')
  monkeypatch.setattr(checkpoint, 'compute_checksum', lambda tree: 'a')
  monkeypatch.setattr(checkpoint_integrity, 'compute_checksum', lambda tree: 'b')
  checkpoint.save(manager, 30, put(tiny(30)), 0.5)
  with pytest.raises(UserError, match='cannot be read back: its checksum is b and was a'):
    checkpoint.finish(manager)
  assert {int(path.name) for path in (run / 'checkpoints').glob('[0-9]0')} == {10, 20}


def test_a_save_without_a_score_is_replaced_by_one_with_a_score(tmp_path):
  run = tmp_path / 'run'
  with checkpoint.open_manager(run / 'checkpoints') as manager:
    for miou in (None, 0.7):
      checkpoint.save(manager, 5, put(tiny(5)), miou)
    checkpoint.finish(manager)
    assert manager.all_steps() == [5] and manager.best_step() == 5
  assert_same(resume(run), tiny(5))


def test_unfinished_checkpoints_of_a_killed_process_are_removed(two, tmp_path):
  run = shutil.copytree(two, tmp_path / 'run')
  shutil.copytree(run / 'checkpoints' / '20', run / 'checkpoints' / '30.orbax-checkpoint-tmp')
  assert checkpoint_lookup.load(run, 'latest')[0] == 20  # reading alone does not remove it
  assert list((run / 'checkpoints').glob(checkpoint.UNFINISHED_PATTERN))
  assert_same(resume(run), tiny(20))
  save_tiny(run, 30)
  assert not list((run / 'checkpoints').glob(checkpoint.UNFINISHED_PATTERN))


def count_objects(directory, arrays):
  """Returns the number of Python objects after each of eight saves of a state."""
  state = TrainState(
    step=jnp.zeros((), jnp.int32),
    params={str(i): jnp.ones(3) for i in range(arrays)},
    model_state={},
    opt_state={},
    method_state={},
  )
  counts = []
  with checkpoint.open_manager(directory) as manager:
    for step in range(1, 9):
      checkpoint.save(manager, step, state, None)
      checkpoint.finish(manager)
      gc.collect()
      counts.append(len(gc.get_objects()))
  return counts


def test_saves_leave_no_objects_behind(tmp_path):
  """Counted in a process of its own: this one has a million objects of other tests."""
  arrays = 60
  with multiprocessing.get_context('spawn').Pool(1) as pool:
    counts = pool.apply(count_objects, [tmp_path / 'checkpoints', arrays])
  # Tensorstore counts its work in some thirty lists; nothing may grow with the arrays.
  assert counts[-1] - counts[2] < 5 * arrays
