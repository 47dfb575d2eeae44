"""Cityscapes on tiny files in the public layout: unpacked and as archives, which must agree."""

import io
import pickle
import shutil
import zipfile

import numpy as np
from PIL import Image
import pytest
import toy
from toy import assert_says, save

from classmix_jax.data.files import tfds_records
from classmix_jax.datasets import cityscapes
from classmix_jax.datasets.cityscapes import classes
from classmix_jax.errors import UserError
from configs import cityscapes as cityscapes_config

V = 255
# Train ids of the label ids 0, 1, ..., 33, as the Cityscapes scripts list them.
TRAIN_IDS_OF_LABEL_IDS = [
  V,  # unlabeled
  V,
  V,
  V,  # ego vehicle, rectification border, out of roi
  V,
  V,
  V,  # static, dynamic, ground
  0,
  1,
  V,
  V,  # road, sidewalk, parking, rail track
  2,
  3,
  4,  # building, wall, fence
  V,
  V,
  V,  # guard rail, bridge, tunnel
  5,
  V,  # pole, polegroup
  6,
  7,  # traffic light, traffic sign
  8,
  9,
  10,  # vegetation, terrain, sky
  11,
  12,  # person, rider
  13,
  14,
  15,  # car, truck, bus
  V,
  V,  # caravan, trailer
  16,
  17,
  18,  # train, motorcycle, bicycle
]
TRAIN_NAMES = (
  'aachen/aachen_000000_000019',
  'aachen/aachen_000001_000019',
  'zurich/zurich_000000_000019',
  'zurich/zurich_000001_000019',
)
VAL_NAMES = ('frankfurt/frankfurt_000000_000019', 'frankfurt/frankfurt_000001_000019')


@pytest.fixture
def root(tmp_path):
  return toy.write_cityscapes(tmp_path / 'cityscapes')


@pytest.fixture(scope='module')
def both(tmp_path_factory):
  """(unpacked directories, archives) of the same images."""
  base = tmp_path_factory.mktemp('cityscapes')
  directories = toy.write_cityscapes(base / 'folders')
  return directories, toy.write_cityscapes_archives(base / 'archives', directories)


def message(root, **options):
  with pytest.raises(UserError) as caught:
    cityscapes.load(str(root), **options)
  assert '\n' not in str(caught.value)
  return str(caught.value)


# --------------------------------------------------------------- classes and directories


def test_classes_and_palette():
  assert len(classes.CLASS_NAMES) == len(set(classes.PALETTE)) == 19
  palette = dict(zip(classes.CLASS_NAMES, classes.PALETTE, strict=True))
  assert palette['road'] == (128, 64, 128) and palette['sky'] == (70, 130, 180)
  assert palette['rider'] == (255, 0, 0) and palette['bicycle'] == (119, 11, 32)


def test_label_ids_become_train_ids(root):
  path = root / 'gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png'
  save(path, np.arange(34).reshape(2, 17))
  save(root / 'leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png', np.zeros((2, 17, 3)))
  label = cityscapes.load(str(root)).train.read_label(0)
  assert label.dtype == np.uint8 and len(TRAIN_IDS_OF_LABEL_IDS) == 34
  assert label.ravel().tolist() == TRAIN_IDS_OF_LABEL_IDS


def test_ids_of_no_label_name_the_file(root):
  path = root / 'gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png'
  save(path, np.full((toy.HEIGHT, toy.WIDTH), 34))
  with pytest.raises(UserError) as caught:
    cityscapes.load(str(root)).train.read_label(0)
  assert_says(str(caught.value), path, 'value 34', '11 (building)', 'gtFine_trainvaltest.zip')


def test_folders_give_sorted_names_of_city_and_frame(root):
  dataset = cityscapes.load(str(root))
  assert dataset.name == 'cityscapes' and dataset.unlabeled is None
  assert dataset.raw_ids[:3] == (7, 8, 11) and dataset.raw_ids[-1] == 33
  assert dataset.train.names == TRAIN_NAMES and dataset.val.names == VAL_NAMES
  image, label = toy.draw(3)  # the fourth that was written, the second city and its frame 0
  np.testing.assert_array_equal(dataset.train.read_image(0), image)
  expected = np.array([0, 13, 2])[np.where(label == 255, 0, label)]
  np.testing.assert_array_equal(dataset.train.read_label(0), np.where(label == 255, 255, expected))


def test_archives_unpacked_each_into_a_directory_of_its_own(root):
  for kind in ('leftImg8bit', 'gtFine'):
    (root / f'{kind}_trainvaltest').mkdir()
    (root / kind).rename(root / f'{kind}_trainvaltest' / kind)
  assert cityscapes.load(str(root)).train.names == TRAIN_NAMES


