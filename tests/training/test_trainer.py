"""The whole program in one process: train, resume, evaluate, predict, and user errors."""

import errno
import json
import os
import re
import shutil
import sys

import jax
import numpy as np
from PIL import Image
import pytest
import toy

from classmix_jax.config import papers
from classmix_jax.datasets import DATASETS, scenes
from classmix_jax.errors import UserError
from classmix_jax.inference.evaluate_run import evaluate_run
from classmix_jax.inference.predictor import load
from classmix_jax.pretrained.converted_directory import write_weights
from classmix_jax.tools.report.runs import read_run
from classmix_jax.tools.report.write_report import report_training
from classmix_jax.training.callbacks import Callbacks
from classmix_jax.training.preemption import Stop
from classmix_jax.utils.interrupt import Stopped
from classmix_jax.workdir import checkpoint, checkpoint_lookup, resume


@pytest.fixture(scope='module')
def data(tmp_path_factory):
  return toy.write_folder(tmp_path_factory.mktemp('data'))


@pytest.fixture(scope='module')
def finished(data, tmp_path_factory):
  """A finished run of four steps and its result."""
  run = tmp_path_factory.mktemp('finished') / 'run'
  return run, toy.train(toy.config(data), run, on_end=report_training)


def saved(run, step='latest'):
  return jax.tree.map(np.asarray, checkpoint_lookup.load(run, step)[1])


def rows(run):
  return [json.loads(line) for line in (run / 'metrics.jsonl').read_text().splitlines()]


def test_run_leaves_everything_behind(finished):
  run, result = finished
  assert [row['step'] for row in rows(run)] == [1, 2, 3, 4]
  assert {
    'loss/sup',
    'loss/unsup',
    'confident_share',
    'images_per_second',
    'pseudo_classes',
    'pseudo_largest_share',
    'distance/teacher',
  } <= rows(run)[0].keys()
  # After the first step the teacher is the student.
  assert rows(run)[0]['distance/teacher'] < 1e-6 < rows(run)[1]['distance/teacher'] < 0.1
  assert rows(run)[3]['eval/miou'] == result['miou']
  written = json.loads((run / 'eval' / '4.json').read_text())
  assert written == {
    key: value for key, value in json.loads(json.dumps(result)).items() if key != 'confusion'
  }
  assert list(written['iou']) == list(toy.CLASSES)
  assert written['network'] == 'teacher' and set(written['networks']) == {'student', 'teacher'}
  assert written['protocol'] == rows(run)[3]['eval/protocol'] == 'paper at 32x48'
  assert written['split'] == rows(run)[3]['eval/split']
  for name, network in written['networks'].items():
    reliability = network['reliability']
    assert rows(run)[3].get(f'eval/reliability_{name}') == reliability['precision']
    assert rows(run)[3][f'eval/confident_share_{name}'] == reliability['share']
    assert sum(share for _, _, share in reliability['curve']) == pytest.approx(1)
  known = 3 * (toy.HEIGHT - 1) * toy.WIDTH  # three images; the first row of each is void
  assert written['pixels'] == known
  assert Image.open(run / 'predictions.png').width > 3 * toy.WIDTH
  assert Image.open(run / 'training.png').width > 6 * 32  # of the crops
  assert 'id="data">{"palette"' in (run / 'report.html').read_text()
  assert sum(map(sum, read_run(run).confusion())) == result['pixels']
  assert list((run / 'tensorboard').iterdir())
  assert (run / 'splits' / 'labeled.txt').read_text().split() == [
    'street/0',
    'street/1',
    'street/2',
    'street/3',
  ]


def test_without_tensorflow_the_same_bits(finished, data, tmp_path, monkeypatch, capsys):
  """Nothing is resized here, so both pipelines make equal batches."""
  for package in ('tensorflow', 'tensorflow_datasets', 'tensorboard'):
    monkeypatch.setitem(sys.modules, package, None)  # as if it was not installed
  result = toy.train(toy.config(data), tmp_path / 'run')
  output = capsys.readouterr().out
  assert 'threads (TensorFlow is not installed)' in output
  assert output.count('no TensorBoard events: the package tensorboard is not installed') == 1
  assert not (tmp_path / 'run' / 'tensorboard').exists()
  assert result == finished[1]
  jax.tree.map(np.testing.assert_array_equal, saved(tmp_path / 'run'), saved(finished[0]))


def test_evaluate_program_finds_the_same_numbers(finished):
  run, result = finished
  again = evaluate_run(run, step='latest', network='')
  assert again['iou'] == result['iou'] and again['pixels'] == result['pixels']
  assert evaluate_run(run, step='3', network='teacher')['network'] == 'teacher'


