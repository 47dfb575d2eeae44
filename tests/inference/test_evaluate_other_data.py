"""Evaluating a run on other data: classes by name, and results in a file of their own."""

import json
from pathlib import Path
import shutil

import numpy as np
from PIL import Image
import pytest
import toy

from classmix_jax.config.defaults import data_defaults
from classmix_jax.config.load import read_config
from classmix_jax.data.match_classes import match_classes
from classmix_jax.datasets import folder
from classmix_jax.errors import UserError
from classmix_jax.inference.data_flags import DataFlags
from classmix_jax.inference.evaluate_run import evaluate_run
from classmix_jax.inference.evaluated_data import check_order, open_data
from classmix_jax.inference.predictor import load
from classmix_jax.workdir import run_files
from classmix_jax.workdir.image_record import record_images, write_record


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """A data set and a run on it with an evaluation."""
  base = tmp_path_factory.mktemp('evaluated')
  data = toy.write_folder(base / 'data')
  run = toy.write_run(base / 'run', data, 'method=supervised', **{'model.head': 'linear'})
  evaluate(run)
  return data, run


def evaluate(run, root='', **flags):
  return evaluate_run(run, step='latest', network='', data=DataFlags(str(root), **flags))


@pytest.fixture
def data(trained, tmp_path):
  return shutil.copytree(trained[0], tmp_path / 'Test Set')


def test_moved_data_is_the_runs_own(trained, data):
  _, run = trained
  before = json.loads((run / 'eval' / '1.json').read_text())
  assert evaluate(run, data)['iou'] == before['iou']
  assert sorted(path.name for path in (run / 'eval').iterdir()) == ['1-confusion.csv', '1.json']


def test_other_images_leave_the_results_of_the_run(trained, data):
  _, run = trained
  kept = [(run / name).read_bytes() for name in ('eval/1.json', 'predictions.png')]
  toy.write_pair(data / 'val', 'new', 77)
  result = evaluate(run, data)
  assert result['images'] == 4 and result['set']['root'] == str(data)
  assert [(run / name).read_bytes() for name in ('eval/1.json', 'predictions.png')] == kept
  (path,) = (run / 'eval').glob('1-test-set-val-??????.json')
  name = path.stem[2:]
  for file in (f'1-{name}.json', f'1-{name}-confusion.csv', f'1-{name}.png'):
    assert (run / 'eval' / file).exists()
    (run / 'eval' / file).unlink()


def test_classes_in_another_order_are_the_same_classes(trained, data):
  """Names and ids are exchanged alike, so the scores are those of the run."""
  _, run = trained
  (data / 'classes.txt').write_text('ball\nground\nbox\n')
  for path in data.rglob('masks/**/*.png'):
    label = np.asarray(Image.open(path))
    table = np.full(256, 255, np.uint8)
    table[:3] = [1, 2, 0]  # ground, box and ball there
    Image.fromarray(table[label]).save(path)
  own = json.loads((run / 'eval' / '1.json').read_text())
  assert evaluate(run, data)['iou'] == own['iou']


def test_fewer_classes(trained, data):
  _, run = trained
  (data / 'classes.txt').write_text('ball\nground\n')
  for path in data.rglob('masks/**/*.png'):
    label = np.asarray(Image.open(path))
    Image.fromarray(np.choose(np.minimum(label, 3), [1, 255, 0, 255]).astype(np.uint8)).save(path)
  own = json.loads((run / 'eval' / '1.json').read_text())
  result = evaluate(run, data)
  assert list(result['iou']) == list(own['iou']) and result['classes_present'] == 2


def test_a_folder_without_a_class_file_has_the_classes_of_the_run(trained, tmp_path):
  run, root = trained[1], tmp_path / 'test'
  toy.write_pair(root, 'a', 301)
  data = opened(run, root)
  assert len(data.dataset.val) == 1 and data.dataset.class_names == toy.CLASSES
  assert f'The classes are read from {run}/classes.json.' in data.lines


