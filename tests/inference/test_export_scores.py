"""The mIoU of exported networks over validation images at their own sizes."""

import numpy as np
import pytest
import toy

from classmix_jax.inference.export.run_images import open_run_images
from classmix_jax.inference.export.score import describe_scores, score_networks


@pytest.fixture(scope='module')
def val(tmp_path_factory):
  directory = tmp_path_factory.mktemp('scores')
  config = toy.config(toy.write_folder(directory / 'data'), **{'data.size': (16, 24)})
  toy.start(config, directory / 'run')
  return open_run_images(directory / 'run').val


def test_scores(val, capsys):
  labels = {val.read_image(index).tobytes(): val.load_label(index) for index in range(len(val))}
  sizes = []

  def copy_labels(images):
    sizes.append(images.shape)
    return np.where(labels[images[0].tobytes()] == 255, 0, labels[images[0].tobytes()])[None]

  def find_ground(images):
    return np.zeros(images.shape[:3], np.uint8)

  miou = score_networks({'perfect': copy_labels, 'ground': find_ground}, val, 3)
  assert sizes == 3 * [(1, 32, 48, 3)]  # not the working size
  pixels = np.concatenate(list(labels.values()))
  share = (pixels == 0).sum() / (pixels != 255).sum()
  assert miou == {'perfect': 1, 'ground': pytest.approx(share / 3)}
  toy.assert_says(capsys.readouterr().out, 'the mIoU of perfect, ground: 3 to do', '3/3')


def test_text():
  text = describe_scores({'JAX': 0.47312, 'onnx int8': 0.468}, 101)
  assert text == 'mIoU on 101 validation images: JAX 47.31, onnx int8 46.80'
  assert describe_scores({'JAX': 1.0}, 1) == 'mIoU on 1 validation image: JAX 100.00'
