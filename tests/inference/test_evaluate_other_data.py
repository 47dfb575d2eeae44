"""Evaluating a run on other data: classes by name, and results in a file of their own."""

import json
import shutil

import numpy as np
from PIL import Image
import pytest
import toy

from classmix_jax.datasets import folder
from classmix_jax.errors import UserError
from classmix_jax.inference.data_flags import DataFlags
from classmix_jax.inference.evaluate_run import evaluate_run
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


def test_a_folder_without_a_class_file_has_the_classes_of_the_run(trained, tmp_path, capsys):
  run, root = trained[1], tmp_path / 'test'
  toy.write_pair(root, 'a', 301)
  result = evaluate(run, root)
  assert result['images'] == 1 and list(result['iou']) == ['ground', 'box', 'ball']
  assert f'The classes are read from {run}/classes.json.' in capsys.readouterr().out


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
  assert evaluate(run, tmp_path / 'test')['images'] == 1


def test_values_of_masks_need_the_class_file(trained, tmp_path):
  data = shutil.copytree(trained[0], tmp_path / 'data')
  (data / 'classes.txt').write_text('0,ground\n1,box\n2,ball\n7,void\n')
  run = toy.write_run(tmp_path / 'run', data, 'method=supervised', **{'model.head': 'linear'})
  write_record(run, record_images(str(data), *[folder.load(str(data)).train] * 3, None))
  root = tmp_path / 'test'
  toy.write_pair(root, 'a', 301)
  with pytest.raises(UserError, match=rf'no class file.*copy the class file of {data} there'):
    evaluate(run, root)
  shutil.copy(data / 'classes.txt', root)
  assert evaluate(run, root)['images'] == 1


def test_a_folder_of_pairs_is_evaluated_as_a_whole(trained, tmp_path, capsys):
  """A training would set a share of them aside."""
  root = tmp_path / 'test'
  root.mkdir()
  (root / 'classes.txt').write_text('ground\nbox\nball\n')
  for count in (1, 2):
    toy.write_pair(root, f't{count}', 300 + count)
    assert evaluate(trained[1], root)['images'] == count
  assert f'data: {root}, all 2 images with a mask\n' in capsys.readouterr().out


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


def test_classes_are_matched_in_another_spelling(trained, data, capsys):
  (data / 'classes.txt').write_text('Ground\n_box_\nBALL\n')
  own = json.loads((trained[1] / 'eval' / '1.json').read_text())
  assert evaluate(trained[1], data)['iou'] == own['iou']
  assert "'Ground' is 'ground', '_box_' is 'box'" in capsys.readouterr().out


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
