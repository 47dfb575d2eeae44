"""Builders of TensorFlow Datasets, prepared from tiny archives in the official layouts."""

import functools
import shutil

import numpy as np
import pytest
import requests
import tensorflow_datasets as tfds
import toy
from toy import assert_fails, assert_says

from classmix_jax.data.files.mask_io import read_mask
from classmix_jax.data.files.open_image import Encoded
from classmix_jax.data.files.tfds_records import encode_pixels
from classmix_jax.datasets import cityscapes
from classmix_jax.datasets import tfds as tfds_dataset
from classmix_jax.datasets.folder.mask_options import MaskOptions
from classmix_jax.datasets.tfds import downloads, encodings, features, scene_parse150
from classmix_jax.errors import UserError
from classmix_jax.tools.data_check.survey import survey
from configs import tfds as tfds_config

V = 255


@pytest.fixture(scope='module')
def data(tmp_path_factory):
  """A directory in which the builders below are prepared."""
  base = tmp_path_factory.mktemp('tfds')
  toy.write_oxford_iiit_pet(base / 'pets', base / 'pets_scratch')
  toy.write_scene_parse150(base / 'scenes', base / 'scenes_scratch')
  toy.write_cityscapes_archives(base / 'city', toy.write_cityscapes(base / 'city_scratch'))
  # The checksums are those of the published archives.
  manager = tfds.core.download.download_manager.DownloadManager
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(manager, '_register_or_validate_checksums', lambda *_, **__: None)
    for name, manual in (('oxford_iiit_pet', 'pets'), ('scene_parse150', 'scenes')):
      tfds_dataset.load(str(base / 'data'), builder=name, manual_dir=str(base / manual))
  return base


def message(*arguments, **options):
  with pytest.raises(UserError) as caught:
    tfds_dataset.load(*arguments, **options)
  assert '\n' not in str(caught.value)
  return str(caught.value)


# ------------------------------------------------------------------ official builders


def test_oxford_iiit_pet(data, capsys):
  """Trimaps of 1..3, names of files, and the test split for validation."""
  dataset = tfds_dataset.load(str(data / 'data'), builder='oxford_iiit_pet')
  assert capsys.readouterr().out == ''  # it is prepared
  assert dataset.name == 'tfds' and dataset.unlabeled is None
  assert dataset.class_names == ('pet', 'background', 'border')
  assert dataset.train.names == tuple(sorted(toy.PETS))
  assert dataset.val.names == ('Persian_2', 'boxer_9')
  for seed, name in enumerate(toy.PETS):
    label = toy.draw(seed)[1]
    expected = np.where(label == V, 2, label)
    index = dataset.train.names.index(name)
    np.testing.assert_array_equal(dataset.train.read_label(index), expected)
    assert dataset.train.read_image(index).shape == (toy.HEIGHT, toy.WIDTH, 3)
  part = survey('val', dataset.val, dataset.class_names, with_masks=True)  # of check_data
  assert part.findings == () and set(part.values) == {1, 2, 3}


def test_options_override_the_table(data, tmp_path):
  load = functools.partial(tfds_dataset.load, str(data / 'data'), builder='oxford_iiit_pet')
  label = load(ignore='3').train.read_label(0)
  assert set(np.unique(label)) == {0, 1, V}
  (tmp_path / 'classes.txt').write_text('other\npet 9 9 9\n')
  options = dict(classes=str(tmp_path / 'classes.txt'), label_map='1:1,2:0,3:void')
  dataset = load(**options)
  assert dataset.class_names == ('other', 'pet') and dataset.palette[1] == (9, 9, 9)
  swapped = dataset.train.read_label(0)
  np.testing.assert_array_equal(swapped, np.array([1, 0, *[V] * 254])[label])
  halves = load(train_split='train[:2]', val_split='train[2:]')
  assert sorted(halves.train.names + halves.val.names) == sorted(toy.PETS)
  assert load(size=(16, 20)).train.read_label(0).shape == (16, 20)


def test_scene_parse150_holds_100_categories_in_red(data):
  dataset = tfds_dataset.load(str(data / 'data'), builder='scene_parse150')
  assert dataset.class_names == scene_parse150.CLASS_NAMES and len(dataset.class_names) == 100
  assert dataset.class_names[3] == 'person' and dataset.class_names[-1] == 'flag'
  assert dataset.train.names == ('train_000000', 'train_000001', 'train_000002')
  written = [toy.draw(seed)[1].tobytes() for seed in range(3)]
  labels = [dataset.train.read_label(index).tobytes() for index in range(3)]
  assert sorted(labels) == sorted(written)  # TFDS shuffles


