"""Predictions are written inside the output directory and replace no image or linked file."""

import errno
import os
from pathlib import Path

import numpy as np
from PIL import Image
import pytest
import toy

from classmix_jax.data.files.image_io import read_image
from classmix_jax.errors import UserError
from classmix_jax.inference import predict_files, predict_inputs, result_files
from classmix_jax.inference.as_array import as_array
from classmix_jax.inference.predictor import Prediction


class Constant:
  """Predicts class 1 everywhere."""

  class_names, palette = ('a', 'b'), ((0, 0, 0), (250, 20, 20))

  def read(self, image):
    return as_array(image)

  def predict_rgb(self, image):
    return Prediction(np.ones(image.shape[:2], np.uint8), np.ones(image.shape[:2], np.float32))


@pytest.fixture
def predict(monkeypatch, tmp_path):
  monkeypatch.setattr(predict_files, 'load', lambda *_, **__: Constant())
  return lambda source, output: predict_files.predict_files(tmp_path, str(source), Path(output))


def test_links_in_the_output_directory(predict, tmp_path):
  """A link in place of a result is replaced; a linked directory is refused."""
  toy.save(tmp_path / 'in/a.png', np.zeros((2, 3, 3)))
  toy.save(tmp_path / 'in/sub/b.png', np.zeros((2, 3, 3)))
  (tmp_path / 'secret.txt').write_text('kept')
  (tmp_path / 'elsewhere').mkdir()
  output = tmp_path / 'out'
  output.mkdir()
  for name in ('a.png', 'a_overlay.png', 'classes.json'):
    (output / name).symlink_to(tmp_path / 'secret.txt')
  predict(tmp_path / 'in/a.png', output)
  assert (tmp_path / 'secret.txt').read_text() == 'kept'
  assert np.asarray(Image.open(output / 'a.png')).tolist() == [[1] * 3] * 2
  (output / 'sub').symlink_to(tmp_path / 'elsewhere')
  with pytest.raises(UserError, match='out/sub is a link that leads out of .*out: remove it'):
    predict(tmp_path / 'in', output)
  assert not list((tmp_path / 'elsewhere').iterdir())


def test_an_output_directory_may_be_a_link(predict, tmp_path):
  toy.save(tmp_path / 'in/a.png', np.zeros((2, 3, 3)))
  (tmp_path / 'real').mkdir()
  (tmp_path / 'out').symlink_to(tmp_path / 'real')
  predict(tmp_path / 'in', tmp_path / 'out')
  assert (tmp_path / 'real/a_confidence.png').exists()


def test_globs_with_parent_directories(predict, tmp_path, monkeypatch):
  """Results of '*/../../x' are named after the file, not after the pattern."""
  toy.save(tmp_path / 'x.png', np.zeros((2, 3, 3)))
  for name in ('a', 'b'):
    (tmp_path / 'work' / name).mkdir(parents=True)
  monkeypatch.chdir(tmp_path / 'work')
  before = set(tmp_path.rglob('*'))
  predict('*/../../x.png', 'out')  # matches the image twice
  new = set(tmp_path.rglob('*')) - before
  assert {path.name for path in new} == {
    'out',
    'x.png',
    'x_overlay.png',
    'x_confidence.png',
    'classes.json',
  }
  assert all(path.is_relative_to(tmp_path / 'work/out') for path in new)


def test_an_image_is_not_replaced_by_its_prediction(predict, tmp_path):
  path = toy.save(tmp_path / 'in/a.png', np.full((2, 3, 3), 9))
  with pytest.raises(UserError, match='would replace the image .*a.png.* choose another directory'):
    predict(tmp_path / 'in', tmp_path / 'in')
  assert read_image(path).max() == 9


def names_below(directory):
  return {path.relative_to(directory).as_posix() for path in directory.rglob('*.png')}


def test_an_output_directory_below_the_input_is_left_out_of_it(predict, tmp_path, capsys):
  camera = tmp_path / 'cam'
  for index in range(3):
    toy.save(camera / f'v{index}.png', np.zeros((2, 3, 3)))
  predict(camera, camera / 'out')
  assert 'wrote class ids, overlays and confidence of 3 images' in capsys.readouterr().out
  toy.save(camera / 'new.png', np.zeros((2, 3, 3)))
  for _ in range(2):
    predict(camera, camera / 'out')
    printed = capsys.readouterr().out
    assert 'of 4 images' in printed
    assert f'note: {camera / "out"} is left out: the directory of the results.' in printed
  assert len(names_below(camera)) == 4 + 12 and not (camera / 'out/out').exists()
  predict(camera / '**/*.png', camera / 'elsewhere')  # results of another directory
  assert len(names_below(camera / 'elsewhere')) == 12


