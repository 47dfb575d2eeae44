"""U-Nets and FPNs against those of segmentation-models-pytorch, with equal random weights."""

import sys

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from smp_names import fpn_module, torch_name, unet_module

from classmix_jax.core.losses import cross_entropy
from classmix_jax.models.backbones import BACKBONES
from classmix_jax.models.backbones.preprocessing import Preprocessing
from classmix_jax.models.heads import HEADS
from classmix_jax.models.pyramid import build_backbone
from classmix_jax.models.segmenter import build_segmenter, forward, initialize
from classmix_jax.pretrained.layouts.layout import Layout
from classmix_jax.types import AXIS

torch = pytest.importorskip('torch')
# Triton and TensorFlow crash in one process (both have LLVM); without triton torch does not use it.
sys.modules.setdefault('triton', None)  # type: ignore[arg-type]
smp = pytest.importorskip('segmentation_models_pytorch')
imitate_tensorflow = pytest.importorskip('smp_tensorflow').imitate_tensorflow

AS_IT_IS = Preprocessing('rgb', (0.0,) * 3, (1.0,) * 3, 1.0)
CLASSES, SIZE = 3, (64, 96)
ENCODERS = {
  'resnet18_tv': 'resnet18',
  'resnet50_tv': 'resnet50',
  'efficientnet_lite0': 'timm-tf_efficientnet_lite0',
}
PEERS = {'unet': (smp.Unet, unet_module), 'fpn': (smp.FPN, fpn_module)}
TORCH_AXES = Layout('/'.join)
# Counts of batches, and layers of timm's classifier, which no decoder takes.
WITHOUT_EFFECT = 'num_batches_tracked', 'encoder.conv_head.', 'encoder.bn2.'


def ours(backbone, head):
  """Our network, and the shapes of its variables by path."""
  network = build_backbone(BACKBONES[backbone], HEADS[head], preprocessing=AS_IT_IS)
  model = build_segmenter(network, HEADS[head], CLASSES)
  image = jax.ShapeDtypeStruct((1, *SIZE, 3), jnp.float32)
  params, batch_stats = jax.eval_shape(lambda key: initialize(model, key, image), jax.random.key(0))
  return model, flax.traverse_util.flatten_dict({'params': params, 'batch_stats': batch_stats})


def theirs(backbone, head):
  """The peer without what is random in training: dropout, and skipped blocks."""
  peer = PEERS[head][0](ENCODERS[backbone], encoder_weights=None, classes=CLASSES)
  for module in peer.modules():
    if isinstance(module, torch.nn.Dropout2d):
      module.p = 0.0
    if type(module).__name__ == 'DropPath':
      module.drop_prob = 0.0
  if backbone.startswith('efficientnet'):
    imitate_tensorflow(peer.encoder)
  return peer


def draw(peer, image, train):
  """Fills the peer with random weights that give logits with a standard deviation of 0.5."""
  rng, state = np.random.default_rng(0), {}
  for name, x in peer.state_dict().items():
    if name.endswith('running_var'):
      value = rng.uniform(0.5, 2.0, x.shape)
    elif x.ndim == 4:
      value = rng.normal(size=x.shape) * np.sqrt(2 / np.prod(x.shape[1:]))
    else:
      value = 0.2 * rng.normal(size=x.shape) + 0.5 * name.endswith('weight')
    state[name] = torch.from_numpy(np.asarray(value, np.float32)).to(x.dtype)
  peer.load_state_dict(state)
  with torch.no_grad():
    factor = 0.5 / run_peer(peer, image, train).std()
    for x in peer.segmentation_head.parameters():
      x *= factor


def names_with_effect(state):
  return [name for name in state if not any(part in name for part in WITHOUT_EFFECT)]


def convert(shapes, tensors, head):
  """Our variables, from tensors by the peer's names; all of them are used."""
  left, variables = dict(tensors), {}
  for path in shapes:
    tensor = left.pop(torch_name(path[1:], PEERS[head][1])).detach().numpy()
    variables[path] = jnp.asarray(TORCH_AXES.from_file(path[1:], tensor))
  assert not names_with_effect(left)
  return flax.traverse_util.unflatten_dict(variables)


def on_a_device(function, variables, image):
  """Calls a function on one device, as batch statistics need it."""
  mapped = jax.pmap(function, AXIS, in_axes=(None, 0), out_axes=None, devices=jax.devices()[:1])
  return mapped(variables, image[None])


def draw_image():
  return np.random.default_rng(1).normal(size=(2, *SIZE, 3)).astype(np.float32)


def run_peer(peer, image, train):
  """The peer's logits, `[B, C, H, W]`."""
  return peer.train(train)(torch.from_numpy(image.transpose(0, 3, 1, 2)))


@pytest.mark.parametrize('head', PEERS)
@pytest.mark.parametrize('backbone', ENCODERS)
def test_parameters_and_their_shapes(backbone, head):
  _, shapes = ours(backbone, head)
  with torch.device('meta'):
    state = theirs(backbone, head).state_dict()
  for path, x in shapes.items():
    peer = state.pop(torch_name(path[1:], PEERS[head][1]))
    assert TORCH_AXES.to_file_shape(path[1:], x.shape) == tuple(peer.shape), path
  assert not names_with_effect(state)


@pytest.mark.slow
@pytest.mark.parametrize('train', [False, True])
@pytest.mark.parametrize('head', PEERS)
@pytest.mark.parametrize('backbone', ENCODERS)
def test_logits_and_statistics(backbone, head, train):
  model, shapes = ours(backbone, head)
  peer, image = theirs(backbone, head), draw_image()
  draw(peer, image, train)
  variables = convert(shapes, peer.state_dict(), head)
  expected = run_peer(peer, image, train).detach().numpy().transpose(0, 2, 3, 1)

  def run(variables, image):
    return forward(model, variables['params'], variables['batch_stats'], image, train=train)

  logits, batch_stats = on_a_device(run, variables, image)
  # Batch statistics of 12 values, at stride 32, enlarge rounding errors.
  np.testing.assert_allclose(logits, expected, atol=1e-3 if train else 1e-4)
  after = convert(shapes, peer.state_dict(), head)['batch_stats']
  for x, y in zip(jax.tree.leaves(batch_stats), jax.tree.leaves(after), strict=True):
    np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize('head', PEERS)
def test_gradients(head):
  """With running statistics: those of a batch enlarge rounding errors, see above."""
  model, shapes = ours('resnet18_tv', head)
  peer, image = theirs('resnet18_tv', head), draw_image()
  draw(peer, image, train=False)
  variables = convert(shapes, peer.state_dict(), head)
  label = np.random.default_rng(2).integers(0, CLASSES, (2, *SIZE))
  logits = run_peer(peer, image, False)
  torch.nn.functional.cross_entropy(logits, torch.from_numpy(label)).backward()
  expected = {name: x.grad for name, x in peer.named_parameters()}
  trained = {path: x for path, x in shapes.items() if path[0] == 'params'}
  expected = convert(trained, expected, head)['params']

  def loss(params, batch_stats, image):
    logits, _ = forward(model, params, batch_stats, image, train=False)
    return jnp.mean(cross_entropy(logits, jnp.asarray(label, jnp.uint8)))

  def differentiate(variables, image):
    return jax.grad(loss)(variables['params'], variables['batch_stats'], image)

  gradient = on_a_device(differentiate, variables, image)
  for x, y in zip(jax.tree.leaves(gradient), jax.tree.leaves(expected), strict=True):
    assert np.linalg.norm(x - y) < 1e-3 * np.linalg.norm(y) + 1e-6
