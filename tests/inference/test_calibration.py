"""Images for a calibration: of the run or of a directory, at their own sizes or fitted to one."""

import shutil

import numpy as np
from PIL import Image
import pytest
import toy

from classmix_jax.data.files.image_io import read_image
from classmix_jax.errors import UserError
from classmix_jax.inference.export.calibration import open_calibration
from classmix_jax.inference.export.run_images import open_run_images
from classmix_jax.workdir import run_files


def write_run(directory, **fields):
  """Starts a run on images of 32 x 48 that it resizes to 16 x 24; returns its directory."""
  config = toy.config(toy.write_folder(directory / 'data'), **{'data.size': (16, 24)} | fields)
  toy.start(config, directory / 'run')
  return directory / 'run'


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  return write_run(tmp_path_factory.mktemp('calibration'))


def read_unlabeled(run):
  files = sorted((run.parent / 'data' / 'unlabeled' / 'images').iterdir())
  return [read_image(file)[None] for file in files]


def test_unlabeled_images_of_the_run(run):
  images = open_calibration(run)
  assert images.description == '6 of 6 images of the run' and not images.notes
  np.testing.assert_array_equal(list(images), read_unlabeled(run))
  few = open_calibration(run, count=3)
  assert len(few) == 3 and few.description == '3 of 6 images of the run'
  np.testing.assert_array_equal(list(few), [read_unlabeled(run)[index] for index in (0, 2, 5)])


def test_a_run_without_unlabeled_images_gives_its_labeled_ones(tmp_path):
  data = toy.write_folder(tmp_path / 'data', unlabeled=0)
  toy.start(toy.config(data, 'method=supervised'), tmp_path / 'run')
  assert open_calibration(tmp_path / 'run').description == '4 of 4 images of the run'


def test_sizes(run, tmp_path):
  toy.save(tmp_path / 'a.png', np.arange(32 * 48 * 3).reshape(32, 48, 3) % 256)
  row = np.repeat([10, 20, 30, 40], 2)  # four columns of 2 pixels
  toy.save(tmp_path / 'b.png', np.broadcast_to(row[None, :, None], (4, 8, 3)))
  toy.save(tmp_path / 'grey.png', np.full((5, 7), 9))
  images = open_calibration(run, str(tmp_path))
  assert [image.shape for image in images] == [(1, 32, 48, 3), (1, 4, 8, 3), (1, 5, 7, 3)]
  fitted = list(images.fitted(32, 48))
  assert [image.shape for image in fitted] == 3 * [(1, 32, 48, 3)]
  np.testing.assert_array_equal(fitted[0], next(iter(images)))
  # A square of the center: of 4 x 8 pixels the columns 2 to 5.
  square = list(images.fitted(4, 4))[1]
  assert square[0, 0, :, 0].tolist() == [20, 20, 30, 30]


def test_bands_are_those_of_the_run(tmp_path):
  run = write_run(tmp_path, **{'data.bands': '3,2,1'})
  toy.save(tmp_path / 'new' / 'a.png', np.full((4, 4, 3), (1, 2, 3)))
  (image,) = open_calibration(run, str(tmp_path / 'new'))
  assert image[0, 0, 0].tolist() == [3, 2, 1]
  np.testing.assert_array_equal(list(open_calibration(run)), np.flip(read_unlabeled(run), -1))


def test_unreadable_images_are_left_out(run, tmp_path):
  toy.save(tmp_path / 'good.png', np.zeros((4, 4, 3)))
  (tmp_path / 'bad.png').write_bytes(b'no image')
  images = open_calibration(run, str(tmp_path))
  assert len(images) == 1 and images.description == f'1 of 2 images of {tmp_path}'
  toy.assert_says(*images.notes, 'bad.png')
  (tmp_path / 'good.png').unlink()
  toy.assert_fails(lambda: open_calibration(run, str(tmp_path)), 'readable', 'bad.png')


def test_without_images(run, tmp_path):
  for directory in (tmp_path, tmp_path / 'missing'):
    toy.assert_fails(
      lambda directory=directory: open_calibration(run, str(directory)),
      f'--calibration={directory} is',
    )
  copy = shutil.copytree(run, tmp_path / 'run')
  shutil.move(run.parent / 'data', tmp_path / 'moved')
  try:
    toy.assert_fails(lambda: open_calibration(copy), run.parent / 'data', '--calibration=DIR gives')
    with pytest.raises(UserError, match='which is not a directory now'):
      open_run_images(copy)
  finally:
    shutil.move(tmp_path / 'moved', run.parent / 'data')
  run_files.write_split(copy, ['x'], ['y'], [])
  toy.assert_fails(lambda: open_calibration(copy), 'no image of', '--calibration=DIR gives')


def test_a_damaged_image_of_the_run(tmp_path):
  run = write_run(tmp_path)
  file = tmp_path / 'data' / 'unlabeled' / 'images' / '3.jpg'
  file.write_bytes(file.read_bytes()[:50])
  images = open_calibration(run)
  assert len(images) == 5
  toy.assert_says(*images.notes, '3.jpg')
  assert all(Image.fromarray(image[0]).size == (48, 32) for image in images)
