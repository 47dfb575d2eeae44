"""The evaluator under every protocol: exact on any number of devices, and what it writes."""

import flax.linen as nn
import jax
import numpy as np
from PIL import Image
import pytest
import toy

from classmix_jax.config import defaults
from classmix_jax.config.data import build_dataset
from classmix_jax.config.setup import make_evaluation_setup
from classmix_jax.data.source import Dataset, Source, with_labels_of
from classmix_jax.errors import UserError
from classmix_jax.evaluation.evaluator import Evaluator
from classmix_jax.evaluation.headline import (
  describe_headline,
  headline_network,
  name_step,
  place_score,
)
from classmix_jax.evaluation.summary import result_table
from classmix_jax.inference.evaluate_run import override_protocol
from classmix_jax.models.segmenter import Segmenter
from classmix_jax.types import VOID

NAMES = ('red', 'green', 'blue')
EMPTY = {'params': {}, 'batch_stats': {}}


class Colors(nn.Module):
  """A network without weights: the score of a class is its colour's brightness."""

  @nn.compact
  def __call__(self, image, train):
    return image


class Keep(nn.Module):
  @nn.compact
  def __call__(self, features, train):
    return features


MODEL = Segmenter(backbone=Colors(), head=Keep())


def source(sizes, factor=1):
  """Random colours and their labels, wrong in every fourth pixel, void in the first row.

  `factor` repeats every pixel of the label that often, downwards and sideways.
  """

  def label(i):
    return np.random.default_rng(i).integers(0, 3, sizes[i], np.uint8)

  def image(i):
    return np.eye(3, dtype=np.uint8)[label(i)] * 200

  def read_label(i):
    wrong = label(i).copy()
    wrong.reshape(-1)[::4] = 0
    wrong[0] = VOID
    return np.kron(wrong, np.ones((factor, factor), np.uint8))

  return Source(tuple(f'city/{i}' for i in range(len(sizes))), image, read_label)


def evaluator(val, devices=1, raw_ids=None, **fields):
  config = defaults.get_config('method=supervised')
  config.update_from_flattened_dict({'eval_batch_size': 2, **fields})
  palette = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
  dataset = Dataset('colours', NAMES, palette, val, val, raw_ids=raw_ids)
  evaluation = make_evaluation_setup(config)._asdict()
  return Evaluator(dataset, MODEL, jax.devices()[:devices], ('abcdef12', 3), 0.95, **evaluation)


def counted(prediction, val):
  """The confusion matrix of predicted maps, by NumPy."""
  matrix = np.zeros((3, 3), np.int64)
  for index, guess in enumerate(prediction):
    label = val.read_label(index)
    np.add.at(matrix, (label[label != VOID], guess[label != VOID]), 1)
  return matrix


def expected_miou(matrix):
  true = np.diag(matrix)
  return (true / (matrix.sum(0) + matrix.sum(1) - true)).mean()


MIXED = [(5, 6), (4, 8), (7, 3), (6, 6), (5, 5)]


@pytest.mark.parametrize('devices', [1, 4])
@pytest.mark.parametrize(
  'fields, text',
  [
    ({}, 'paper at own sizes'),
    ({'eval.pad': (8, 9), 'eval.flip': True}, 'paper at own sizes, padded to 8x9 + flip'),
    (
      {'eval.protocol': 'sliding', 'eval.window': (3, 3), 'eval.stride': (2, 2)},
      'sliding 3/2 at own sizes',
    ),
    ({'eval.protocol': 'native'}, 'native at own sizes'),
  ],
)
def test_images_of_several_sizes_are_counted_exactly(devices, fields, text):
  """Five images in batches of 2 or 4: neither padding nor the filled-up tail counts."""
  val = source(MIXED)
  result = evaluator(val, devices, **fields)(7, {'student': EMPTY})
  matrix = counted([val.read_image(i).argmax(-1) for i in range(5)], val)
  assert result['pixels'] == matrix.sum() == sum((h - 1) * w for h, w in MIXED)
  assert result['miou'] == pytest.approx(expected_miou(matrix), rel=1e-12)
  assert result['protocol'] == text and result['split'] == 'abcdef12'
  # The network is never sure: e^(200/255) / (e^(200/255) + 2) is 0.52.
  reliability = result['networks']['student']['reliability']
  assert reliability['precision'] is None and reliability['share'] == 0
  ((confidence, correct, share),) = reliability['curve']
  assert confidence == pytest.approx(0.5228, abs=1e-3) and share == 1
  assert correct == pytest.approx(np.trace(matrix) / matrix.sum())


