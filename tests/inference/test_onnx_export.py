"""ONNX models have the logits of JAX, for images of any size, and few transpositions."""

from collections import Counter

import jax
import jaxtyping
import numpy as np
import pytest
from random_network import NETWORKS, build_trained, draw_images

from classmix_jax.errors import UserError
from classmix_jax.inference.export.network import exported_network
from classmix_jax.inference.export.trace import trace
from classmix_jax.inference.frame import Frame

onnx = pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')

ANY_SIZE = 'b, h, w'
SHAPES = [(1, 33, 47), (3, 97, 64)]


@pytest.fixture(autouse=True)
def _symbolic_sizes(monkeypatch):
  """Sizes are annotated as integers, which the tests check and symbolic sizes are not."""
  monkeypatch.setattr(jaxtyping.config, 'jaxtyping_disable', True)


def write(trained, path, sizes=ANY_SIZE):
  """Writes the model of a network; returns operator -> number of nodes."""
  from classmix_jax.inference.export.onnx.write import write_onnx

  write_onnx(trace(exported_network(trained), sizes), path)
  return Counter(node.op_type for node in onnx.load(path).graph.node)


def check(trained, path, shapes=SHAPES, sizes=ANY_SIZE):
  """Compares a network with its model; returns operator -> number of nodes."""
  operators, network = write(trained, path, sizes), exported_network(trained)
  session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
  expected = jax.jit(network)
  for shape in shapes:
    images = draw_images(*shape)
    names = [output.name for output in session.get_outputs()]
    assert names == ['confidence', 'label', 'logits']
    ours = dict(zip(names, session.run(names, {'images': images}), strict=True))
    theirs = {name: np.asarray(value) for name, value in expected(images).items()}
    for name in ('logits', 'confidence'):
      difference = np.abs(ours[name] - theirs[name]).max() / np.abs(theirs[name]).max()
      assert difference < 1e-5, f'{name} differs by {difference:.1e}'
    # If two classes are within rounding of each other, either may win.
    assert (ours['label'] == theirs['label']).mean() > 0.999
    assert all(ours[name].dtype == value.dtype for name, value in theirs.items())
  return operators


def test_tiny(tmp_path):
  check(build_trained('tiny', 'conv3x3'), tmp_path / 'model.onnx')


def test_resnet(tmp_path):
  """Features have the channels second from the first convolution to the logits."""
  trained = build_trained('resnet18', 'deeplab_v2')
  operators = check(trained, tmp_path / 'model.onnx', SHAPES[:1])
  assert operators['Transpose'] == 2
  # Every bias and ReLU is one of a convolution, or of a shortcut.
  assert operators['Conv'] == 22 and operators['MaxPool'] == 1 and operators['Relu'] == 17
  assert {'Expand', 'Einsum', 'Gather', 'Loop', 'If'} & set(operators) == set()


def test_depthwise_convolutions(tmp_path):
  operators = write(build_trained('efficientnet_lite0', 'unet_small'), tmp_path / 'model.onnx')
  assert operators['Clip'] == 32 and operators['Transpose'] == 2 and operators['Resize'] == 5


def test_vision_transformer(tmp_path):
  """The functions that runtimes have as a whole are single operations."""
  operators = write(build_trained('dinov2_small', 'linear'), tmp_path / 'model.onnx')
  assert operators['Softmax'] == operators['Erf'] == 12
  assert operators['LayerNormalization'] == 24
  # Queries, keys, values and results of each block; a few for patches, positions and logits.
  assert operators['Transpose'] < 12 * 4 + 9


@pytest.mark.slow
@pytest.mark.parametrize('frame', [Frame(size=(64, 80)), Frame(multiple=16), Frame(pad=(70, 75))])
def test_sizes_at_which_images_are_seen(frame, tmp_path):
  check(build_trained('tiny', 'deeplab_v2', frame), tmp_path / 'model.onnx', SHAPES[:1])


def test_a_model_of_one_size(tmp_path):
  trained = build_trained('tiny', 'unet_small')
  operators = check(trained, tmp_path / 'model.onnx', [(1, 33, 47)], '1, 33, 47')
  assert operators['Shape'] == 0


def test_models_of_more_than_two_gigabytes(tmp_path, monkeypatch):
  from classmix_jax.inference.export.onnx import write as module

  monkeypatch.setattr(module, 'LARGEST', 10**6)
  network = exported_network(build_trained('tiny', 'conv3x3'))
  with pytest.raises(UserError, match='has 0.0 GB, and one file holds at most 2.1 GB; .* stable'):
    module.write_onnx(trace(network, ANY_SIZE), tmp_path / 'model.onnx')
  assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize('backbone, head', NETWORKS)
def test_every_network(backbone, head, tmp_path):
  stem = head == 'refine' and backbone.startswith('dinov2')
  operators = check(build_trained(backbone, head, stem=stem), tmp_path / 'model.onnx', SHAPES[1:])
  if not backbone.startswith('dinov2'):
    assert operators['Transpose'] == 2