def test_cityscapes_agrees_with_its_own_data_set(data):
  dataset = tfds_dataset.load(
    str(data / 'data'), builder='cityscapes/semantic_segmentation', manual_dir=str(data / 'city')
  )
  own = cityscapes.load(str(data / 'city_scratch'))
  assert dataset.class_names == own.class_names and dataset.palette == own.palette
  assert not list((data / 'data').glob('unpacked_*'))
  for source, reference in ((dataset.train, own.train), (dataset.val, own.val)):
    order = sorted(range(len(reference)), key=lambda i: reference.names[i].split('/')[1])
    assert source.names == tuple(reference.names[i].split('/')[1] for i in order)
    for index, other in enumerate(order):
      np.testing.assert_array_equal(source.read_image(index), reference.read_image(other))
      np.testing.assert_array_equal(source.read_label(index), reference.read_label(other))


# --------------------------------------------------------------------- other builders


class ToyMasks(tfds.core.GeneratorBasedBuilder):
  """Masks as tensors, as images with names, and unlabelled images."""

  VERSION = tfds.core.Version('1.0.0')
  BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name) for name in ('tensor', 'named')]

  def _info(self):
    mask = {
      'tensor': tfds.features.Tensor(shape=(None, None), dtype=np.int32, encoding='zlib'),
      'named': tfds.features.LabeledImage(labels=list(toy.CLASSES), shape=(None, None, 1)),
    }[self.builder_config.name]
    image = tfds.features.Image(encoding_format='png')
    return tfds.core.DatasetInfo(
      builder=self,
      features=tfds.features.FeaturesDict({'photo': image, 'truth': mask, 'index': np.int64}),
    )

  def _split_generators(self, dl_manager):
    del dl_manager
    return {
      'train': self._generate_examples(0, 3),
      'validation': self._generate_examples(3, 2),
      'unlabeled': self._generate_examples(5, 1),
    }

  def _generate_examples(self, start, count):
    for seed in range(start, start + count):
      image, label = toy.draw(seed)
      mask = label[..., None] if self.builder_config.name == 'named' else label.astype(np.int32)
      yield seed, {'photo': image, 'truth': mask, 'index': seed}


def test_tensors_are_counted_and_numbered(tmp_path, capsys):
  dataset = tfds_dataset.load(str(tmp_path), builder='toy_masks/tensor')
  assert dataset.class_names == ('class_0', 'class_1', 'class_2')
  assert_says(
    capsys.readouterr().out,
    'toy_masks/tensor declares no classes; 3 of its masks hold the values 0 to 2 and 255: value 0',
    '--config.data.classes=FILE',
  )
  written = sorted(toy.draw(seed)[1].tobytes() for seed in range(3))
  assert sorted(dataset.train.read_label(index).tobytes() for index in range(3)) == written
  assert dataset.unlabeled.names == ('unlabeled_000000',) and dataset.unlabeled.read_label is None
  np.testing.assert_array_equal(dataset.unlabeled.read_image(0), toy.draw(5)[0])
  without = tfds_dataset.load(str(tmp_path), builder='toy_masks/tensor', unlabeled_split='none')
  assert without.unlabeled is None


def test_labeled_images_name_the_classes(tmp_path):
  dataset = tfds_dataset.load(str(tmp_path), builder='toy_masks/named')
  assert dataset.class_names == toy.CLASSES
  assert dataset.train.read_label(0).shape == (toy.HEIGHT, toy.WIDTH)
  assert_says(
    message(str(tmp_path), builder='toy_masks/named', mask='photo'),
    "config.data.mask is 'photo', Image(None, None, 3)",
    'truth LabeledImage(None, None, 1)',
  )
  assert_says(message(str(tmp_path), builder='toy_masks/named', image='x'), "image is 'x'")


def encode(*values):
  return Encoded(encode_pixels(np.array([values], np.uint8), ''), 'the mask', '')


@pytest.mark.parametrize(
  'values, names, map_of_one',
  [((0, 1, 3, V), 4, None), ((1, 2, 3), 3, 0), ((0, 1), 2, None), ((1, 3, V), 3, 0)],
)
def test_encodings_of_undeclared_classes(values, names, map_of_one):
  encoding = encodings.read_encoding('toy', None, [encode(*values)])
  assert encoding.class_names == tuple(f'class_{label}' for label in range(names))
  assert encoding.label_map.get(1) == map_of_one
  if map_of_one == 0:  # the value 0 was not in the sample: it is not a class
    decoding = encodings.make_decoding(encoding, MaskOptions())
    assert_fails(lambda: read_mask(encode(0, 1), decoding), 'the mask holds the value 0')


@pytest.mark.parametrize('values', [(0, V), (V,), (0,), (0, 128), (7, 8), (0, 1, 200)])
def test_values_that_do_not_look_like_classes(values):
  assert_fails(
    lambda: encodings.read_encoding('toy', None, [encode(*values)]),
    'toy declares no classes; 1 of its masks hold the value',
    "--config.data.label_map='255:1'" if values == (0, V) else "label_map='VALUE:CLASS,...'",
  )