@pytest.mark.slow
def test_another_protocol_is_written_beside_the_runs_own(finished, tmp_path):
  """One window as large as the images sees what the paper's protocol sees."""
  run, result = finished
  own = (run / 'eval' / '4.json').read_text()
  other = evaluate_run(
    run,
    step='latest',
    network='',
    eval_batch_size=1,
    write_predictions=str(tmp_path),
    protocol={'protocol': 'sliding', 'window': (32, 48), 'stride': (32, 48)},
  )
  assert other['iou'] == result['iou']
  assert other['protocol'] == 'sliding 32x48/32x48 at 32x48'
  assert (run / 'eval' / '4.json').read_text() == own
  name = '4-sliding-32x48-32x48-at-32x48'
  assert json.loads((run / 'eval' / f'{name}.json').read_text())['protocol'] == other['protocol']
  assert (run / 'eval' / f'{name}.png').exists()
  written = np.asarray(Image.open(tmp_path / '0.png'))
  np.testing.assert_array_equal(written, load(run, step='latest').predict(toy.draw(100)[0]).label)


def test_interrupted_run_ends_in_the_same_bits(finished, data, tmp_path, monkeypatch):
  """Stops in the middle of step 3, then starts the same command again."""
  run = tmp_path / 'run'

  class Stop(Exception):
    pass

  original = Callbacks.__call__

  def stop_at_three(self, inputs, step, state, metrics):
    if step == 3:
      self.logger.write(3, {'loss/sup': -1.0})  # written, but never saved
      raise Stop
    original(self, inputs, step, state, metrics)

  with monkeypatch.context() as patch:
    patch.setattr(Callbacks, '__call__', stop_at_three)
    with pytest.raises(Stop):
      toy.train(toy.config(data), run)
  toy.train(toy.config(data), run)
  jax.tree.map(np.testing.assert_array_equal, saved(run), saved(finished[0]))
  assert [row['step'] for row in rows(run)] == [1, 2, 3, 4]
  assert [row['loss/sup'] for row in rows(run)] == [row['loss/sup'] for row in rows(finished[0])]


class StopAt(Stop):
  """Returns True at its nth call.

  With two networks of two batches, the calls are steps 1 and 2, four batches, ...
  """

  def __init__(self, call):
    super().__init__()
    self.left = call

  def __call__(self):
    self.left -= 1
    return self.left == 0


@pytest.mark.parametrize(
  'call, step, evaluated',
  [
    pytest.param(2, 2, False, id='a step that is to be evaluated', marks=pytest.mark.slow),
    pytest.param(4, 2, False, id='between two batches of an evaluation'),
    pytest.param(7, 3, True, id='any other step', marks=pytest.mark.slow),
    pytest.param(11, 4, False, id='in the last evaluation', marks=pytest.mark.slow),
  ],
)
def test_a_stopped_run_ends_in_the_same_bits(finished, data, tmp_path, call, step, evaluated):
  """An evaluation that was interrupted is made up for: its score decides what is best."""
  run, stop = tmp_path / 'run', StopAt(call)
  with pytest.raises(Stopped, match=f'after step {step}'):
    toy.train(toy.config(data), run, stop=stop)
  assert not stop.unsaved and checkpoint_lookup.load(run, 'latest')[0] == step
  assert [row['step'] for row in rows(run)] == list(range(1, step + 1))
  assert (run / 'eval' / '2.json').exists() == (evaluated or step == 4)
  result = toy.train(toy.config(data), run)
  assert result['iou'] == finished[1]['iou']
  for which in ('latest', 'best'):
    jax.tree.map(np.testing.assert_array_equal, saved(run, which), saved(finished[0], which))

  def same(row):
    return {key: row[key] for key in row if 'per_second' not in key}

  assert list(map(same, rows(run))) == list(map(same, rows(finished[0])))


@pytest.mark.slow
def test_the_same_command_twice_gives_the_same_bits(finished, data, tmp_path):
  run = tmp_path / 'run'
  assert toy.train(toy.config(data), run)['iou'] == finished[1]['iou']
  jax.tree.map(np.testing.assert_array_equal, saved(run), saved(finished[0]))


def test_a_second_start_beside_a_training_is_refused(finished, data):
  run, _ = finished
  with resume.lock_run(run), pytest.raises(UserError, match=f'in use by process {os.getpid()} on '):
    toy.train(toy.config(data), run)


