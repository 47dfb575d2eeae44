"""What a run is: its classes and images, compared between two starts."""

import json
import os
import shutil

import pytest
import toy

from classmix_jax.datasets import folder
from classmix_jax.workdir import run_files
from classmix_jax.workdir.image_changes import describe_changes, find_moved
from classmix_jax.workdir.image_record import (
  ImageRecord,
  read_record,
  record_images,
  write_record,
)
from classmix_jax.workdir.run_identity import check_images, describe_classes


def record(root='A', **roles):
  """A record of names without files, or of (name, digest of the image, digest of the mask)."""
  pairs = {role: dict(map(pair, roles.get(role, ()))) for role in ('labeled', 'unlabeled', 'val')}
  return ImageRecord(root, '', **pairs)


def pair(image):
  if isinstance(image, str):
    return image, [None, None]
  name, *digests = image
  return name, [[1, 2, digest] for digest in digests] + [None] * (2 - len(digests))


@pytest.mark.parametrize(
  'names, text',
  [
    ('a b c', ''),
    ('a b c d', '4 classes (d is new)'),
    ('a b c d e', '5 classes (d, e are new)'),
    ('a c', '2 classes (b is missing)'),
    ('a b d', '3 classes (d instead of c)'),
    ('c b a', '3 classes in another order (c, b, a)'),
    ('a c d e', '4 classes (d, e are new, b is missing)'),
  ],
)
def test_how_classes_differ(names, text):
  assert describe_classes(names.split(), ['a', 'b', 'c']) == text


@pytest.mark.parametrize(
  'before, after, moved',
  [
    # By name, for images that are no files.
    (dict(labeled=['a', 'b']), dict(labeled=['a'], unlabeled=['b']), 'b labeled unlabeled'),
    (dict(unlabeled=['a']), dict(val=['a']), 'a unlabeled val'),
    (dict(labeled=['a'], val=['a']), dict(labeled=['a']), ''),
    (dict(labeled=['a']), dict(labeled=['a'], val=['a']), ''),
    # By content: the same name may be of another image, and the same image may have another name.
    (dict(labeled=[('a', '1')]), dict(labeled=[('b', '2')], val=[('a', '3')]), ''),
    (dict(labeled=[('x/a', '1')]), dict(val=[('b', '1')]), 'b labeled val'),
    (dict(labeled=[('a', '1')]), dict(labeled=[('a', '1')], val=[('b', '1')]), ''),
    (dict(val=[('a', '1'), ('b', '1')]), dict(val=[('b', '1')]), ''),
  ],
)
def test_images_that_left_their_role(before, after, moved):
  texts = [' '.join(triple) for triple in find_moved(record(**before), record(**after))]
  assert texts == ([moved] if moved else [])


def test_changes_in_words():
  before = record(labeled=[('a', '1', '5'), ('b', '2', '6')], val=['v'])
  after = record(labeled=[('a', '1', '7'), ('b', '3', '6')], unlabeled=['x', 'y'], val=[])
  assert describe_changes(before, after) == [
    '1 labelled image changed (b)',
    '1 labelled mask changed (a)',
    '2 unlabelled images are new (x, y)',
    '1 validation image is gone (v)',
  ]


def test_accents_may_be_decomposed():
  before, after = record(labeled=['stra\u00dfe \u00e9']), record(labeled=['stra\u00dfe e\u0301'])
  assert describe_changes(before, after) == [] and not list(find_moved(before, after))


def check(tmp_path, before, after, **remedies):
  write_record(tmp_path, before)
  return check_images(tmp_path, after, remedies)


def test_another_directory_is_compared_by_content(tmp_path):
  before = record('A', labeled=[('1', 'x'), ('2', 'y')])
  assert check(tmp_path, before, record('B', labeled=[('1', 'x'), ('2', 'y')])) == [
    'data: A is now B'
  ]
  other = record('B', labeled=[('1', 'v'), ('2', 'w')])
  toy.assert_fails(
    lambda: check(tmp_path, before, other),
    'B has 0 of the 2 labelled images',
    '(1, 2 of A): set --config.data.root to those, or give another --workdir, or remove',
  )
  assert check(tmp_path, before, other._replace(root='A')) == [
    'since the last start 2 labelled images changed (1, 2)'
  ]


def test_the_remedy_of_a_changed_split_can_be_followed(tmp_path):
  (tmp_path / 'checkpoints' / '20').mkdir(parents=True)
  before = record(labeled=['a', 'b', 'c'], unlabeled=['d'], val=['v'])
  toy.assert_fails(
    lambda: check(
      tmp_path, before, record(labeled=['a', 'b'], unlabeled=['c', 'd']), labeled='--x'
    ),
    f'c was a labelled image at the last start of {tmp_path} and is now an unlabelled one: set --x '
    'to keep the split, or give another --workdir, where '
    f'--config.model.pretrained={tmp_path} starts from these',
  )
  with pytest.raises(Exception, match=r'put it back, or give another --workdir\.$'):
    check(tmp_path, before, record(labeled=['a', 'b'], val=['c']), labeled='--x')
  annotated = record(labeled=['a', 'b', 'c'], val=['v', 'd'])
  with pytest.raises(Exception, match=r'put it back or set --y and --x to keep the split, or give'):
    check(tmp_path, before, annotated, labeled='--x', val='--y')


def test_files_are_read_once(tmp_path):
  """Digests of files that have the same size and time are those of the last start."""
  data = folder.load(str(toy.write_folder(tmp_path / 'data', labeled=1, unlabeled=1, val=1)))
  sources = (data.train, data.unlabeled, data.val)
  first = record_images(str(tmp_path / 'data'), *sources, None)
  write_record(tmp_path, first)
  assert read_record(tmp_path) == first
  path = tmp_path / 'data/val/images/0.png'
  status, content = path.stat(), path.read_bytes()
  path.write_bytes(bytes(len(content)))
  os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
  assert record_images(str(tmp_path / 'data'), *sources, first) == first
  os.utime(path)
  assert describe_changes(first, record_images(str(tmp_path / 'data'), *sources, first)) == [
    '1 validation image changed (0)'
  ]


def test_masks_of_unlabelled_images_stay_closed(tmp_path):
  data = folder.load(str(toy.write_folder(tmp_path / 'data')))
  made = record_images('', data.train, data.train, data.val, None)
  assert made.unlabeled == {} and made.root == ''  # labelled images count as labelled
  made = record_images('', data.val, data.train, data.val, None)
  assert all(mask is None for _, mask in made.unlabeled.values()) and len(made.unlabeled) == 4


def test_values_of_masks_keep_their_classes(tmp_path):
  root = toy.write_folder(tmp_path / 'data')
  write_record(tmp_path, record_images('', *[folder.load(str(root)).train] * 3, None))
  shutil.copy(root / 'classes.txt', tmp_path / 'colours.txt')
  (root / 'classes.txt').write_text('ground 1 2 3\nbox\nball\n')  # of figures: masks have ids
  sources = [folder.load(str(root)).train] * 3
  assert check_images(tmp_path, record_images('', *sources, None)) == []
  sources = [folder.load(str(root), label_map='0:1,1:0').train] * 3
  toy.assert_fails(
    lambda: check_images(tmp_path, record_images('', *sources, None)), 'restore the class file'
  )


def test_a_damaged_record_is_named(tmp_path):
  (tmp_path / 'data.json').write_text(json.dumps({'root': 3}))
  toy.assert_fails(lambda: read_record(tmp_path), 'data.json is damaged', 'root')
  assert run_files.read_json(tmp_path / 'data.json') == {'root': 3}
