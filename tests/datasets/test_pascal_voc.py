"""PASCAL VOC on tiny files in the public layout."""

import shutil

import numpy as np
from PIL import Image
import pytest
import toy
from toy import assert_says

from classmix_jax.datasets import pascal_voc
from classmix_jax.datasets.pascal_voc import classes
from classmix_jax.errors import UserError
from configs import pascal_voc as pascal_voc_config

LISTS = 'ImageSets/Segmentation'


@pytest.fixture
def base(tmp_path):
  return toy.write_pascal_voc(tmp_path)


def label_of(name):
  seed = 'abcdevw'.index(name)
  label = toy.draw(seed)[1]
  return label.T if seed % 2 else label


def message(root, **options):
  with pytest.raises(UserError) as caught:
    pascal_voc.load(str(root), **options)
  assert '\n' not in str(caught.value)
  return str(caught.value)


# ------------------------------------------------------------------ classes and lists


def test_classes_and_palette():
  assert len(classes.CLASS_NAMES) == len(set(classes.PALETTE)) == 21
  palette = dict(zip(classes.CLASS_NAMES, classes.PALETTE, strict=True))
  assert classes.CLASS_NAMES[0] == 'background' and palette['background'] == (0, 0, 0)
  assert palette['aeroplane'] == (128, 0, 0) and palette['person'] == (192, 128, 128)
  assert palette['tvmonitor'] == (0, 64, 128)


@pytest.mark.parametrize('up', [0, 1, 2])  # VOC2012 itself, VOCdevkit, and the directory around it
def test_lists_of_pairs_and_of_stems(base, up):
  dataset = pascal_voc.load(str([base, *base.parents][up]))
  assert dataset.name == 'pascal_voc' and dataset.unlabeled is None
  assert dataset.train.names == tuple('abcd')  # a list of pairs
  assert dataset.val.names == tuple('vw')  # a list of stems


def test_grey_and_palette_masks_hold_the_index(base):
  assert Image.open(base / 'SegmentationClassAug/a.png').mode == 'L'
  assert Image.open(base / 'SegmentationClass/a.png').mode == 'P'
  for masks in ('SegmentationClassAug', 'SegmentationClass'):
    dataset = pascal_voc.load(str(base), masks=masks)
    for source in (dataset.train, dataset.val):
      for index, name in enumerate(source.names):
        np.testing.assert_array_equal(source.read_label(index), label_of(name))
        assert source.read_image(index).shape[:2] == label_of(name).shape


def test_masks_of_the_challenge_use_train_txt(base):
  dataset = pascal_voc.load(str(base), masks='SegmentationClass')
  assert dataset.train.names == ('a', 'b') and dataset.val.names == ('v', 'w')


def test_other_name_of_the_list_and_no_list(base):
  (base / LISTS / 'trainaug.txt').rename(base / LISTS / 'train_aug.txt')
  assert pascal_voc.load(str(base)).train.names == tuple('abcd')
  (base / LISTS / 'train_aug.txt').unlink()
  assert pascal_voc.load(str(base)).train.names == tuple('abcde')  # all but val.txt


def test_working_resolution(base):
  train = pascal_voc.load(str(base), size=(10, 12)).train
  assert train.read_image(1).shape == (10, 12, 3) and train.read_label(1).shape == (10, 12)


# ------------------------------------------------------------------- what is missing


def test_missing_directories_at_once(base, tmp_path):
  shutil.rmtree(base / 'SegmentationClassAug')
  (base / LISTS / 'val.txt').unlink()
  assert_says(
    message(base),
    base / 'SegmentationClassAug',
    base / LISTS / 'val.txt',
    "--config.data.masks='SegmentationClass'",
    '--config.data.root=DIR',
  )
  (base / LISTS / 'train.txt').unlink()
  assert_says(message(base, masks='SegmentationClass'), base / LISTS / 'train.txt')
  assert_says(message(''), 'empty', 'VOCdevkit/VOC2012')
  assert_says(message(tmp_path / 'no'), 'no is not a directory')


def test_wrong_options_are_named(base):
  assert_says(message(base, masks='aug'), "config.data.masks is 'aug'", "'SegmentationClass'")


def test_listed_files_that_are_not_there(base):
  (base / 'JPEGImages/a.jpg').unlink()
  assert_says(message(base), 'trainaug.txt', '1 files', 'a. Unpack')
  (base / LISTS / 'trainaug.txt').unlink()
  assert_says(message(base), 'SegmentationClassAug names 1 files', 'a. Unpack')


def test_foreign_masks_name_the_file(base):
  Image.fromarray(np.full((toy.HEIGHT, toy.WIDTH), 21, np.uint8)).save(
    base / 'SegmentationClassAug/a.png'
  )
  with pytest.raises(UserError) as caught:
    pascal_voc.load(str(base)).train.read_label(0)
  assert_says(str(caught.value), 'SegmentationClassAug/a.png', 'value 21', '20 (tvmonitor)')


# ---------------------------------------------------------------- the whole program


def test_config_is_the_recipe_of_the_paper():
  config = pascal_voc_config.get_config()
  assert (config.steps, config.batch_size, config.unlabeled_batch_size) == (40_000, 10, 10)
  assert (config.model.backbone, config.model.head) == ('resnet101', 'deeplab_v2')
  assert (config.optim.learning_rate, config.optim.head_multiplier) == (2.5e-4, 10)
  assert config.optim.freeze_bn_affine and config.model.bn == 'batch' and not config.data.flip
  assert (config.data.size, config.data.crop, config.data.labeled) == ((), (321, 321), '1/8')
  assert config.method.jitter == 0 and not config.method.blur
  assert not config.method.exclude_padding  # the original's teacher labels padding too
  assert 'jitter' not in pascal_voc_config.get_config('method=supervised').method


@pytest.mark.slow
def test_shipped_config_trains_and_evaluates(base, tmp_path):
  config = pascal_voc_config.get_config('method=supervised,labeled=2')
  config.update_from_flattened_dict(
    {
      'data.root': str(base),
      'data.crop': (24, 32),
      'steps': 2,
      'model.backbone': 'tiny',
      'batch_size': 2,
    }
  )
  result = toy.train(config, tmp_path / 'run')
  assert result['step'] == 2 and result['labeled'] == 2
  assert result['protocol'].startswith('paper') and len(result['iou']) == 21
  assert result['pixels'] == sum((label_of(name) != 255).sum() for name in 'vw')
