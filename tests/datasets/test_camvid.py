"""CamVid on made-up files in the public layout, and on the real ones where they are."""

import os
from pathlib import Path

import numpy as np
from PIL import Image
import pytest
from toy import assert_says, save

from classmix_jax.data import label_statistics
from classmix_jax.datasets import camvid
from classmix_jax.errors import UserError

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get('CLASSMIX_JAX_DATA', REPOSITORY.parent / 'shared' / 'data'))


@pytest.fixture
def root(tmp_path):
  """Three training pairs and one to validate; the list leaves out 'c' and is not sorted."""
  for split, names in (('train', 'cab'), ('val', 'v')):
    for value, name in enumerate(names):
      save(tmp_path / split / f'{name}.png', np.full((4, 6, 3), value))
      save(tmp_path / f'{split}annot' / f'{name}.png', np.full((4, 6), value))
  save(tmp_path / 'trainannot' / 'a.png', [[11, 10, 0, 5, 255, 1]] * 4)
  write_list(tmp_path / 'train.txt', 'train', 'ba')
  write_list(tmp_path / 'val.txt', 'val', 'v')
  return tmp_path


def write_list(path, split, names):
  lines = [f'/SegNet/CamVid/{split}/{n}.png /SegNet/CamVid/{split}annot/{n}.png' for n in names]
  path.write_text('\n'.join(lines) + '\n')


def message(root):
  with pytest.raises(UserError) as caught:
    camvid.load(str(root))
  return str(caught.value)


def test_lists_are_matched_by_file_name_and_sorted(root):
  dataset = camvid.load(str(root))
  assert dataset.train.names == ('a', 'b') and dataset.val.names == ('v',)
  assert dataset.unlabeled is None and dataset.name == 'camvid'
  np.testing.assert_array_equal(dataset.train.read_image(0), np.full((4, 6, 3), 1))
  np.testing.assert_array_equal(dataset.train.read_image(1), np.full((4, 6, 3), 2))


def test_images_for_tests(root):
  assert camvid.load(str(root)).test is None
  save(root / 'test' / 't.png', np.zeros((4, 6, 3)))
  (root / 'testannot').mkdir()
  assert camvid.load(str(root)).test is None  # incomplete, which is no mistake of a training
  save(root / 'testannot' / 't.png', np.full((4, 6), 11))
  test = camvid.load(str(root)).test
  assert test.names == ('t',) and (test.read_label(0) == 255).all()


def test_eleven_is_void(root):
  label = camvid.load(str(root)).train.read_label(0)
  assert label.dtype == np.uint8
  np.testing.assert_array_equal(label, [[255, 10, 0, 5, 255, 1]] * 4)


def test_working_resolution(root):
  train = camvid.load(str(root), size=(2, 3)).train
  assert train.read_image(0).shape == (2, 3, 3)
  np.testing.assert_array_equal(train.read_label(0), [[10, 5, 1]] * 2)  # centres of 2 x 2 blocks


def test_without_a_list_the_directory_counts(root):
  (root / 'train.txt').unlink()
  assert camvid.load(str(root)).train.names == ('a', 'b', 'c')


def test_classes_and_palette():
  assert len(camvid.CLASS_NAMES) == len(set(camvid.PALETTE)) == 11
  palette = dict(zip(camvid.CLASS_NAMES, camvid.PALETTE, strict=True))
  assert palette['road'] == (128, 64, 128) and palette['bicyclist'] == (0, 128, 192)
  assert camvid.CLASS_NAMES.index('car') == 8


def test_all_missing_directories_at_once(tmp_path):
  (tmp_path / 'train').mkdir()
  assert_says(
    message(tmp_path),
    tmp_path / 'trainannot',
    tmp_path / 'val,',
    tmp_path / 'valannot',
    '--config.data.root=DIR',
  )
  assert str(tmp_path / 'train,') not in message(tmp_path)
  assert_says(
    message(tmp_path / 'no'), tmp_path / 'no', 'not a directory', '--config.data.root=DIR'
  )
  assert_says(message(''), 'empty', '--config.data.root=DIR')


def test_listed_files_that_are_not_there(root):
  (root / 'train' / 'a.png').unlink()
  (root / 'trainannot' / 'b.png').unlink()
  assert_says(message(root), 'train.txt', '2 files', 'a, b (mask)', 'Unpack')


@pytest.mark.parametrize(
  'text, parts',
  [
    ('x/a.png y/a.png z\n', ('line 1', 'image mask')),
    ('x/a.png y/a.png\n\nx/a.png\n', ('line 3', "repeats 'a'", 'remove')),
    ('\n', ('empty', 'Remove')),
  ],
)
def test_malformed_lists_name_the_line(root, text, parts):
  (root / 'train.txt').write_text(text)
  assert_says(message(root), root / 'train.txt', *parts)


def test_image_without_mask_and_empty_directory(root):
  (root / 'val.txt').unlink()
  (root / 'valannot' / 'v.png').unlink()
  assert_says(message(root), 'v.png', '1 of 1 images has no mask', root / 'valannot')
  (root / 'val' / 'v.png').unlink()
  assert_says(message(root), root / 'val', 'no images', 'Unpack')


def test_unequal_sizes(root):
  save(root / 'valannot' / 'v.png', np.zeros((8, 6)))
  assert_says(message(root), 'valannot/v.png is 6x8', 'val/v.png is 6x4')


def test_foreign_labels_name_the_file(root):
  save(root / 'valannot' / 'v.png', np.full((4, 6), 12))
  with pytest.raises(UserError) as caught:
    camvid.load(str(root)).val.read_label(0)
  assert_says(str(caught.value), 'valannot/v.png', 'value 12', '11 (void)', 'SegNet')
  assert 'label_map' not in str(caught.value)  # an option that camvid does not have


def test_real_files():
  root = DATA / 'camvid'
  if not root.is_dir():
    pytest.skip('no camvid directory in ../shared/data or in $CLASSMIX_JAX_DATA')
  dataset = camvid.load(str(root), size=(180, 240))
  assert (len(dataset.train), len(dataset.val)) == (367, 101)
  assert dataset.train.names[0] == '0001TP_006690'
  assert dataset.train.read_image(0).shape == (180, 240, 3)
  counts = label_statistics.label_counts(dataset.val, range(0, 101, 5), dataset.class_names)
  pixels, images = label_statistics.class_counts(counts, len(dataset.class_names))
  assert (images > 0).all() and pixels.argmax() == 3  # road
  full = np.asarray(Image.open(root / 'trainannot' / '0001TP_006690.png'))
  expected = np.where(full == 11, 255, full)
  np.testing.assert_array_equal(camvid.load(str(root)).train.read_label(0), expected)
