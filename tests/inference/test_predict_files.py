"""Predictions are written inside the output directory and replace no image or linked file."""

from pathlib import Path

import numpy as np
from PIL import Image
import pytest
import toy

from classmix_jax.data.files.image_io import read_image
from classmix_jax.errors import UserError
from classmix_jax.inference import predict_files
from classmix_jax.inference.predictor import Prediction


class Constant:
  """Predicts class 1 everywhere."""

  class_names, palette = ('a', 'b'), ((0, 0, 0), (255, 255, 255))

  def predict_all(self, images, batch_size):
    for image in images:
      yield Prediction(np.ones(image.shape[:2], np.uint8), np.ones(image.shape[:2], np.float32))


@pytest.fixture
def predict(monkeypatch, tmp_path):
  monkeypatch.setattr(predict_files, 'load', lambda *_, **__: Constant())
  return lambda source, output: predict_files.predict_files(
    tmp_path, str(source), Path(output), batch_size=2
  )


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
  with pytest.raises(UserError, match="both have the name 'x'"):
    predict('*/../../x.png', 'out')
  predict('a/../../x.png', 'out')
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