def test_an_image_of_the_validation_is_evaluated_alone(trained, tmp_path):
  data = shutil.copytree(trained[0], tmp_path / 'data')
  run = shutil.copytree(trained[1], tmp_path / 'run')
  dataset = folder.load(str(data))
  write_record(run, record_images(str(data), dataset.train, dataset.train, dataset.val, None))
  name = dataset.val.names[0]
  for kind in ('images', 'masks'):
    (tmp_path / 'test' / kind).mkdir(parents=True)
    (file,) = (data / 'val' / kind).glob(f'{name}.*')
    shutil.copy(file, tmp_path / 'test' / kind)
  assert len(opened(run, tmp_path / 'test').dataset.val) == 1


def test_values_of_masks_need_the_class_file(trained, tmp_path):
  data = shutil.copytree(trained[0], tmp_path / 'data')
  (data / 'classes.txt').write_text('0,ground\n1,box\n2,ball\n7,void\n')
  run = toy.write_run(tmp_path / 'run', data, 'method=supervised', **{'model.head': 'linear'})
  write_record(run, record_images(str(data), *[folder.load(str(data)).train] * 3, None))
  root = tmp_path / 'test'
  toy.write_pair(root, 'a', 301)
  with pytest.raises(UserError, match=rf'no class file.*copy the class file of {data} there'):
    opened(run, root)
  shutil.copy(data / 'classes.txt', root)
  assert len(opened(run, root).dataset.val) == 1


def test_a_folder_of_pairs_is_evaluated_as_a_whole(trained, tmp_path):
  """A training would set a share of them aside."""
  root = tmp_path / 'test'
  root.mkdir()
  (root / 'classes.txt').write_text('ground\nbox\nball\n')
  for count in (1, 2):
    toy.write_pair(root, f't{count}', 300 + count)
    data = opened(trained[1], root)
    assert len(data.dataset.val) == count
  assert f'data: {root}, all 2 images with a mask' in data.lines


def test_pixels_of_an_unknown_class_are_void(trained, data, capsys):
  """The ball is a cat there: what is left are the counts of the run without its row."""
  (data / 'classes.txt').write_text('ground\nbox\ncat\n')
  own = np.loadtxt(trained[1] / 'eval' / '1-confusion.csv', str, delimiter=',')
  result = evaluate(trained[1], data)
  assert result['confusion'][:2] == own[1:3, 1:].astype(int).tolist()
  assert result['confusion'][2] == [0, 0, 0] and result['iou']['ball'] is None
  assert result['miou'] == pytest.approx((result['iou']['ground'] + result['iou']['box']) / 2)
  assert result['set']['classes'] == {'renamed': {}, 'void': ['cat'], 'absent': ['ball']}
  text = capsys.readouterr().out
  assert 'cat is no class of the run: such pixels are void and not scored.' in text
  assert 'The class ball of the run is not labelled here and has no IoU.' in text


def test_classes_are_matched_in_another_spelling(trained, data):
  own = opened(trained[1]).dataset.val
  (data / 'classes.txt').write_text('Ground\n_box_\nBALL\n')
  other = opened(trained[1], data)
  assert (other.dataset.val.read_label(1) == own.read_label(1)).all()
  assert other.record['classes']['renamed'] == {
    'Ground': 'ground',
    '_box_': 'box',
    'BALL': 'ball',
  }
  assert any("'Ground' is 'ground', '_box_' is 'box'" in line for line in other.lines)


def test_a_set_without_a_class_of_the_run_is_refused(trained, data):
  (data / 'classes.txt').write_text('sky\nroad\n')
  toy.assert_fails(
    lambda: evaluate(trained[1], data), 'sky, road', 'ground, box, ball', '--classes'
  )