def test_train_ids_where_there_are_no_label_ids(root):
  expected = cityscapes.load(str(root)).val.read_label(0)
  for path in (root / 'gtFine/val/frankfurt').glob('*_labelIds.png'):
    save(path.with_name(path.name.replace('labelIds', 'labelTrainIds')), expected)
    path.unlink()
  np.testing.assert_array_equal(cityscapes.load(str(root)).val.read_label(0), expected)


def test_train_extra_is_unlabeled_and_optional(root):
  for archive in ('', 'leftImg8bit_trainextra/'):
    extra = root / archive / 'leftImg8bit/train_extra'
    save(extra / 'ulm/ulm_000000_000003_leftImg8bit.png', np.full((4, 6, 3), 9))
    assert cityscapes.load(str(root)).unlabeled is None
    unlabeled = cityscapes.load(str(root), train_extra=True).unlabeled
    assert unlabeled.names == ('ulm/ulm_000000_000003',) and unlabeled.read_label is None
    np.testing.assert_array_equal(unlabeled.read_image(0), np.full((4, 6, 3), 9))
    shutil.rmtree(extra)
  assert_says(
    message(root, train_extra=True), 'leftImg8bit/train_extra', 'leftImg8bit_trainextra.zip'
  )


# ------------------------------------------------------------------------- archives


@pytest.mark.parametrize('size', [None, (16, 25)])
def test_archives_and_directories_agree_in_every_bit(both, size):
  directories, archives = both
  ours = cityscapes.load(str(directories), size)
  reference = cityscapes.load(str(archives), size)
  for a, b in ((ours.train, reference.train), (ours.val, reference.val)):
    assert a.names == b.names
    for index in range(len(a)):
      image = a.read_image(index)
      assert image.shape == (*(size or (toy.HEIGHT, toy.WIDTH)), 3)
      np.testing.assert_array_equal(image, b.read_image(index))
      np.testing.assert_array_equal(a.read_label(index), b.read_label(index))


def test_prepared_once_and_read_without_the_archives(both, tmp_path, capsys):
  directories, archives = both
  cityscapes.load(str(archives))
  cache = archives / 'tensorflow_datasets'
  assert not list(cache.glob('unpacked_*'))  # only there while it prepares
  capsys.readouterr()
  moved = tmp_path / 'moved'
  shutil.copytree(cache, moved / 'tensorflow_datasets')
  train = cityscapes.load(str(moved)).train
  assert train.names == TRAIN_NAMES and capsys.readouterr().out == ''
  copy = pickle.loads(pickle.dumps(train))
  np.testing.assert_array_equal(copy.read_image(1), train.read_image(1))
  # Elsewhere by name, and directories first where both are there.
  named = cityscapes.load(
    str(directories), reader='tfds', tfds_dir=str(moved / 'tensorflow_datasets')
  )
  assert isinstance(named.val.read_label.args[0].masks, tfds_records.EncodedImages)
  assert isinstance(cityscapes.load(str(directories)).val.read_label.args[0].masks, tuple)


def test_other_formats_are_not_read(both, tmp_path):
  cityscapes.load(str(both[1]))
  shutil.copytree(both[1] / 'tensorflow_datasets', tmp_path / 'tensorflow_datasets')
  info = next(tmp_path.rglob('dataset_info.json'))
  info.write_text(info.read_text().replace('array_record', 'tfrecord'))
  assert_says(message(tmp_path), 'as tfrecord', 'is array_record', '--config.data.tfds_dir=DIR')
  text = info.read_text().replace('tfrecord', 'array_record')
  info.write_text(text.replace('"train"', '"training"'))
  assert_says(message(tmp_path), 'is damaged', 'Remove that directory')


# ------------------------------------------------------------------- what is missing


def test_nothing_there_lists_both_layouts(tmp_path):
  text = message(tmp_path)
  assert_says(
    text,
    tmp_path,
    'leftImg8bit/train',
    'leftImg8bit/val',
    'gtFine/train',
    'gtFine/val',
    'leftImg8bit_trainvaltest.zip',
    'gtFine_trainvaltest.zip',
    '--config.data.root=DIR',
  )
  (tmp_path / 'gtFine_trainvaltest.zip').touch()
  assert 'misses leftImg8bit_trainvaltest.zip.' in message(tmp_path, reader='tfds')
  assert 'zip' not in message(tmp_path, reader='folders').partition('Set ')[0]
  assert_says(message(''), 'empty', '--config.data.root=DIR')
  assert_says(message(tmp_path, reader='zip'), "config.data.reader is 'zip'", "'folders', 'tfds'")