def test_results_beside_the_images_are_no_images(predict, tmp_path, capsys):
  toy.save(tmp_path / 'in/a.jpg', np.zeros((8, 8, 3)))
  for _ in range(2):
    predict(tmp_path / 'in', tmp_path / 'in')
    assert 'of 1 images' in capsys.readouterr().out
  assert names_below(tmp_path / 'in') == {'a.png', 'a_overlay.png', 'a_confidence.png'}
  (tmp_path / 'in/a.jpg').unlink()
  with pytest.raises(UserError, match='a directory without images that are read.*results of pred'):
    predict(tmp_path / 'in', tmp_path / 'out')


def test_inputs_that_are_not_read_are_named(predict, tmp_path, capsys):
  (tmp_path / 'in').mkdir()
  for name in ('a.pdf', 'b.pdf', 'Thumbs.db'):
    (tmp_path / 'in' / name).write_bytes(b'x')
  with pytest.raises(UserError, match=r'without images that are read. 2 files \*.pdf are not read'):
    predict(tmp_path / 'in', tmp_path / 'out')
  with pytest.raises(UserError, match=r'a.pdf is a file \*.pdf, which is not read: export'):
    predict(tmp_path / 'in/a.pdf', tmp_path / 'out')
  with pytest.raises(UserError, match=r'matches any. 2 files \*.pdf are not read'):
    predict(tmp_path / 'in/*', tmp_path / 'out')
  toy.save(tmp_path / 'in/c.png', np.zeros((2, 3, 3)))
  predict(tmp_path / 'in/*', tmp_path / 'out')
  printed = capsys.readouterr().out
  assert 'note: 2 files *.pdf' in printed and 'of 1 images' in printed


def test_results_that_cannot_be_written_are_reported_and_the_others_finished(
  predict, tmp_path, capsys
):
  long = '水管接头不锈钢厨房水槽下水器配件' * 5 + 'abcd'  # 244 bytes; a result has 259
  for name in ('a_first', long, 'z_last'):
    toy.save(tmp_path / f'in/{name}.png', np.zeros((2, 3, 3)))
  with pytest.raises(UserError, match='1 of 3 images were left out, .* results of .*rename'):
    predict(tmp_path / 'in', tmp_path / 'out')
  assert {name[:7] for name in names_below(tmp_path / 'out')} == {
    'a_first',
    'z_last.',
    'z_last_',
  }
  assert (tmp_path / 'out/classes.json').exists() and len(list((tmp_path / 'out').iterdir())) == 7


@pytest.mark.parametrize('error', [errno.ENOSPC, errno.EROFS])
def test_a_full_disk_ends_in_a_sentence(predict, tmp_path, monkeypatch, error):
  for name in ('a', 'b', 'c'):
    toy.save(tmp_path / f'in/{name}.png', np.zeros((2, 3, 3)))

  def fail(path, image):
    if path.name.startswith('b'):
      raise OSError(error, os.strerror(error), str(path))
    path.touch()

  monkeypatch.setattr(result_files, 'write_png', fail)
  remedy = {errno.ENOSPC: 'free disk space', errno.EROFS: 'give write permission'}[error]
  with pytest.raises(
    UserError, match=f'out cannot be written .*: {remedy}, or choose .* 1 of 3 images are finished'
  ):
    predict(tmp_path / 'in', tmp_path / 'out')
  names = {path.name for path in (tmp_path / 'out').iterdir()}
  assert names == {'a.png', 'a_overlay.png', 'a_confidence.png', 'classes.json'}
  (tmp_path / 'file').write_text('x')
  with pytest.raises(UserError, match='file cannot be written'):
    predict(tmp_path / 'in', tmp_path / 'file')


