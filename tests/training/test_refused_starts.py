"""Starts that disagree with their run are refused before anything is written."""

import hashlib
import shutil

import numpy as np
from PIL import Image
import pytest
import toy

from classmix_jax.errors import UserError
from classmix_jax.workdir import run_files

SETTINGS = {'model.head': 'linear', 'data.crop': (16, 16)}


def snapshot(run):
  """Every file of a directory: name -> digest of its bytes and time of its last change."""
  return {
    str(path.relative_to(run)): (
      path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest(),
      path.stat().st_mtime_ns,
    )
    for path in [run, *run.rglob('*')]
  }


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """A data set and a run on it."""
  base = tmp_path_factory.mktemp('trained')
  data = toy.write_folder(base / 'data')
  return data, toy.write_run(base / 'run', data, 'method=classmix', **SETTINGS)


@pytest.fixture
def data(trained, tmp_path):
  """A copy of the data set, which a test may change."""
  return shutil.copytree(trained[0], tmp_path / 'with blanks é')


@pytest.fixture
def start(trained, data):
  """Starts the run again on the copy, with other fields."""

  def start(begin=toy.train, **fields):
    begin(toy.config(data, 'method=classmix', **{**SETTINGS, **fields}), trained[1])

  return start


def write_classes(data, *names):
  (data / 'classes.txt').write_text(''.join(f'{name}\n' for name in names))


def exchange_names(data):
  write_classes(data, 'ball', 'box', 'ground')


def add_class(data):
  write_classes(data, 'ground', 'box', 'ball', 'cat')


def rename_class(data):
  write_classes(data, 'ground', 'crate', 'ball')


def move_to_validation(data):
  for kind in ('images', 'masks'):
    shutil.move(data / 'labeled' / kind / 'street' / '3.png', data / 'val' / kind / 'x.png')


def move_to_unlabeled(data):
  path = data / 'labeled' / 'images' / 'street' / '3.png'
  shutil.move(path, data / 'unlabeled' / 'images' / 'z.png')
  (data / 'labeled' / 'masks' / 'street' / '3.png').unlink()


def write_other_images(data):
  """Other images under the same names."""
  for seed, path in enumerate(sorted((data / 'labeled' / 'images').rglob('*.png'))):
    Image.fromarray(toy.draw(500 + seed)[0]).save(path)


def rename_images(data):
  write_other_images(data)
  for kind in ('images', 'masks'):
    (data / 'labeled' / kind / 'street').rename(data / 'labeled' / kind / 'road')


def truncate_mask(data):
  path = data / 'labeled' / 'masks' / 'street' / '0.png'
  path.write_bytes(path.read_bytes()[:50])


def write_text_as_image(data):
  (data / 'val' / 'images' / '0.png').write_text('no image')


def remove_labeled(data):
  for kind in ('images', 'masks'):
    shutil.rmtree(data / 'labeled' / kind / 'street')


def keep_one_unlabeled(data):
  for path in list((data / 'unlabeled' / 'images').iterdir())[1:]:
    path.unlink()


REFUSED = {
  'a class more': (add_class, {}, ['classes.txt has 4 classes (cat is new)', 'ground, box, ball']),
  'another order': (exchange_names, {}, ['in another order (ball, box, ground)']),
  'another name': (rename_class, {}, ['3 classes (crate instead of box)']),
  'another config': (None, {'optim.momentum': 0.5}, ['config.optim.momentum was 0.9 and is now']),
  'another crop': (
    None,
    {'data.crop': (8, 8)},
    ['config.data.crop was (16, 16) and is now (8, 8)'],
  ),
  'another protocol': (None, {'eval.flip': True}, ['config.eval.flip was False and is now True']),
  'another head': (None, {'model.head': 'conv3x3'}, ["'linear' and is now 'conv3x3'"]),
  'other names': (rename_images, {}, ['has 0 of the 4 labelled images that', 'street/0']),
  'other images': (write_other_images, {}, ['has 0 of the 4 labelled images that']),
  'no data': (remove_labeled, {}, ['images']),
  'to validation': (move_to_validation, {}, ['x was a labelled image', 'a validation one: put it']),
  'to unlabelled': (move_to_unlabeled, {}, ['z was a labelled image', 'an unlabelled one']),
  'fewer labels': (None, {'data.labeled': '2'}, ['now an unlabelled one', '/splits/labeled.txt']),
  'an unreadable mask': (truncate_mask, {}, ['0.png']),
  'an unreadable image': (write_text_as_image, {}, ['0.png']),
  'another method': (None, {'method.name': 'cutmix'}, ["'classmix' and is now 'cutmix'"]),
  'too few images': (keep_one_unlabeled, {}, ['classmix mixes pairs of unlabelled images']),
  'wrong weights': (None, {'model.pretrained': 'nowhere'}, ['nowhere']),
  'no such list': (None, {'data.labeled': 'nowhere.txt'}, ['nowhere.txt']),
}