def test_missing_masks_and_images(root):
  (root / 'gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png').unlink()
  assert_says(
    message(root),
    '1 of 4 images has no mask',
    'aachen_000000_000019_leftImg8bit.png',
    'gtFine_trainvaltest.zip',
  )
  shutil.rmtree(root / 'leftImg8bit/train/aachen')
  shutil.rmtree(root / 'leftImg8bit/train/zurich')
  assert_says(message(root), 'leftImg8bit/train', 'leftImg8bit_trainvaltest.zip')


def test_incomplete_archives_are_named_before_they_are_unpacked(both, tmp_path):
  directories, archives = both
  for name in ('leftImg8bit_trainvaltest.zip', 'gtFine_trainvaltest.zip'):
    shutil.copy(archives / name, tmp_path)
  with zipfile.ZipFile(tmp_path / 'gtFine_trainvaltest.zip', 'w') as archive:
    archive.writestr('gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png', b'')
  assert_says(message(tmp_path), 'gtFine_trainvaltest.zip', 'no labels for 3 of 4 images of train')
  path = tmp_path / 'leftImg8bit_trainvaltest.zip'
  path.write_bytes(path.read_bytes()[:1000])
  assert_says(message(tmp_path), path, 'no complete archive', '1000 bytes', 'download it again')
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('images/a.png', b'')
  assert_says(message(tmp_path), path, 'no leftImg8bit/train', "--config.data.reader='folders'")


# ---------------------------------------------------------------- the whole program


def test_config_is_the_recipe_of_the_paper():
  config = cityscapes_config.get_config()
  assert (config.steps, config.batch_size, config.unlabeled_batch_size) == (40_000, 2, 2)
  assert (config.model.backbone, config.model.head) == ('resnet101', 'deeplab_v2')
  assert (config.optim.learning_rate, config.optim.head_multiplier) == (2.5e-4, 10)
  assert config.optim.freeze_bn_affine and config.model.bn == 'batch' and not config.data.flip
  assert (config.data.size, config.data.crop, config.data.labeled) == ((512, 1024), (), '1/8')
  assert config.data.scale == (1, 1) and config.method.jitter == 0.25 and config.method.blur
  assert cityscapes_config.get_config('labeled=100').data.labeled == '100'


@pytest.mark.slow
def test_shipped_config_trains_and_evaluates(root, tmp_path):
  config = cityscapes_config.get_config('method=supervised,labeled=2')
  config.update_from_flattened_dict(
    {
      'data.root': str(root),
      'data.size': (24, 32),
      'model.backbone': 'tiny',
      'steps': 2,
      'data.copy_root': str(tmp_path),
    }
  )
  result = toy.train(config, tmp_path / 'run')
  assert result['step'] == 2 and result['labeled'] == 2
  assert result['protocol'] == 'paper at 24x32' and len(result['iou']) == 19
  known = sum((toy.draw(seed)[1] != 255).sum() for seed in (4, 5))
  assert abs(result['pixels'] / (2 * 24 * 32) - known / (2 * toy.HEIGHT * toy.WIDTH)) < 0.04


def test_zip_bombs_are_refused(tmp_path):
  for name in ('leftImg8bit', 'gtFine'):
    path = tmp_path / f'{name}_trainvaltest.zip'
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
      archive.writestr(f'{name}/train/a.png', bytes(30 * 2**20))
  with pytest.raises(UserError, match=r'would unpack to 31,457,280, .* refused'):
    cityscapes.load(str(tmp_path))


def test_archives_write_inside_their_directory(tmp_path):
  """Members with .. or an absolute name are skipped, the others prepared; links are refused."""
  directories, root = toy.write_cityscapes(tmp_path / 'folders'), tmp_path / 'deep' / 'root'
  toy.write_cityscapes_archives(tmp_path / 'made', directories)
  root.mkdir(parents=True)
  for path in (tmp_path / 'made').iterdir():
    (root / path.name).write_bytes(path.read_bytes())
  image = io.BytesIO()
  Image.new('RGB', (2, 2)).save(image, 'PNG')
  outside = tmp_path / 'absolute.png'
  with zipfile.ZipFile(root / 'leftImg8bit_trainvaltest.zip', 'a') as archive:
    for name in ('../evil.png', 'leftImg8bit/train/../../../../evil.png', str(outside)):
      archive.writestr(name, image.getvalue())
  assert len(cityscapes.load(str(root)).train) == 4
  assert not outside.exists() and not list(tmp_path.rglob('evil*'))
  link = zipfile.ZipInfo('leftImg8bit/train/link')
  link.external_attr = 0o120777 << 16
  with zipfile.ZipFile(root / 'leftImg8bit_trainvaltest.zip', 'a') as archive:
    archive.writestr(link, str(tmp_path))
  with pytest.raises(UserError, match='holds the link leftImg8bit/train/link'):
    cityscapes.load(str(root), tfds_dir=str(tmp_path / 'anew'))
