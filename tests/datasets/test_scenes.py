"""The procedural scenes: the renderer as a pure function, the prepared set as a Dataset."""

import multiprocessing
import pickle
import shutil
import subprocess
import sys
import zlib

import numpy as np
import pytest

from classmix_jax.datasets import scenes
from classmix_jax.datasets.scenes import render as scenes_render
from classmix_jax.datasets.scenes.classes import CLASS_NAMES
from classmix_jax.errors import UserError
from classmix_jax.types import VOID

COUNTS = {'num_train': 4, 'num_val': 2}
TRAIN_SEED, VAL_SEED = 1, 2


@pytest.fixture(scope='module')
def many():
  return [scenes_render.render(TRAIN_SEED, index) for index in range(50)]


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  directory = str(tmp_path_factory.mktemp('scenes'))
  scenes.load(directory, **COUNTS)
  return directory


def test_render_shapes_types_and_values(many):
  for image, label in many:
    assert image.shape == (96, 192, 3) and image.dtype == np.uint8
    assert label.shape == (96, 192) and label.dtype == np.uint8
    assert set(np.unique(label)) <= {*range(len(CLASS_NAMES)), VOID}
    assert image.std() > 5  # something can be seen


def test_render_is_pure(many):
  for index in (3, 0):  # in another order than the fixture's
    for first, second in zip(many[index], scenes_render.render(TRAIN_SEED, index), strict=True):
      np.testing.assert_array_equal(first, second)


def test_render_agrees_between_processes(many):
  code = (
    'import zlib; from classmix_jax.datasets.scenes.render import render; '
    f'print(*[zlib.crc32(x.tobytes()) for x in render({TRAIN_SEED}, 7)])'
  )
  process = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
  assert process.stdout.split() == [str(zlib.crc32(x.tobytes())) for x in many[7]]


def test_every_class_has_its_share(many):
  labels = np.stack([label for _, label in many])
  share = np.bincount(labels.ravel(), minlength=256) / labels.size
  classes = len(CLASS_NAMES)
  assert share[:classes].min() > 0.008 and share[:classes].max() < 0.4
  assert 0.002 < share[VOID] < 0.06
  seen = np.array([[(label == c).sum() > 15 for c in range(classes)] for label in labels])
  assert seen.mean(0).min() > 0.4  # no class hides in a few images


def test_looks_vary_within_a_class_and_overlap_between_classes(many):
  """The mean colour alone must not separate the classes of an image region."""
  pairs = (
    ('sky', 'building'),
    ('building', 'road'),
    ('road', 'pavement'),
    ('vegetation', 'building'),
    ('car', 'truck'),
  )
  for a, b in [map(CLASS_NAMES.index, pair) for pair in pairs]:
    means = [
      np.array([image[label == c].mean(0) for image, label in many if (label == c).sum() > 30])
      for c in (a, b)
    ]
    gap = np.abs(means[0].mean(0) - means[1].mean(0)).max()
    spread = np.minimum(means[0].std(0), means[1].std(0)).min()
    assert spread > 15 and gap < 3.5 * spread


def test_train_and_val_differ(many):
  assert not np.array_equal(many[0][0], scenes_render.render(VAL_SEED, 0)[0])


def test_loaded_examples_equal_the_rendered(root):
  dataset = scenes.load(root, **COUNTS)
  assert dataset.train.names == ('train_0000', 'train_0001', 'train_0002', 'train_0003')
  assert dataset.val.names == ('val_0000', 'val_0001')
  assert len(dataset.class_names) == len(dataset.palette) == 9
  for source, seed in ((dataset.train, TRAIN_SEED), (dataset.val, VAL_SEED)):
    for index in reversed(range(len(source))):
      image, label = scenes_render.render(seed, index)
      np.testing.assert_array_equal(source.read_image(index), image)
      np.testing.assert_array_equal(source.read_label(index), label)


def test_second_load_does_not_render(root, monkeypatch, capsys):
  monkeypatch.setattr(scenes_render, 'render', lambda *_: pytest.fail('rendered again'))
  scenes.load(root, **COUNTS)
  assert capsys.readouterr().out == ''


