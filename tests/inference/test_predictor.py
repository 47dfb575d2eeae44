"""Prediction of images of any kind and size, from a run's directory alone."""

import sys
import types

import jax
import numpy as np
from PIL import Image
import pytest
import toy

import classmix_jax
from classmix_jax.config.load import read_config
from classmix_jax.config.trained import trained_setup
from classmix_jax.errors import UserError
from classmix_jax.inference.predict_files import predict_files
from classmix_jax.inference.predict_inputs import find_inputs
from classmix_jax.inference.result_names import check_results
from classmix_jax.inference.video import read_frames


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  directory = tmp_path_factory.mktemp('predict')
  return toy.write_run(directory / 'run', toy.write_folder(directory / 'data'))


@pytest.fixture(scope='module')
def trained(run):
  return classmix_jax.load(str(run))


def test_kinds_of_images(trained, tmp_path):
  image = toy.draw(5)[0]
  Image.fromarray(image).save(tmp_path / 'x.png')
  label, confidence = trained.predict(image)
  assert label.shape == confidence.shape == image.shape[:2]
  assert label.dtype == np.uint8 and label.max() < len(trained.class_names) == len(toy.CLASSES)
  assert 1 / len(toy.CLASSES) <= confidence.min() and confidence.max() <= 1
  for other in (str(tmp_path / 'x.png'), tmp_path / 'x.png', Image.fromarray(image)):
    np.testing.assert_array_equal(trained.predict(other).label, label)
  with pytest.raises(ValueError, match=r'is int64 of shape \(2, 2\); expected is \[H, W\]'):
    trained.predict(np.zeros((2, 2), np.int64))


def test_neighbours_do_not_change_a_prediction(trained):
  """Sizes change on the way; ids and confidences are equal bit for bit."""
  images = [toy.draw(index)[0] for index in range(4)]
  images = [*images[:3], images[3][:29, :41], images[3][:29, :40], images[0][:60, :50]]
  result = list(trained.predict_all(images))
  for image, (label, confidence) in zip(images, result, strict=True):
    alone = trained.predict(image)
    assert label.shape == image.shape[:2]
    np.testing.assert_array_equal(label, alone.label)
    np.testing.assert_array_equal(confidence, alone.confidence)


@pytest.mark.slow
def test_windows(tmp_path):
  """A run evaluated by sliding windows predicts with them an image larger than any crop."""
  from classmix_jax.evaluation.eval_step import predict

  root = toy.write_folder(tmp_path / 'data')
  run = toy.write_run(
    tmp_path / 'run',
    root,
    **{'eval.protocol': 'sliding', 'eval.window': (32, 32), 'eval.stride': (16, 16)},
  )
  trained = classmix_jax.load(run)
  image = np.concatenate([toy.draw(index)[0] for index in range(2)], axis=1)[:, :80]
  label, _ = trained.predict(image)
  method, evaluation = trained_setup(read_config(run), len(toy.CLASSES))
  padded = np.pad(image, [(0, 0), (0, 16), (0, 0)])[None]
  valid = np.arange(96)[None, None, :].repeat(32, 1) < 80
  score = jax.jit(
    lambda image, valid: predict(method.model, trained.variables, image, valid, evaluation.protocol)
  )(padded, valid)
  np.testing.assert_array_equal(label, np.argmax(score[0, :, :80], -1))


def test_folders(run, trained, tmp_path):
  (tmp_path / 'in' / 'a b').mkdir(parents=True)
  Image.fromarray(toy.draw(5)[0]).save(tmp_path / 'in' / 'a b' / 'x.png')
  Image.fromarray(toy.draw(6)[0][:29, :41]).save(tmp_path / 'in' / 'y.jpg')
  predict_files(run, str(tmp_path / 'in'), tmp_path / 'out')
  assert Image.open(tmp_path / 'out' / 'y.png').size == (41, 29)
  assert Image.open(tmp_path / 'out' / 'a b' / 'x_overlay.png').size == (toy.WIDTH, toy.HEIGHT)
  label, confidence = trained.predict(toy.draw(5)[0])

  def written(name):
    return np.asarray(Image.open(tmp_path / 'out' / 'a b' / name))

  np.testing.assert_array_equal(written('x.png'), label)
  np.testing.assert_allclose(written('x_confidence.png') / 255, confidence, atol=0.5 / 255)


def test_the_others_are_finished(run, tmp_path):
  (tmp_path / 'in').mkdir()
  (tmp_path / 'in' / 'bad.jpg').write_bytes(b'\xff\xd8\xff\xe0 no image')
  Image.fromarray(toy.draw(5)[0]).save(tmp_path / 'in' / 'good.png')
  with pytest.raises(UserError, match='1 of 2 images were left out.*bad.jpg'):
    predict_files(run, str(tmp_path / 'in'), tmp_path / 'out')
  assert (tmp_path / 'out' / 'good.png').exists()


def test_globs(tmp_path):
  for name in ('a/1.png', 'a/2.png', 'b/1.png', 'b/1.dat', 'b/1.txt'):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    Image.new('RGB', (2, 3)).save(tmp_path / name, 'png')

  def names(pattern):
    return [image.name for image in find_inputs(str(tmp_path / pattern)).images]

  assert names('**/1.png') == ['a/1', 'b/1'] and names('a/*.png') == ['1', '2']
  assert names('a/2.png') == ['2']
  with pytest.raises(UserError, match="both have the name '1'"):
    check_results(find_inputs(str(tmp_path / 'b' / '*')).images, tmp_path / 'out')
  with pytest.raises(UserError, match='neither an image, .*, a directory with images nor a glob'):
    find_inputs(str(tmp_path / '*.jpg'))


def test_video(run, tmp_path):
  av = pytest.importorskip('av', reason='PyAV is not installed')
  path = tmp_path / 'drive.mp4'
  with av.open(str(path), 'w') as container:
    stream = container.add_stream('mpeg4', rate=5)
    stream.width, stream.height = 48, 32
    for index in range(3):
      image = np.full((32, 48, 3), 80 * index, np.uint8)
      container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format='rgb24')))
    container.mux(stream.encode())
  predict_files(run, str(path), tmp_path / 'out')
  frames = sorted((tmp_path / 'out' / 'drive').glob('*_overlay.png'))
  assert [frame.name[:6] for frame in frames] == ['000000', '000001', '000002']
  path.write_bytes(b'no video')
  with pytest.raises(UserError, match='drive.mp4 cannot be read as a video'):
    list(find_inputs(str(path)).images)


def test_video_without_its_library(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'av', None)
  (tmp_path / 'a.mp4').touch()
  with pytest.raises(UserError, match=r"pip install 'classmix_jax\[video\]'"):
    next(find_inputs(str(tmp_path / 'a.mp4')).images)


def test_unreadable_video(tmp_path, monkeypatch):
  class FFmpegError(Exception):
    pass

  def fail(name):
    raise FFmpegError('moov atom not found')

  av = types.SimpleNamespace(open=fail, error=types.SimpleNamespace(FFmpegError=FFmpegError))
  monkeypatch.setitem(sys.modules, 'av', av)
  toy.assert_fails(
    lambda: next(read_frames(tmp_path / 'x.mp4')), 'x.mp4 cannot be read as a video', 'moov atom'
  )