@pytest.mark.slow
def test_a_disk_that_is_full_or_read_only_stops_the_training(finished, data, tmp_path, monkeypatch):
  """At the first look after the save in the background has failed."""
  run = tmp_path / 'run'
  with monkeypatch.context() as patch:

    def refuse(_):
      raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    patch.setattr(checkpoint, 'verify_save', refuse)
    with pytest.raises(UserError, match='could not be written to .*Read-only file system'):
      toy.train(toy.config(data), run)
  toy.train(toy.config(data), run)
  jax.tree.map(np.testing.assert_array_equal, saved(run), saved(finished[0]))


@pytest.mark.parametrize('kind', [pytest.param('disk', marks=pytest.mark.slow), 'device'])
def test_working_copies_train_the_same_bits(finished, data, tmp_path, kind):
  """Frames are not resized here, so even what the devices cut is equal to the byte."""
  run = tmp_path / 'run'
  result = toy.train(
    toy.config(data, **{'data.working_copy': kind, 'data.copy_root': str(tmp_path / 'copies')}), run
  )
  jax.tree.map(np.testing.assert_array_equal, saved(run), saved(finished[0]))
  assert result['iou'] == finished[1]['iou']
  copies = sorted(path.name.rsplit('-', 1)[0] for path in (tmp_path / 'copies/folder').iterdir())
  # The validation set, the labelled images with their labels, the unlabelled without.
  assert copies == ['images-3', 'images-4', 'images-6', 'labels-3', 'labels-4']
  shutil.rmtree(tmp_path / 'copies')
  assert evaluate_run(run, step='latest', network='')['iou'] == result['iou']
  copies = sorted(path.name.rsplit('-', 1)[0] for path in (tmp_path / 'copies/folder').iterdir())
  assert copies == ['images-3', 'labels-3']  # evaluating needs no training frame


def test_finished_run_started_again_only_reports(finished, data):
  run, result = finished
  before = (run / 'metrics.jsonl').read_text()
  assert toy.train(toy.config(data), run)['miou'] == result['miou']
  assert (run / 'metrics.jsonl').read_text() == before


def test_another_config_is_refused(finished, data):
  with pytest.raises(UserError, match='config.batch_size was 2 and is now 4.*another --workdir'):
    toy.train(toy.config(data, batch_size=4), finished[0])


@pytest.mark.slow
def test_accumulation_runs(data, tmp_path):
  config = toy.config(data, batch_size=4, unlabeled_batch_size=4, accumulate=2, steps=1)
  assert np.isfinite(toy.train(config, tmp_path / 'run')['miou'])


def test_pretrained_run_is_taken_over(finished, data, tmp_path, capsys):
  config = toy.config(
    data,
    'method=supervised',
    **{'model.pretrained': str(finished[0]), 'optim.learning_rate': 0.0, 'steps': 1},
  )
  config.paper = papers.classmix_row()
  toy.train(config, tmp_path / 'run')
  output = capsys.readouterr().out
  assert re.search(r'matched (\d+) of \1 tensors\n', output)
  assert re.search(r'pre-training +folder +differs \(paper: COCO\)', output)
  own = saved(tmp_path / 'run')['params']['segmenter']
  jax.tree.map(
    np.testing.assert_array_equal, own, saved(finished[0], 'best')['params']['segmenter']
  )


def test_preprocessing_travels_from_the_weights_to_the_run(finished, data, tmp_path, capsys):
  weights, run = tmp_path / 'weights', tmp_path / 'run'
  state = saved(finished[0])
  tree = {'params': state['params']['segmenter'], 'batch_stats': state['model_state']['segmenter']}
  write_weights(
    weights,
    tree,
    {
      'preprocessing': 'caffe',
      'trained_on': 'COCO',
      'source': 'coco.pth',
      'sha256': '41f33a49',
      'layout': 'deeplab_v2',
    },
  )
  config = toy.config(
    data,
    'method=supervised',
    **{
      'model.pretrained': str(weights),
      'optim.learning_rate': 0.0,
      'steps': 1,
      'model.bn': 'running',
    },
  )
  config.paper = papers.classmix_row()
  result = toy.train(config, run)
  assert config.model.preprocessing == ''  # the caller's own stays
  assert json.loads((run / 'config.json').read_text())['model']['preprocessing'] == 'caffe'
  output = capsys.readouterr().out
  assert re.search(r'pre-training +COCO +as in the paper\n', output)
  assert re.search(r'weights +coco.pth, matched (\d+) of \1 tensors\n', output)
  assert re.search(r'preprocessing +caffe\n', output)
  taken = saved(run)
  jax.tree.map(np.testing.assert_array_equal, taken['params']['segmenter'], tree['params'])
  jax.tree.map(
    np.testing.assert_array_equal, taken['model_state']['segmenter'], tree['batch_stats']
  )

  shutil.rmtree(weights)  # no longer needed
  assert toy.train(config, run)['iou'] == result['iou']
  assert re.search(r'pre-training +COCO +as in', capsys.readouterr().out)
  assert evaluate_run(run, step='latest', network='')['iou'] == result['iou']