@pytest.mark.parametrize('name', REFUSED)
def test_a_refused_start_changes_no_file(trained, data, start, name):
  change, fields, parts = REFUSED[name]
  before = snapshot(trained[1])
  if change is not None:
    change(data)
  toy.assert_fails(lambda: start(**fields), *parts)
  assert snapshot(trained[1]) == before


def test_weights_of_another_network_leave_no_directory(trained, data, tmp_path):
  config = toy.config(
    data,
    'method=classmix',
    **{**SETTINGS, 'model.pretrained': str(trained[1]), 'model.backbone': 'resnet18'},
  )
  toy.assert_fails(lambda: toy.train(config, tmp_path / 'new'), 'contains another network')
  assert not (tmp_path / 'new').exists()


def test_a_checkpoint_of_another_network_is_named_by_its_first_array(trained, data, tmp_path):
  run = shutil.copytree(trained[1], tmp_path / 'run')
  names, palette = run_files.read_classes(run)
  write_classes(data, *names, 'cat')
  four = {'names': [*names, 'cat'], 'palette': [*palette, (1, 2, 3)]}
  run_files.write_json(run / 'classes.json', four)
  config = toy.config(data, 'method=classmix', **SETTINGS)
  toy.start(config, tmp_path / 'other')
  shutil.copy(tmp_path / 'other' / 'data.json', run)
  before = snapshot(run)
  toy.assert_fails(
    lambda: toy.train(config, run),
    'checkpoints/1 does not fit the network of this config: params/segmenter/head/classifier/bias '
    'is 3 float32 in the checkpoint and 4 float32 in the network',
  )
  assert snapshot(run) == before


def test_moved_data_goes_on_and_changes_are_named(trained, data, start, capsys):
  _, run = trained
  start(toy.start)
  text = capsys.readouterr().out
  assert f'data: {trained[0]} is now {data}\n' in text and 'since the last start' not in text
  toy.write_pair(data / 'labeled', 'street/new', 7)
  shutil.copy(data / 'labeled/images/street/new.png', data / 'unlabeled/images/9.png')
  Image.fromarray(np.asarray(toy.draw(33)[1])).save(data / 'labeled/masks/street/0.png')
  (data / 'val/images/2.png').unlink()
  (data / 'val/masks/2.png').unlink()
  (data / 'classes.txt').write_text('ground 9 9 9\nbox\nball\n')
  start(toy.start)
  text = capsys.readouterr().out
  assert (
    'since the last start 1 labelled image is new (street/new); 1 labelled mask changed '
    '(street/0); 1 unlabelled image is new (9); 1 validation image is gone (2)\n'
  ) in text
  assert 'warning: scores from here on are of other validation images' in text
  assert 'figures show ground' in text and 'is now' not in text
  assert run_files.read_classes(run)[1][0] == (9, 9, 9)
  assert run_files.read_split(run, 'val') == ['0', '1']
  start(
    toy.start, **{'data.labeled': str(run / 'splits' / 'labeled.txt')}
  )  # the same images by a list
  assert 'since the last start' not in capsys.readouterr().out


def test_a_list_keeps_the_validation_images_that_a_share_has_chosen(tmp_path, capsys):
  root, run = tmp_path / 'data', tmp_path / 'run'
  root.mkdir()
  (root / 'classes.txt').write_text('ground\nbox\nball\n')
  for seed, name in enumerate('abcdefgh'):
    toy.write_pair(root, name, seed)
  config = toy.config(root, 'method=classmix', **SETTINGS, **{'data.val_share': 0.5})
  toy.start(config, run)
  before = run_files.read_split(run, 'val')
  toy.write_pair(root, 'new', 9)
  config.data.val_seed = 1
  with pytest.raises(UserError, match=f'put it back or set --config.data.val={run}/splits/val.txt'):
    toy.start(config, run)
  config.data.val = f'{run}/splits/val.txt'
  toy.start(config, run)
  assert run_files.read_split(run, 'val') == before
  assert 'since the last start 1 labelled image is new (new)' in capsys.readouterr().out


@pytest.mark.parametrize('names', [['config.json'], ['classes.json', 'data.json']])
def test_checkpoints_of_an_unknown_run_are_refused(trained, data, tmp_path, names):
  run = shutil.copytree(trained[1], tmp_path / 'run')
  for name in names:
    (run / name).unlink()
  before = snapshot(run)
  with pytest.raises(UserError, match=f'has checkpoints, but not {", ".join(names)}: restore'):
    toy.train(toy.config(data, 'method=classmix', **SETTINGS), run)
  assert snapshot(run) == before
