"""ADE20K on tiny files in the public layout, with both encodings of the masks."""

import shutil

import numpy as np
import pytest
import toy
from toy import assert_says, save

from classmix_jax.data.splits import choose_labeled
from classmix_jax.datasets import ade20k
from classmix_jax.datasets.ade20k import classes
from classmix_jax.errors import UserError
from configs import ade20k as ade20k_config

TRAIN = tuple(f'ADE_train_0000000{number}' for number in (1, 2, 3, 4))
VAL = ('ADE_val_00000001', 'ADE_val_00000002')


@pytest.fixture
def root(tmp_path):
  return toy.write_ade20k(tmp_path / 'ADEChallengeData2016')


@pytest.fixture
def shifted(tmp_path):
  return toy.write_ade20k(tmp_path / 'ADE20K', zero_is_void=False)


def label_of(seed):
  label = toy.draw(seed)[1]
  return label.T if seed % 2 else label


def message(root, **options):
  with pytest.raises(UserError) as caught:
    dataset = ade20k.load(str(root), **options)
    dataset.train.read_label(0)
  assert '\n' not in str(caught.value)
  return str(caught.value)


def test_classes_and_palette():
  """The benchmark gives road and skyscraper the same colour."""
  assert len(classes.CLASS_NAMES) == len(set(classes.CLASS_NAMES)) == 150
  assert len(set(classes.PALETTE)) == 149
  palette = dict(zip(classes.CLASS_NAMES, classes.PALETTE, strict=True))
  assert palette['wall'] == (120, 120, 120) and palette['person'] == (150, 5, 61)
  assert palette['road'] == palette['skyscraper'] == (140, 140, 140)
  assert palette['flag'] == (92, 0, 255)
  assert [classes.CLASS_NAMES[index] for index in (12, 74, 149)] == ['person', 'computer', 'flag']


def test_raw_masks_shift_by_one_and_zero_is_void(root):
  save(root / 'annotations/training/ADE_train_00000001.png', np.arange(151).reshape(1, 151))
  save(root / 'images/training/ADE_train_00000001.jpg', np.zeros((1, 151, 3)))
  label = ade20k.load(str(root)).train.read_label(0)
  assert label.dtype == np.uint8 and label.ravel().tolist() == [255, *range(150)]


@pytest.mark.parametrize('zero_is_void', [True, False])
def test_both_encodings_give_the_same_labels(root, shifted, zero_is_void):
  dataset = ade20k.load(str(root if zero_is_void else shifted), zero_is_void=zero_is_void)
  assert dataset.name == 'ade20k' and dataset.unlabeled is None
  assert (dataset.train.names, dataset.val.names) == (TRAIN, VAL)
  for seed in range(4):
    np.testing.assert_array_equal(dataset.train.read_label(seed), label_of(seed))
    assert dataset.train.read_image(seed).shape[:2] == label_of(seed).shape  # of many sizes
  np.testing.assert_array_equal(dataset.val.read_label(1), label_of(5))


def test_root_may_be_the_directory_around(root):
  assert ade20k.load(str(root.parent)).train.names == TRAIN


def test_wrong_encodings_are_refused(root, shifted):
  assert_says(
    message(shifted),
    'ADE_train_00000001.png holds the value 255',
    'set --config.data.zero_is_void=False',
  )
  assert_says(
    message(root, zero_is_void=False),
    'ADE_train_00000001.png and 3 other masks lack the value 255',
    'set --config.data.zero_is_void=True',
  )
  save(shifted / 'annotations/training/ADE_train_00000001.png', np.full((32, 48), 150))
  assert_says(
    message(shifted, zero_is_void=False), 'value 150', 'set --config.data.zero_is_void=True'
  )


def test_published_lists_name_the_examples(root, tmp_path):
  """Of UniMatch V2: pairs of paths, the last line without a newline; extra images have no mask."""
  lines = [
    f'images/training/{TRAIN[2]}.jpg annotations/training/{TRAIN[2]}.png',
    f'images/training/{TRAIN[0]}.jpg None',
  ]
  (tmp_path / 'labeled.txt').write_text('\n'.join(lines))
  assert choose_labeled(TRAIN, str(tmp_path / 'labeled.txt'), seed=0).tolist() == [0, 2]


def test_missing_files(root, tmp_path):
  assert_says(message(''), 'empty', 'annotations/validation/')
  assert_says(message(tmp_path / 'no'), 'no is not a directory')
  (root / 'annotations/training' / f'{TRAIN[0]}.png').unlink()
  assert_says(message(root), '1 of 4 images has no mask', f'{TRAIN[0]}.jpg', 'Add the masks')
  shutil.rmtree(root / 'annotations/validation')
  assert_says(message(root), root / 'annotations/validation', '--config.data.root=DIR')
  for path in (root / 'images/training').iterdir():
    path.unlink()
  (root / 'annotations/validation').mkdir()
  assert_says(message(root), 'images/training holds no images')


def test_config_has_the_crops_and_batches_of_unimatch_v2():
  config = ade20k_config.get_config('method=unimatch_v2')
  assert (config.batch_size, config.unlabeled_batch_size) == (8, 8)
  assert (config.data.crop, config.data.size, config.data.labeled) == ((518, 518), (), '1/8')
