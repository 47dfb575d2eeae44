"""Copies on the disk: what they return, and what a crash or a bad file leaves of them."""

import json
from pathlib import Path
import random
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
from PIL import Image
import pytest
import toy

from classmix_jax.data import disk_cache
from classmix_jax.data.disk_cache import copy_images, copy_labels
from classmix_jax.data.files.file_source import image_source
from classmix_jax.data.files.find_images import find_images
from classmix_jax.data.source import Source
from classmix_jax.datasets import folder
from classmix_jax.errors import UserError

SIZES = [(3, 4), (5, 2), (1, 1), (6, 6), (2, 3)]


def make_source(calls=None, bad=(), version='1'):
  """Frames of unequal sizes; `calls` records what is decoded, `bad` does not decode."""
  calls = [] if calls is None else calls

  def read(kind, i):
    calls.append((kind, i))
    if i in bad:
      raise UserError(f'{i}.png does not decode: copy it again')
    shape = (*SIZES[i], 3) if kind == 'image' else SIZES[i]
    return np.random.default_rng(i).integers(0, 256, shape, np.uint8)

  return Source(
    tuple(map(str, range(5))),
    lambda i: read('image', i),
    lambda i: read('label', i),
    version=lambda: version,
  )


def place_of(directory):
  (place,) = directory.iterdir()
  return place


def test_a_copy_holds_the_same_bytes_and_decodes_nothing_again(tmp_path):
  calls = []
  for _ in range(2):
    copied = copy_labels(copy_images(make_source(calls), tmp_path), tmp_path)
    for i, plain in enumerate([make_source()] * 5):
      np.testing.assert_array_equal(copied.read_image(i), plain.read_image(i))
      np.testing.assert_array_equal(copied.read_label(i), plain.read_label(i))
  assert sorted(calls) == [(kind, i) for kind in ('image', 'label') for i in range(5)]


def test_copying_images_opens_no_label(tmp_path):
  calls = []
  copy_images(make_source(calls), tmp_path)
  assert {kind for kind, _ in calls} == {'image'}


def test_another_version_is_another_copy(tmp_path):
  copy_images(make_source(version='1'), tmp_path)
  copy_images(make_source(version='2'), tmp_path)
  assert len(list(tmp_path.iterdir())) == 2