def test_camvid_and_scenes_configs_train_two_steps(tmp_path, monkeypatch):
  from configs import camvid as camvid_config
  from configs import scenes as scenes_config

  root = tmp_path / 'camvid'
  for split in ('train', 'val'):
    for index in range(4):
      image, label = toy.draw(index)
      for directory, array in ((split, image), (f'{split}annot', np.minimum(label, 11))):
        (root / directory).mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(root / directory / f'{split}{index}.png')
    lines = [
      f'/SegNet/CamVid/{split}/{split}{i}.png /SegNet/CamVid/{split}annot/{split}{i}.png'
      for i in range(4)
    ]
    (root / f'{split}.txt').write_text('\n'.join(lines) + '\n')
  monkeypatch.setitem(
    DATASETS,
    'scenes',
    lambda root, size: scenes.load(str(tmp_path / 'scenes'), size, num_train=6, num_val=2),
  )
  for module, fields in (
    (camvid_config, {'data.root': str(root), 'data.size': (24, 32), 'data.crop': (16, 32)}),
    (scenes_config, {'data.size': (24, 48)}),
  ):
    config = module.get_config('method=supervised,labeled=2')
    config.update_from_flattened_dict(
      {**fields, 'steps': 2, 'batch_size': 2, 'unlabeled_batch_size': 2, 'eval_batch_size': 2}
    )
    result = toy.train(config, tmp_path / config.name)
    assert result['step'] == 2 and result['labeled'] == 2 and 0 <= result['miou'] <= 1


# ---- The user's mistakes: one sentence with the place, the finding and the remedy


def check_sentence(root, tmp_path, *parts, **fields):
  with pytest.raises(UserError) as caught:
    toy.train(toy.config(root, **fields), tmp_path / 'run')
  for part in parts:
    assert part in str(caught.value), str(caught.value)
  assert '\n' not in str(caught.value)


def test_wrong_path(tmp_path):
  check_sentence(tmp_path / 'nowhere', tmp_path, 'nowhere', 'config.data.root')


def test_mask_of_the_wrong_size(tmp_path):
  root = toy.write_folder(tmp_path / 'data')
  Image.fromarray(toy.draw(0)[1][:20]).save(root / 'labeled' / 'masks' / 'street' / '0.png')
  check_sentence(root, tmp_path, 'street/0.png', '20', '32')


def test_corrupt_jpeg(tmp_path):
  root = toy.write_folder(tmp_path / 'data')
  for path in (root / 'unlabeled' / 'images').iterdir():
    path.write_bytes(path.read_bytes()[:300])
  check_sentence(root, tmp_path, '.jpg')


def test_class_id_beyond_the_classes(tmp_path):
  root = toy.write_folder(tmp_path / 'data')
  label = toy.draw(0)[1]
  label[5, 5] = 7
  Image.fromarray(label).save(root / 'labeled' / 'masks' / 'street' / '0.png')
  check_sentence(root, tmp_path, 'street/0', '7', 'config.data.label_map')


def test_binary_masks_of_0_and_255(tmp_path):
  root = toy.write_folder(tmp_path / 'data')
  (root / 'classes.txt').write_text('background\ndefect\n')
  for path in (root / 'labeled' / 'masks' / 'street').iterdir():
    label = np.asarray(Image.open(path))
    Image.fromarray(np.where(label > 0, 255, 0).astype(np.uint8)).save(path)
  check_sentence(root, tmp_path, '0, 255', "--config.data.label_map='255:1'")


def test_too_few_unlabeled_images(tmp_path):
  root = toy.write_folder(tmp_path / 'data', unlabeled=1)
  check_sentence(root, tmp_path, 'pairs of unlabelled images', 'add images without masks')


def test_batch_that_accumulation_does_not_divide(data, tmp_path):
  check_sentence(data, tmp_path, 'config.batch_size is 2', 'accumulate=4', accumulate=4)


def test_workdir_that_cannot_be_written(data, tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(UserError, match='file/run cannot be written.*--workdir'):
    toy.train(toy.config(data), tmp_path / 'file' / 'run')