@pytest.mark.parametrize('devices', [1, 2])
def test_full_counts_at_the_size_of_the_labels(devices):
  """Images of 1x2, labels of 2x4: enlarged logits 1 2/3 1/3 0 leave each half to its side."""
  colors = [
    np.array([[[200, 0, 0], [0, 200, 0]]], np.uint8),
    np.array([[[0, 0, 200], [200, 0, 0]]], np.uint8),
    np.array([[[0, 200, 0], [0, 200, 0]]], np.uint8),
  ]
  labels = [
    np.array([[0, 0, 1, 1], [0, 1, 1, VOID]], np.uint8),
    np.array([[2, 2, 2, 0], [2, 2, 0, 0]], np.uint8),
    np.array([[1, 1, 1, 1], [1, 1, 1, 0]], np.uint8),
  ]
  images = Source(('a', 'b', 'c'), colors.__getitem__)
  val = with_labels_of(images, Source(('a', 'b', 'c'), colors.__getitem__, labels.__getitem__))
  actual = evaluator(val, devices, **{'data.size': (1, 2), 'eval.protocol': 'full'})
  result = actual(0, {'student': EMPTY})
  matrix = np.array([[6, 1, 0], [1, 10, 0], [1, 0, 4]])  # rows are true, one pixel is void
  assert result['pixels'] == 23 and result['miou'] == pytest.approx(expected_miou(matrix))
  assert result['protocol'] == 'full at 2x4 from 1x2'
  for (name, label), guess in zip(
    actual.predictions(EMPTY), [[0, 0, 1, 1], [2, 2, 0, 0], [1, 1, 1, 1]], strict=True
  ):
    assert name in 'abc' and label.tolist() == [guess, guess]


@pytest.mark.parametrize('protocol', ['paper', 'native'])
def test_predictions_are_written_at_their_own_size(tmp_path, protocol):
  val = source(MIXED)
  ids = evaluator(val, devices=2, **{'eval.protocol': protocol})
  ids.write_predictions(EMPTY, tmp_path / 'ids')
  raw = evaluator(val, devices=2, raw_ids=(7, 8, 33))
  raw.write_predictions(EMPTY, tmp_path / 'raw')
  for index in range(5):
    guess = val.read_image(index).argmax(-1)
    written = np.asarray(Image.open(tmp_path / 'ids' / 'city' / f'{index}.png'))
    np.testing.assert_array_equal(written, guess)
    written = np.asarray(Image.open(tmp_path / 'raw' / 'city' / f'{index}_pred_labelIds.png'))
    np.testing.assert_array_equal(written, np.array([7, 8, 33])[guess])
  assert len(list((tmp_path / 'ids' / 'city').iterdir())) == 5


def test_an_image_larger_than_the_padding():
  small = evaluator(source(MIXED), **{'eval.pad': (6, 9)})
  with pytest.raises(UserError, match=r'config.eval.pad is \(6, 9\), .*config.eval.pad=\(7, 8\)'):
    small.batches()


def test_the_figure_shows_the_protocols_prediction():
  val = source([(4, 6)] * 2, factor=2)
  figure = evaluator(val, **{'data.size': (4, 6), 'eval.protocol': 'full'}).draw_predictions(
    {'student': EMPTY}, step=5, rows=2
  )
  assert figure.width == 4 + 3 * (96 + 4)  # image, truth, student at 8 x 12 pixels, and margins


@pytest.mark.parametrize('count', [1, 2, 3, 4, 9])
def test_no_image_is_drawn_twice(count, monkeypatch):
  val = source([(4, 6)] * count)
  one = evaluator(val)
  drawn = []
  monkeypatch.setattr(one, 'look', lambda variables, indices: drawn.extend(indices) or [])
  monkeypatch.setattr('classmix_jax.evaluation.evaluator.grid', lambda *cells, **options: None)
  one.draw_predictions({'student': EMPTY}, step=5)
  assert drawn == {1: [0], 2: [0, 1], 3: [0, 1, 2], 4: [0, 1, 2, 3], 9: [0, 3, 5, 8]}[count]