def test_an_edited_file_is_read_anew(tmp_path):
  path = tmp_path / 'images' / 'a.png'
  path.parent.mkdir()
  for value in (10, 20):
    Image.fromarray(np.full((2 + value // 10, 2, 3), value, np.uint8)).save(path)
    source = image_source(find_images(path.parent))
    assert copy_images(source, tmp_path / 'copies').read_image(0).max() == value


def test_a_source_without_a_version_is_not_copied(tmp_path):
  source = Source(('a',), lambda i: np.zeros((1, 1, 3), np.uint8))
  assert copy_images(source, tmp_path).read_image is source.read_image
  assert not list(tmp_path.iterdir())


def test_bad_files_are_all_named_and_the_others_are_kept(tmp_path):
  with pytest.raises(UserError, match='1.png does not decode.* 2 of 5 images .*: 1, 3'):
    copy_images(make_source(bad=(1, 3)), tmp_path)
  assert not (place_of(tmp_path) / 'index.jsonl').exists()
  calls = []
  copied = copy_images(make_source(calls), tmp_path)  # the files were mended
  assert sorted(calls) == [('image', 1), ('image', 3)]
  for i in range(5):
    np.testing.assert_array_equal(copied.read_image(i), make_source().read_image(i))


class Killed(BaseException):
  pass


@pytest.mark.parametrize('when', range(9))
def test_killed_at_any_write_and_started_again(tmp_path, monkeypatch, when):
  """Every flush may be the last: what counts as done is whole, the rest is made again."""
  monkeypatch.setattr(disk_cache, 'CHUNK', 2)
  real, count = disk_cache._sync, iter(range(100))

  def sync(file):
    real(file)
    if next(count) == when:
      file.write(b'torn' if 'b' in file.mode else '[3, [1')  # what a crash may leave behind
      real(file)
      raise Killed

  monkeypatch.setattr(disk_cache, '_sync', sync)
  try:
    copy_images(make_source(), tmp_path)
  except Killed:
    assert not (place_of(tmp_path) / 'index.jsonl').exists()
  monkeypatch.setattr(disk_cache, '_sync', real)
  calls = []
  copied = copy_images(make_source(calls), tmp_path)
  assert len(calls) == max(0, 5 - 2 * ((when + 1) // 2)) if when < 6 else not calls
  for i in range(5):
    np.testing.assert_array_equal(copied.read_image(i), make_source().read_image(i))
  rows = (place_of(tmp_path) / 'index.jsonl').read_text().splitlines()
  assert sorted(json.loads(row)[0] for row in rows) == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_a_process_killed_at_random_moments_loses_no_chunk(tmp_path):
  program = textwrap.dedent("""
      from pathlib import Path
      import sys, time
      import numpy as np
      from classmix_jax.data import disk_cache
      from classmix_jax.data.source import Source
      disk_cache.CHUNK = 8
      def read(i):
        time.sleep(0.01)
        print('decoded', flush=True)
        return np.random.default_rng(i).integers(0, 256, (1 + i % 7, 300, 3), np.uint8)
      source = Source(tuple(map(str, range(400))), read, version=lambda: '1')
      copied = disk_cache.copy_images(source, Path(sys.argv[1]))
      for i in range(400):
        np.testing.assert_array_equal(copied.read_image(i), read(i))
      print('whole')
  """)
  command = [sys.executable, '-c', program, str(tmp_path)]
  root = Path(__file__).resolve().parents[2]
  moments = random.Random(0)
  finished = 0
  for _ in range(6):
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().startswith('preparing')
    time.sleep(moments.uniform(0.0, 0.4))
    process.send_signal(signal.SIGKILL)
    decoded = process.communicate()[0].count('decoded')
    rows = len((place_of(tmp_path) / 'rows.jsonl').read_text().splitlines())
    assert not (place_of(tmp_path) / 'index.jsonl').exists()
    assert rows >= finished and rows >= finished + decoded - 8, 'more than a chunk is lost'
    finished = rows
  assert 0 < finished < 400, 'no kill met the preparing half done'
  ended = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
  assert ended.stdout.endswith('whole\n')
  assert ended.stdout.count('decoded') == 400 - finished + 400  # the second 400 compare


def test_a_damaged_copy_is_not_trusted(tmp_path):
  copy_images(make_source(), tmp_path)
  with open(place_of(tmp_path) / 'arrays.bin', 'ab') as file:
    file.truncate(10)
  with pytest.raises(UserError, match='is damaged .*remove it'):
    copy_images(make_source(), tmp_path)


def test_a_full_disk_is_named_before_it_is_full(tmp_path, monkeypatch):
  usage = disk_cache.shutil.disk_usage(tmp_path)
  monkeypatch.setattr(disk_cache.shutil, 'disk_usage', lambda _: usage._replace(free=100))
  with pytest.raises(UserError, match='0.0 GB free and needs .*copy_root=DIR'):
    copy_images(make_source(), tmp_path)


def test_a_directory_that_cannot_be_written(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(UserError, match='cannot be written .*copy_root=DIR'):
    copy_images(make_source(), tmp_path / 'file')


def test_real_files(tmp_path):
  dataset = folder.load(str(toy.write_folder(tmp_path / 'data')), (16, 24))
  copied = copy_labels(copy_images(dataset.train, tmp_path), tmp_path)
  for i in range(len(dataset.train)):
    np.testing.assert_array_equal(copied.read_image(i), dataset.train.read_image(i))
    np.testing.assert_array_equal(copied.read_label(i), dataset.train.read_label(i))
