"""The flags of evaluate that name images: what fits together, and their names in messages."""

from pathlib import Path
import re

import pytest
import toy

import classmix_jax
from classmix_jax.cli import evaluate as program
from classmix_jax.inference.data_flags import (
  FLAGS,
  OPTIONS,
  DataFlags,
  check_flags,
  choose_root,
  fixed_directory,
  folder_fields,
  locate,
  name_classes,
  name_flags,
)

PACKAGE = Path(classmix_jax.__file__).parent
# Fields in messages of rooms that evaluate reads with, for which it needs no flag: they divide
# images for training, or belong to data sets of other kinds.
WITHOUT_FLAG = {
  'val', 'labeled', 'val_share', 'val_seed', 'unlabeled', 'unlabeled_images', 'on_error', 'size',
  'crop', 'scale', 'scale_step', 'reader', 'tfds_dir', 'builder', 'mask', 'train_split',
  'val_split', 'manual_dir', 'zero_is_void', 'X', 'FIELD', 'name',
}  # fmt: skip


@pytest.fixture
def root(tmp_path):
  for kind in ('images', 'masks'):
    (tmp_path / kind).mkdir()
  (tmp_path / 'note.txt').write_text('')
  return tmp_path


@pytest.mark.parametrize(
  'flags, parts',
  [
    ({'images': 'images'}, ['--images=images needs --masks=DIR', '--root=DIR']),
    ({'masks': 'masks'}, ['--masks=masks needs --images=DIR']),
    ({'options': {'label_map': '255:1'}}, ['--label_map describes another set', '--root=DIR']),
    ({'part': 'valid'}, ["--part is 'valid'", 'val, test, all']),
    ({'root': 'nowhere'}, ['--root=nowhere is not there', 'directory']),
    ({'root': 'note.txt'}, ['--root=note.txt is a file', 'directory']),
    ({'images': 'photos', 'masks': 'masks'}, ['--images=photos is not there', 'images/*.png']),
    ({'images': 'note.txt', 'masks': 'masks'}, ['--images=note.txt is a file that is no image']),
    ({'images': 'images', 'masks': 'note.txt'}, ['--masks=note.txt', 'directory of masks']),
  ],
)
def test_flags_that_do_not_fit(root, monkeypatch, flags, parts):
  monkeypatch.chdir(root)
  toy.assert_fails(lambda: check_flags(DataFlags(**flags)), *parts)


def test_flags_that_fit(root, monkeypatch):
  monkeypatch.chdir(root)
  for flags in (
    DataFlags(),
    DataFlags(part='test'),
    DataFlags(root='.', images='images'),
    DataFlags(images='images/*.png', masks='masks/{name}_mask.png', options={'ignore': '0'}),
  ):
    check_flags(flags)


def test_places_are_below_the_root_or_the_working_directory(root, monkeypatch):
  monkeypatch.chdir(root / 'images')
  assert locate(str(root), 'masks') == str(root / 'masks')
  assert locate(str(root), '.') == str(root)
  assert locate('', '../masks') == str(root / 'masks')
  assert locate('', 'a/*.png, b/*.png') == f'{root}/images/a/*.png,{root}/images/b/*.png'
  (root / 'a, b').mkdir()
  assert locate(str(root), 'a, b') == str(root / 'a, b')


def test_the_root_holds_images_and_masks(root):
  flags = DataFlags(images=str(root / 'images'), masks=f'{root}/masks/*/{{name}}.png')
  assert choose_root(flags) == str(root)
  assert fixed_directory(f'{root}/images/a.png') == str(root / 'images')


def test_class_ids_become_names():
  options = {'label_map': '255:1, 7:void', 'colors': '#ff0000:0', 'transparent': '1', 'others': ''}
  assert name_classes(options, ('ground', 'ball')) == {
    'label_map': '255:ball,7:void',
    'colors': '#ff0000:ground',
    'transparent': 'ball',
    'others': '',
  }


def test_options_of_the_run_and_of_the_flags(root):
  run = {**toy.config(root).data.to_dict(), 'label_map': '255:1', 'ignore': '9', 'val': 'v*'}
  flags = DataFlags(str(root), options={'ignore': '3'})
  fields = folder_fields(run, flags, ('ground', 'ball'))
  assert (fields['label_map'], fields['ignore'], fields['val']) == ('255:ball', '3', '')
  other = folder_fields({**run, 'name': 'camvid', 'masks': 'x'}, flags, ('ground', 'ball'))
  assert 'label_map' not in other and (other['name'], other['masks']) == ('folder', '')


def test_every_option_is_a_flag():
  assert {flag.name for flag in program.OPTIONS} == set(OPTIONS)
  assert set(OPTIONS) <= set(toy.config(Path()).data)


def test_messages_name_no_field_without_a_flag():
  """Whoever reads images adds no remedy that evaluate cannot follow."""
  rooms = ('data/files', 'data/class_files', 'datasets/folder')
  texts = [path.read_text() for room in rooms for path in (PACKAGE / room).rglob('*.py')]
  fields = set(re.findall(r'config\.data\.(\w+)', ''.join(texts)))
  assert {'root', 'label_map', 'colors', 'masks'} <= fields
  assert fields <= {*FLAGS, *WITHOUT_FLAG}


def test_fields_are_named_as_flags():
  sentence = "Set --config.data.root=DIR or config.data.label_map='7:CLASS'."
  assert name_flags(sentence, 'RUN') == "Set --root=DIR or --label_map='7:CLASS'."
  assert name_flags('Set --config.data.builder=NAME.', 'RUN').endswith(
    '(config.data is that of RUN/config.json; its fields are flags of a training.)'
  )