def test_class_files_of_others_are_not_replaced(predict, tmp_path):
  toy.save(tmp_path / 'in/a.png', np.zeros((2, 3, 3)))
  path = tmp_path / 'out/classes.json'
  path.parent.mkdir()
  path.write_text('{"names": ["a"], "palette": [[0, 0, 0]]}')  # of a training run
  with pytest.raises(UserError, match='would replace .*out/classes.json, which has other content'):
    predict(tmp_path / 'in', tmp_path / 'out')
  assert names_below(tmp_path / 'out') == set()
  path.write_text('{"0": "old"}')
  predict(tmp_path / 'in', tmp_path / 'out')
  assert path.read_text() == '{\n  "0": "a",\n  "1": "b"\n}\n'


def test_ids_are_a_palette_image(predict, tmp_path):
  toy.save(tmp_path / 'in/a.png', np.zeros((2, 3, 3)))
  predict(tmp_path / 'in', tmp_path / 'out')
  with Image.open(tmp_path / 'out/a.png') as image:
    assert image.mode == 'P' and np.asarray(image).tolist() == [[1] * 3] * 2
    assert image.convert('RGB').getpixel((0, 0)) == (250, 20, 20)


class Vanishing(Constant):
  """Removes an image while another is predicted."""

  def __init__(self, path):
    self.path = path

  def predict_rgb(self, image):
    self.path.unlink(missing_ok=True)
    return super().predict_rgb(image)


def test_images_without_names_and_vanishing_images_are_reported(
  predict, tmp_path, monkeypatch, capsys
):
  for name in ('a', 'b', 'c\n', 'd'):
    toy.save(tmp_path / f'in/{name}.png', np.zeros((2, 3, 3)))
  monkeypatch.setattr(predict_files, 'load', lambda *_, **__: Vanishing(tmp_path / 'in/b.png'))
  with pytest.raises(UserError, match='2 of 4 images were left out, the others are finished'):
    predict(tmp_path / 'in', tmp_path / 'out')
  printed = capsys.readouterr().out
  assert 'left out: ' in printed and 'control characters' in printed and 'of 2 images' in printed
  assert (tmp_path / 'out/d_overlay.png').exists()


@pytest.mark.parametrize('error', [MemoryError(), KeyboardInterrupt()])
def test_exhausted_memory_and_interruptions(predict, tmp_path, monkeypatch, error):
  class Failing(Constant):
    def predict_rgb(self, image):
      if image.shape[0] == 5:
        raise error
      return super().predict_rgb(image)

  toy.save(tmp_path / 'in/a.png', np.zeros((2, 3, 3)))
  toy.save(tmp_path / 'in/b.png', np.zeros((5, 3, 3)))
  monkeypatch.setattr(predict_files, 'load', lambda *_, **__: Failing())
  expected = {
    MemoryError: (UserError, "'b' has 3 x 5 pixels, for which the memory"),
    KeyboardInterrupt: (KeyboardInterrupt, '^1 of 2 images are finished in .*; the same command'),
  }
  kind, part = expected[type(error)]
  with pytest.raises(kind, match=part):
    predict(tmp_path / 'in', tmp_path / 'out')
  assert names_below(tmp_path / 'out') == {'a.png', 'a_overlay.png', 'a_confidence.png'}


def test_an_interrupted_write_leaves_no_results(tmp_path, monkeypatch):
  def stop(path, image):
    if 'confidence' in path.name:
      raise KeyboardInterrupt
    image.save(path)

  monkeypatch.setattr(result_files, 'write_png', stop)
  image = np.zeros((2, 3, 3), np.uint8)
  prediction = Constant().predict_rgb(image)
  with pytest.raises(KeyboardInterrupt):
    result_files.write_results(tmp_path, 'a', image, prediction, Constant.palette)
  assert not list(tmp_path.iterdir())


def test_a_video_that_ends_early_keeps_its_frames(predict, tmp_path, monkeypatch):
  def read_frames(video):
    yield 0, np.zeros((2, 3, 3), np.uint8)
    raise UserError(f'{video} cannot be read as a video: cut')

  monkeypatch.setattr(predict_inputs, 'count_frames', lambda video: None)
  monkeypatch.setattr(predict_inputs, 'read_frames', read_frames)
  (tmp_path / 'v.mp4').touch()
  with pytest.raises(UserError, match='1 of 2 images were left out.* as a video: cut'):
    predict(tmp_path / 'v.mp4', tmp_path / 'out')
  assert (tmp_path / 'out/v/000000.png').exists()