def test_remedies_name_flags_of_the_program(trained, data):
  with pytest.raises(UserError) as caught:
    evaluate(trained[1], data / 'nowhere')
  assert '--root' in str(caught.value) and 'config.data' not in str(caught.value)


def test_other_classes_than_those_of_the_head_end_in_a_sentence(trained, tmp_path):
  run = shutil.copytree(trained[1], tmp_path / 'run')
  names, palette = run_files.read_classes(run)
  run_files.write_json(run / 'classes.json', {'names': names[:2], 'palette': palette[:2]})
  for call in (lambda: load(run), lambda: evaluate(run, '')):
    toy.assert_fails(
      call,
      f'{run}/classes.json has 2 classes, but',
      'checkpoints/1 was trained with 3; restore classes.json',
    )


@pytest.fixture
def parts(tmp_path):
  """A data set with two images for training, one for validation and three for tests."""
  root = tmp_path / 'parts'
  for part, count in (('train', 2), ('valid', 1), ('test', 3)):
    for index in range(count):
      toy.write_pair(root / part, f'{part}{index}', 400 + index)
  (root / 'classes.txt').write_text('ground\nbox\nball\n')
  return root


def opened(run, root='', **flags):
  """The data of an evaluation, without a network."""
  return open_data(read_config(run), run, DataFlags(str(root), **flags))


def test_parts_of_a_data_set(trained, parts):
  texts = {
    'val': 'the 1 image for validation (--part=test has 3, --part=all has 6)',
    'test': 'the 3 images for tests (--part=val has 1, --part=all has 6)',
    'all': 'all 6 images with a mask (--part=val has 1, --part=test has 3)',
  }
  names = set()
  for part, text in texts.items():
    data = opened(trained[1], parts, part=part)
    assert f'data: {parts}, {text}' in data.lines and data.record['part'] == part
    assert data.name.startswith(f'parts-{part}-')
    names.add(data.name)
  assert len(names) == 3 and opened(trained[1], parts).name in names


def test_a_part_that_is_missing(trained, parts):
  shutil.rmtree(parts / 'valid')
  toy.assert_fails(lambda: opened(trained[1], parts, part='val'), 'no val part', '--part=test')
  assert opened(trained[1], parts).record['part'] == 'test'


def test_masks_of_other_parts_may_be_damaged(trained, parts):
  next((parts / 'train' / 'masks').iterdir()).write_bytes(b'no mask')
  assert len(opened(trained[1], parts, part='test').dataset.val) == 3
  (parts / 'test' / 'masks' / 'test0.png').write_bytes(b'no mask')
  toy.assert_fails(lambda: opened(trained[1], parts, part='test'), 'test0.png does not decode')


def test_training_images_are_counted(trained):
  data, run = trained
  whole = opened(run, part='all')
  assert len(whole.dataset.val) == 7 and whole.record['root'] == str(data)
  assert any('warning: 4 of 7 images were seen in training' in line for line in whole.lines)


def test_directories_of_images_and_masks(trained, tmp_path, capsys):
  root = tmp_path / 'a [1], b'
  toy.write_pair(root, 'a', 501)
  toy.write_pair(root, 'b', 502)
  places = {'images': str(root / 'images'), 'masks': str(root / 'masks')}
  result = evaluate(trained[1], **places)
  assert result['images'] == 2
  classes = {'renamed': {}, 'void': [], 'absent': []}
  record = {'root': str(root), **places, 'part': 'all', 'options': {}, 'classes': classes}
  assert result['set'] == record
  (path,) = (trained[1] / 'eval').glob('1-a-1-b-??????.json')
  assert json.loads(path.read_text())['set'] == record
  lines = capsys.readouterr().out.splitlines()
  assert lines[0] == (
    f'run: {trained[1]}, step 1 (the last and the best), headline of the student, protocol paper '
    'at 32x48'
  )
  assert f'data: {root}, all 2 images with a mask' in lines