def test_first_load_prints_its_steps(tmp_path, capsys):
  scenes.load(str(tmp_path / 'new'), num_train=1, num_val=1)
  lines = capsys.readouterr().out.splitlines()
  assert len(lines) == 2
  assert lines[0].startswith('Rendering 2 scenes') and lines[1].startswith('Rendered 2 scenes in')


def test_size_resizes_both(root):
  source = scenes.load(root, size=(48, 80), **COUNTS).train
  image, label = source.read_image(1), source.read_label(1)
  assert image.shape == (48, 80, 3) and image.dtype == np.uint8
  assert label.shape == (48, 80) and label.dtype == np.uint8
  assert set(np.unique(label)) <= set(np.unique(scenes_render.render(TRAIN_SEED, 1)[1]))


def test_default_root_follows_the_environment(monkeypatch, tmp_path):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  scenes.load(num_train=1, num_val=1)
  assert list(tmp_path.glob('classmix_jax/scenes/*/*/*.array_record*'))


def test_sources_can_be_pickled(root):
  source = scenes.load(root, **COUNTS).train
  copy = pickle.loads(pickle.dumps(source))
  np.testing.assert_array_equal(copy.read_image(2), source.read_image(2))


def test_killed_build_is_not_trusted(tmp_path, monkeypatch):
  render = scenes_render.render

  def stop_at_second(seed, index):
    if index == 1:
      raise KeyboardInterrupt
    return render(seed, index)

  monkeypatch.setattr(scenes_render, 'render', stop_at_second)
  with pytest.raises(KeyboardInterrupt):
    scenes.load(str(tmp_path), **COUNTS)
  monkeypatch.setattr(scenes_render, 'render', render)
  leftover = next(tmp_path.glob('scenes/*')) / 'incomplete.ABCDEF_1.0.0'
  leftover.mkdir()  # what a process leaves that had no time to clean up
  assert len(scenes.load(str(tmp_path), **COUNTS).train) == 4


def _load_lengths(directory):
  return len(scenes.load(directory, **COUNTS).train)


def test_two_processes_may_prepare_at_once(tmp_path):
  with multiprocessing.get_context('spawn').Pool(2) as pool:
    assert pool.map(_load_lengths, [str(tmp_path)] * 2, chunksize=1) == [4, 4]
  assert not list(tmp_path.glob('**/incomplete*'))


def test_killed_while_rendering_leaves_nothing_behind(tmp_path):
  """SIGKILL in the middle; the next start renders anew and removes what was left."""
  code = (
    'import sys, os; from classmix_jax.datasets import scenes; '
    'from classmix_jax.datasets.scenes import render as module; real = module.render\n'
    'def killed(seed, index):\n'
    '  if index == 2: os.kill(os.getpid(), 9)\n'
    '  return real(seed, index)\n'
    'module.render = killed; scenes.load(sys.argv[1], num_train=4, num_val=2)'
  )
  ended = subprocess.run([sys.executable, '-c', code, str(tmp_path)], capture_output=True)
  assert ended.returncode == -9, ended.stderr
  assert len(list(tmp_path.glob('**/incomplete.*'))) == 1
  assert len(scenes.load(str(tmp_path), **COUNTS).train) == 4
  assert not list(tmp_path.glob('**/incomplete.*'))


def test_damage_is_named(root, tmp_path):
  broken = tmp_path / 'broken'
  shutil.copytree(root, broken)
  next(broken.glob('**/dataset_info.json')).unlink()
  with pytest.raises(UserError, match='is damaged.*Remove that directory'):
    scenes.load(str(broken), **COUNTS)


def test_unwritable_root_is_named(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(UserError, match='--config.data.root'):
    scenes.load(str(tmp_path / 'file'), **COUNTS)


def test_module_imports_without_tensorflow():
  code = (
    'import sys, classmix_jax.datasets.scenes; '
    'print([m for m in sys.modules if m.startswith("tensorflow")])'
  )
  process = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
  assert process.stdout.strip() == '[]'