def test_pixels_that_masks_cannot_hold():
  pets = encodings.KNOWN['oxford_iiit_pet', 'segmentation_mask']
  deep = Encoded(encode_pixels(np.array([[[300], [2]]], np.int64), ''), 'the mask', '')
  assert read_mask(deep, encodings.make_decoding(pets, MaskOptions('300:0'))).tolist() == [[0, 1]]
  assert_fails(
    lambda: encode_pixels(np.array([[-1, 3]], np.int32), 'truth of 0'),
    'truth of 0 holds the values -1 to 3',
    '--config.data.mask=NAME',
  )


# ------------------------------------------------------------------- what is missing


def test_unknown_builders(tmp_path):
  assert_says(message(str(tmp_path)), 'config.data.builder is empty', 'oxford_iiit_pet')
  assert_says(
    message(str(tmp_path), builder='oxford_iit_pet'),
    "config.data.builder is 'oxford_iit_pet'",
    'Did you mean oxford_iiit_pet',
  )
  assert_says(message(str(tmp_path), builder='cityscapes/nothing'), "is 'cityscapes/nothing'")


def test_splits():
  both = ['train', 'test', 'validation']
  assert features.choose_splits(both, '', '', '') == ('train', 'validation', None)
  assert features.choose_splits(both, 'train[:9]', 'test', 'test') == ('train[:9]', 'test', 'test')
  assert_fails(lambda: features.choose_splits(['train'], '', '', ''), "val_split='train[90%:]'")
  assert_fails(lambda: features.choose_splits(both, 'dev', '', ''), "train_split is 'dev'", 'train')


def test_files_to_download_by_hand(tmp_path):
  assert_says(
    message(str(tmp_path), builder='cityscapes'),
    f'Put its files into {tmp_path / "downloads/manual"}',
    'gtFine_trainvaltest.zip',
  )


def deny_network(monkeypatch):
  def fail(*_, **__):
    raise requests.exceptions.ConnectionError('no route to host')

  monkeypatch.setattr(requests.Session, 'send', fail)


def test_without_a_network(tmp_path, monkeypatch):
  deny_network(monkeypatch)
  assert_says(
    message(str(tmp_path), builder='oxford_iiit_pet'),
    'oxford_iiit_pet cannot be downloaded (thor.robots.ox.ac.uk does not answer)',
    'annotations.tar.gz (https://',
    f'into {tmp_path / "downloads/manual"}',
    '--config.data.manual_dir=DIR',
  )


def test_a_download_that_breaks_off(tmp_path, monkeypatch):
  deny_network(monkeypatch)
  monkeypatch.setattr(requests, 'head', lambda *_, **__: None)  # the host answers first
  assert_says(
    message(str(tmp_path), builder='oxford_iiit_pet'),
    'oxford_iiit_pet cannot be downloaded (no route to host): start again, or put',
  )
  assert not list(tmp_path.glob('unpacked_*'))


def test_files_that_are_there_are_not_asked_for(tmp_path):
  """By hand, or by an earlier start, which leaves a description beside each file."""
  info = tfds.core.download.checksums.UrlInfo
  files = {
    f'https://host/{name}': info(size=1, checksum=name, filename=name) for name in ('a', 'b', 'c')
  }
  (tmp_path / 'manual').mkdir()
  (tmp_path / 'manual/a').touch()
  (tmp_path / 'b.tar.INFO').write_text('{"urls": ["https://host/b"], "url_info": {}}')
  (tmp_path / 'c.tar.INFO').write_text('{')  # half written
  missing = downloads.find_missing_urls(files, tmp_path, tmp_path / 'manual')
  assert missing == ('https://host/c',)


def test_archives_with_other_checksums(data, tmp_path):
  assert_says(
    message(str(tmp_path), builder='oxford_iiit_pet', manual_dir=str(data / 'pets')),
    'has another checksum than TFDS expects',
    '.tar.gz, has wrong checksum): remove',
  )


def test_other_formats_are_not_read(data, tmp_path):
  shutil.copytree(data / 'data/oxford_iiit_pet', tmp_path / 'oxford_iiit_pet')
  info = next(tmp_path.rglob('dataset_info.json'))
  info.write_text(info.read_text().replace('array_record', 'tfrecord'))
  assert_says(
    message(str(tmp_path), builder='oxford_iiit_pet'), 'as tfrecord', '--config.data.root=DIR'
  )
  info.unlink()
  assert_says(
    message(str(tmp_path), builder='oxford_iiit_pet'), 'is damaged (it lists no splits)', 'Remove'
  )


def test_config():
  config = tfds_config.get_config('method=classmix,labeled=4')
  assert config.data.name == 'tfds' and config.data.labeled == '4'
  assert config.data.builder == '' and config.model.backbone == 'tiny'