def test_masks_beside_their_images(trained, tmp_path):
  toy.write_pair(tmp_path, 'a', 501)
  shutil.copy(tmp_path / 'images/a.png', tmp_path / 'masks/a_image.png')
  (tmp_path / 'masks/a.png').rename(tmp_path / 'masks/a_mask.png')
  place = str(tmp_path / 'masks')
  assert len(opened(trained[1], images=place, masks=place).dataset.val) == 1


def test_an_empty_directory_of_masks(trained, tmp_path):
  toy.write_pair(tmp_path, 'a', 501)
  (tmp_path / 'empty').mkdir()
  flags = {'images': str(tmp_path / 'images'), 'masks': str(tmp_path / 'empty')}
  toy.assert_fails(lambda: opened(trained[1], **flags), f'{tmp_path}/empty holds no images')


def test_options_of_the_set(trained, tmp_path):
  """The value 7 is the ball there."""
  toy.write_pair(tmp_path, 'a', 501)
  path = tmp_path / 'masks/a.png'
  label = np.asarray(Image.open(path))
  toy.save(path, np.where(label == 2, 7, label))
  for label_map in ('7:2', '7:Ball'):
    data = opened(trained[1], tmp_path, options={'label_map': label_map})
    np.testing.assert_array_equal(data.dataset.val.read_label(0), label)
    assert data.record['options'] == {'label_map': label_map}


def test_remedies_for_masks_name_flags(trained, tmp_path):
  toy.write_pair(tmp_path, 'a', 501)
  toy.save(tmp_path / 'masks/a.png', np.full((toy.HEIGHT, toy.WIDTH), 9))
  with pytest.raises(UserError) as caught:
    evaluate(trained[1], tmp_path)
  toy.assert_says(str(caught.value), 'holds the value 9', ' --label_map=')
  assert 'config.data' not in str(caught.value)


def test_masks_of_void_only(trained, tmp_path):
  toy.write_pair(tmp_path, 'a', 501)
  toy.save(tmp_path / 'masks/a.png', np.full((toy.HEIGHT, toy.WIDTH), 255))
  before = sorted((trained[1] / 'eval').iterdir())
  toy.assert_fails(lambda: evaluate(trained[1], tmp_path), 'all pixels', 'void', '--label_map')
  assert sorted((trained[1] / 'eval').iterdir()) == before


def test_a_run_whose_data_is_gone_or_of_another_kind(trained, tmp_path):
  root, nowhere = tmp_path / 'test', str(tmp_path / 'nowhere')
  toy.write_pair(root, 'a', 301)
  own = read_config(trained[1])
  others = {'root': nowhere, 'labeled': ''}
  for data in (
    {**own['data'], 'root': nowhere},
    {**data_defaults(''), **others, 'name': 'camvid'},
    {**data_defaults(''), **others, 'name': 'scenes'},
  ):
    values = {**own, 'data': data}
    assert len(open_data(values, trained[1], DataFlags(str(root))).dataset.val) == 1
    empty = DataFlags(str(tmp_path / 'test' / 'images' / 'empty'))
    Path(empty.root).mkdir(exist_ok=True)
    toy.assert_fails(lambda: open_data(values, trained[1], empty), 'holds nothing')  # noqa: B023
    assert not list(Path(empty.root).iterdir())
  values = {**own, 'data': {**own['data'], 'root': nowhere}}
  toy.assert_fails(lambda: open_data(values, trained[1]), 'nowhere is not', 'Set --root=DIR')


def test_a_threshold_of_the_run_needs_its_order():
  values = {'data': {'name': 'folder', 'mask_threshold': 128}}
  match = match_classes(('Ball', 'ground'), ('ground', 'ball'), 'RUN')
  toy.assert_fails(
    lambda: check_order(values, DataFlags('DIR'), match), 'mask_threshold=128', 'ground, ball'
  )
  check_order(values, DataFlags('DIR', options={'mask_threshold': 128}), match)