def test_the_table_has_both_means_where_they_differ():
  network = {'iou': {'a': 0.5, 'b': None}, 'miou': 0.5, 'miou_all_classes': 0.25}
  result = {
    **network,
    'network': 'student',
    'networks': {'student': network},
    'reliability': {'threshold': 0.968, 'precision': 0.875, 'share': 0.8},
    'pixels': 10,
    'images': 1,
    'step': 3,
    **place_score({3: 0.5}, steps=4),
    'classes_present': 1,
    'protocol': 'paper at 1x10',
    'labeled': 2,
    'split': 'abcdef12',
  }
  table = result_table(result).splitlines()
  assert table[3].split() == ['mIoU', '50.00'] and table[4].split() == ['mIoU', 'of', '2', '25.00']
  assert table[5] == (
    '10 pixels of 1 image, 1 of 2 classes present, paper at 1x10, 2 labelled '
    'images (split abcdef12), step 3'
  )
  assert table[6:] == [
    'headline: mIoU 50.00, student (the only network), step 3, the best step',
    'student: 87.50 % of the pixels with a confidence of 0.968 or more are correct, 80.00 % of all '
    'pixels are that confident',
  ]
  result['reliability'] = {'threshold': 0.5, 'precision': None, 'share': 0.0}
  assert result_table(result).endswith('\nstudent: no pixels with a confidence of 0.5 or more')
  network['miou_all_classes'] = 0.5
  assert 'mIoU of' not in result_table(result)


@pytest.mark.parametrize(
  'name, image, label',
  [
    ('paper', (16, 24), (16, 24)),
    ('full', (16, 24), (32, 48)),
    ('sliding', (32, 48), (32, 48)),
    ('native', (32, 48), (32, 48)),
  ],
)
def test_the_data_set_is_read_at_the_protocols_sizes(tmp_path, name, image, label):
  config = toy.config(toy.write_folder(tmp_path), **{'data.size': (16, 24), 'eval.protocol': name})
  dataset = build_dataset(config)
  assert dataset.val.read_image(1).shape == (*image, 3)
  assert dataset.val.read_label(1).shape == label
  assert dataset.train.read_label(1).shape == (16, 24)


def test_another_protocol_is_recognized_by_its_fields():
  values = defaults.get_config('method=supervised').to_dict()
  assert override_protocol(values, {}) == (values, False)
  assert not override_protocol(values, {'protocol': 'paper', 'scales': (1.0,)})[1]
  windows = {'protocol': 'sliding', 'window': (64, 64), 'stride': (32, 32)}
  sliding, other = override_protocol(values, windows)
  assert other and sliding['eval']['window'] == (64, 64)
  assert values['eval']['window'] == (801, 801)  # unchanged
  with pytest.raises(UserError, match='--pad belongs to --protocol=paper, .* is sliding'):
    override_protocol(sliding, {'pad': (5, 5)})
  with pytest.raises(UserError, match='full .*config.data.size is empty'):
    override_protocol(values, {'protocol': 'full'})


def test_unknown_network():
  toy.assert_fails(
    lambda: headline_network('pupil', ()), "config.eval_network is 'pupil'", 'teacher'
  )


SCORES = {1000: 0.3475, 2000: 0.311, 3000: 0.3356}


@pytest.mark.parametrize(
  'step, name',
  [
    (1000, 'the best step'),
    (2000, 'neither the last nor the best step'),
    (3000, 'the last step'),
  ],
)
def test_the_step_of_a_score_has_a_name(step, name):
  assert name_step({'step': step, **place_score(SCORES, steps=3000)}) == name


def test_the_last_of_equal_scores_is_the_best_step():
  fields = place_score({1: 0.5, 2: 0.5, 3: float('nan')}, steps=2)
  assert (fields['best_step'], fields['best_miou']) == (2, 0.5)
  assert name_step({'step': 2, **fields}) == 'the last and best step'
  assert place_score({}, steps=2)['best_step'] is None


@pytest.mark.parametrize(
  'rule, reason',
  [
    ('config.eval_network', 'fixed by config.eval_network before the run'),
    ('--network', 'chosen by --network'),
  ],
)
def test_the_headline_names_network_rule_and_step(rule, reason):
  """The teacher is the headline although the student is better."""
  result = {
    'miou': 0.3356,
    'network': 'teacher',
    'networks': {'student': {'miou': 0.4}, 'teacher': {'miou': 0.3356}},
    'step': 3000,
    **place_score(SCORES, 3000, rule),
  }
  assert describe_headline(result) == (
    f'headline: mIoU 33.56, teacher ({reason}), step 3000, the last step; step 1000 had 34.75, the '
    "best on the run's validation images"
  )
