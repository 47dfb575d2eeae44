"""COCO on tiny files in the public layout, and masks painted from its annotations."""

import json
import re

import numpy as np
from PIL import Image
import pytest
import toy
from toy import assert_says, save

from classmix_jax.data.splits import choose_labeled
from classmix_jax.datasets import coco
from classmix_jax.datasets.coco import classes
from classmix_jax.errors import UserError
from classmix_jax.tools.annotations.convert import convert
from configs import coco as coco_config

TRAIN = tuple(f'{number:012d}' for number in (9, 10, 11, 12))
VAL = ('000000000013', '000000000014')


@pytest.fixture
def root(tmp_path):
  return toy.write_coco(tmp_path / 'COCO')


def message(root, **options):
  with pytest.raises(UserError) as caught:
    dataset = coco.load(str(root), **options)
    dataset.train.read_label(0)
  assert '\n' not in str(caught.value)
  return str(caught.value)


def test_classes_and_palette():
  assert len(set(classes.CLASS_NAMES)) == len(set(classes.PALETTE)) == 81
  names = [classes.CLASS_NAMES[index] for index in (0, 1, 12, 13, 80)]
  assert names == ['background', 'person', 'stop sign', 'parking meter', 'toothbrush']
  assert classes.PALETTE[:2] == ((0, 0, 0), (128, 0, 0))


def test_train_and_val_share_the_masks(root):
  dataset = coco.load(str(root))
  assert dataset.name == 'coco' and dataset.unlabeled is None
  assert (dataset.train.names, dataset.val.names) == (TRAIN, VAL)
  for seed in range(4):
    np.testing.assert_array_equal(dataset.train.read_label(seed), toy.draw(seed)[1])
  np.testing.assert_array_equal(dataset.val.read_label(1), toy.draw(5)[1])
  assert 0 in dataset.train.read_label(0)  # the background is a class


def test_unlabeled2017_is_optional(root):
  unlabeled = coco.load(str(root), unlabeled2017=True).unlabeled
  assert unlabeled.names == ('000000000015', '000000000016') and unlabeled.read_label is None
  assert unlabeled.read_image(0).shape == (toy.HEIGHT, toy.WIDTH, 3)


def test_category_ids_are_refused(root):
  save(root / 'masks' / f'{TRAIN[0]}.png', np.full((toy.HEIGHT, toy.WIDTH), 90))
  assert_says(
    message(root), f'{TRAIN[0]}.png holds the value 90', 'not its category_id', '--classes=coco'
  )


def test_published_lists_name_the_examples(tmp_path):
  """Of UniMatch V2: pairs of paths, the last line without a newline; extra images have no mask."""
  lines = [f'train2017/{TRAIN[3]}.jpg masks/{TRAIN[3]}.png', f'train2017/{TRAIN[1]}.jpg None']
  (tmp_path / 'labeled.txt').write_text('\n'.join(lines))
  assert choose_labeled(TRAIN, str(tmp_path / 'labeled.txt'), seed=0).tolist() == [1, 3]


def test_missing_files(root):
  assert_says(message(''), 'empty', 'train2017/', 'masks/')
  (root / 'masks' / f'{VAL[0]}.png').unlink()
  assert_says(message(root), '1 of 2 images has no mask', 'instances_val2017.json')
  for path in (root / 'val2017').iterdir():
    path.unlink()
  assert_says(message(root), 'val2017 holds no images', 'val2017.zip')
  (root / 'val2017').rmdir()
  assert_says(message(root), root / 'val2017', '--config.data.root=DIR')


# ------------------------------------------------------------- masks from annotations


def square(left, top, side):
  right, bottom = left + side, top + side
  return [[left, top, right, top, right, bottom, left, bottom]]


def instances(first, annotations):
  """The content of instances_*2017.json for two images, the second without annotations.

  COCO's category ids have gaps: 13 is stop sign, the 12th category, and 90 toothbrush, the 80th.
  """
  images = [
    {'id': number, 'file_name': f'{number:012d}.jpg', 'height': toy.HEIGHT, 'width': toy.WIDTH}
    for number in (first, first + 1)
  ]
  names = {1: 'person', 13: 'stop sign', 90: 'toothbrush'}
  return {
    'images': images,
    'annotations': [
      {
        'id': index,
        'image_id': first,
        'iscrowd': 0,
        'category_id': category,
        'segmentation': region,
      }
      for index, (category, region) in enumerate(annotations)
    ],
    'categories': [{'id': key, 'name': name} for key, name in names.items()],
  }


def test_masks_are_painted_from_instances(root, tmp_path, capsys):
  """Larger regions first; ids are positions in the list of categories; train joins val."""
  for path in (root / 'masks').iterdir():
    path.unlink()
  regions = [(90, square(4, 4, 4)), (1, square(2, 2, 20)), (13, square(8, 8, 8))]
  files = {'train2017': (9, regions), 'val2017': (13, regions[:1])}
  for split, (first, annotations) in files.items():
    path = tmp_path / f'instances_{split}.json'
    path.write_text(json.dumps(instances(first, annotations)))
    convert('coco', path, root, classes='coco', background='background')
  for number in (11, 12):  # not in the file
    save(root / 'masks' / f'{number:012d}.png', np.zeros((toy.HEIGHT, toy.WIDTH)))
  expected = np.zeros((toy.HEIGHT, toy.WIDTH), np.uint8)
  expected[2:22, 2:22] = 1
  expected[8:16, 8:16] = 12
  expected[4:8, 4:8] = 80
  dataset = coco.load(str(root))
  np.testing.assert_array_equal(dataset.train.read_label(0), expected)
  assert not dataset.train.read_label(1).any()  # without annotations: all background
  assert np.unique(dataset.val.read_label(0)).tolist() == [0, 80]
  assert Image.open(root / 'masks' / f'{TRAIN[0]}.png').mode == 'P'
  assert re.search('^12  stop sign +1 ', capsys.readouterr().out, re.MULTILINE)


def test_config_has_the_crops_and_batches_of_unimatch_v2():
  config = coco_config.get_config('method=unimatch_v2')
  assert (config.batch_size, config.unlabeled_batch_size) == (16, 16)
  assert (config.data.crop, config.data.size, config.data.labeled) == ((518, 518), (), '925')
