"""Unreadable training examples raise an error, or are skipped and listed with the reason."""

import json

import numpy as np
from PIL import Image
import pytest
import toy

from classmix_jax.config.data import build_dataset, build_split, find_unreadable, open_dataset
from classmix_jax.data.files.findings import keep_findings
from classmix_jax.data.label_check import check_at_start
from classmix_jax.data.unreadable import (
  NONE_UNREADABLE,
  UnreadableExamples,
  drop_examples,
  find_unreadable_examples,
)
from classmix_jax.errors import UserError
from classmix_jax.tools.report.write_report import report_training
from classmix_jax.training.prepare import choose_left_out


@pytest.fixture
def data(tmp_path):
  """Of 8 labelled pairs four are unreadable, for four reasons; of 6 unlabelled images one is."""
  root = toy.write_folder(tmp_path / 'data', labeled=8)
  images, masks = root / 'labeled/images/street', root / 'labeled/masks/street'
  (images / '0.png').write_bytes((images / '0.png').read_bytes()[:300])
  (masks / '1.png').write_text('no image')
  toy.save(masks / '2.png', toy.draw(2)[1][:20])
  toy.save(masks / '3.png', np.full((toy.HEIGHT, toy.WIDTH), 9))
  (root / 'unlabeled/images/5.jpg').write_bytes(b'\xff\xd8\xff')
  return root


def open_training_data(config):
  left_out = find_unreadable(config)
  dataset = build_dataset(config, left_out)
  return left_out, build_split(config, dataset, left_out)


@pytest.mark.parametrize('copy', ['memory', 'disk'])
def test_unreadable_examples_are_skipped_with_the_reason(data, tmp_path, copy):
  config = toy.config(
    data,
    **{
      'data.on_error': 'skip',
      'data.working_copy': copy,
      'data.copy_root': str(tmp_path / 'copy'),
      'data.size': (toy.HEIGHT, toy.WIDTH),
    },
  )
  left_out, split = open_training_data(config)
  assert split.labeled.names == tuple(f'street/{i}' for i in (4, 5, 6, 7))
  assert split.unlabeled.names == tuple('01234')
  assert set(left_out.unlabeled) == {'5'} and len(left_out.train) == 4
  for name, *parts in (
    ('0', 'images/street/0.png does not decode'),
    ('1', 'masks/street/1.png does not decode'),
    ('2', 'masks/street/2.png is 48x20', '48x32'),
    ('3', 'masks/street/3.png', '9'),
  ):
    toy.assert_says(left_out.train[f'street/{name}'], *parts)
  assert str(left_out) == '4 of train, 1 of unlabeled'


def test_by_default_it_raises(data):
  config = toy.config(data)
  assert find_unreadable(config) is NONE_UNREADABLE
  with pytest.raises(UserError, match='does not decode|masks/street/2.png is 48x20'):
    build_dataset(config)


def test_the_split_does_not_depend_on_unreadable_examples(data):
  """Of 4 chosen examples the readable ones are labelled; no other example replaces the rest."""
  config = toy.config(data, **{'data.on_error': 'skip', 'data.labeled': '4'})
  left_out, split = open_training_data(config)
  sound = toy.config(toy.write_folder(data.parent / 'sound', labeled=8), **{'data.labeled': '4'})
  whole = build_split(sound, build_dataset(sound))
  assert split.labeled.names == tuple(n for n in whole.labeled.names if n not in left_out.train)
  # Masks of examples that are not labelled were not opened: their images are used.
  images = {'street/1', 'street/2', 'street/3'} - set(whole.labeled.names)
  assert images <= set(split.unlabeled.names)


def test_no_labelled_example_is_readable(data):
  for index in range(4, 8):
    (data / f'labeled/masks/street/{index}.png').write_text('')
  with pytest.raises(UserError, match='None of the labelled examples reads: .*0.png does not'):
    open_training_data(toy.config(data, **{'data.on_error': 'skip'}))


def test_layout_and_validation_are_never_skipped(data):
  config = toy.config(data, **{'data.on_error': 'skip'})
  toy.save(data / 'val/masks/0.png', toy.draw(0)[1][:9])
  with pytest.raises(UserError, match='val/masks/0.png is 48x9'):
    build_dataset(config)
  toy.save(data / 'labeled/images/street/7.jpg', toy.draw(7)[0])
  with pytest.raises(UserError, match="7.png both have the name 'street/7'"):
    build_dataset(config)
  with keep_findings() as findings:  # as the check of the data does
    open_dataset(config, None)
  assert len(findings) == 1


def test_unknown_policy(data):
  with pytest.raises(UserError, match="config.data.on_error is 'ignore'.*raise, skip"):
    build_dataset(toy.config(data, **{'data.on_error': 'ignore'}))


def test_sources_without_files(data):
  """Examples without files have no headers to compare."""
  dataset = build_dataset(toy.config(toy.write_folder(data.parent / 'sound')))
  import dataclasses

  bare = dataclasses.replace(dataset, train=dataclasses.replace(dataset.train, files=None))
  assert find_unreadable_examples(bare, range(4)) == UnreadableExamples({}, {})
  assert drop_examples(bare.train, ()) is bare.train


def test_a_resumed_run_skips_the_same_examples(data, tmp_path, capsys):
  run = tmp_path / 'run'
  run.mkdir()
  config = toy.config(data, **{'data.on_error': 'skip'})
  first = choose_left_out(config, run)
  (run / 'left_out.json').write_text(json.dumps(first._asdict()))
  assert 'left out: 4 of train, 1 of unlabeled, see' in capsys.readouterr().out
  Image.fromarray(toy.draw(5)[0]).save(data / 'unlabeled/images/5.jpg')  # repaired meanwhile
  assert choose_left_out(config, run) == first._replace(summary='')
  assert find_unreadable(config).unlabeled == {}


def test_void_masks_end_training(tmp_path):
  """All masks are read before: a single pixel of a class is enough."""
  root = toy.write_folder(tmp_path / 'data', labeled=3)
  for index in range(3):
    path = root / f'labeled/masks/street/{index}.png'
    toy.save(path, np.full((toy.HEIGHT, toy.WIDTH), 255))
  dataset = build_dataset(toy.config(root))

  def check():
    return check_at_start(dataset.train, dataset.val, dataset.class_names)

  with pytest.raises(UserError, match="all 3 masks hold nothing but void .*'street/0'"):
    check()
  one = np.full((toy.HEIGHT, toy.WIDTH), 255)
  one[3, 4] = 1
  toy.save(path, one)
  dataset = build_dataset(toy.config(root))
  (warning,) = check().warnings
  assert (
    "100 % of the pixels that are not void in all 3 labelled masks are class 1 'box'" in warning
  )


@pytest.mark.slow
def test_training_and_report(data, tmp_path):
  """Training uses the readable examples, and the report counts the skipped ones."""
  config = toy.config(data, **{'data.on_error': 'skip', 'steps': 2})
  toy.train(config, tmp_path / 'run', on_end=report_training)
  left_out = json.loads((tmp_path / 'run/left_out.json').read_text())
  assert {part: len(names) for part, names in left_out.items()} == {'train': 4, 'unlabeled': 1}
  assert (tmp_path / 'run/splits/labeled.txt').read_text().split() == [
    f'street/{i}' for i in (4, 5, 6, 7)
  ]
  page = (tmp_path / 'run/report.html').read_text()
  assert '<td>examples left out</td><td>5</td>' in page
