"""DINOv2 against Hugging Face's transformers and timm, with random weights read from files.

pip install torch transformers timm
"""

import dinov2_weights
from dinov2_weights import AS_IT_IS, nchw
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.models.backbones.dinov2 import DinoV2
from classmix_jax.models.heads.linear import Linear
from classmix_jax.pretrained import matching
from classmix_jax.pretrained.load import open_weights
from classmix_jax.pretrained.state_dict_files import write_file

# Width, heads, depth and taps. Only the small network has all of its blocks, to save memory.
SIZES = {
  'small': (384, 6, 12, (2, 5, 8, 11)),
  'base': (768, 12, 4, (0, 1, 2, 3)),
  'large': (1024, 16, 4, (0, 1, 2, 3)),
}
SIDE = 518  # where positions are not interpolated
TOLERANCE = 2e-4  # the root mean square of a token is 1


def randomize(model):
  """Draws all parameters of a torch model; branches of blocks are as strong as the input."""
  import torch

  generator = torch.Generator().manual_seed(0)
  with torch.no_grad():
    for name, x in model.named_parameters():
      noise = torch.randn(x.shape, generator=generator)
      if name.endswith('weight') and x.ndim > 1:
        x.copy_(noise / x[0].numel() ** 0.5)
      elif name.endswith(('gamma', 'lambda1', 'weight')):
        x.copy_(1 + noise / 10)
      else:
        x.copy_(noise / 5)
  return model.eval()


def hugging_face(size, registers):
  """A model of transformers, and a function from images to its normed levels."""
  transformers = pytest.importorskip('transformers', reason='needs pip install transformers')
  width, heads, depth, taps = SIZES[size]
  kind = 'Dinov2WithRegisters' if registers else 'Dinov2'
  config = getattr(transformers, f'{kind}Config')(
    hidden_size=width, num_attention_heads=heads, num_hidden_layers=depth, image_size=SIDE,
    patch_size=14,
  )  # fmt: skip
  model = randomize(getattr(transformers, f'{kind}Model')(config))

  def run(image):
    states = model(nchw(image), output_hidden_states=True).hidden_states
    first = 5 if registers else 1
    return [model.layernorm(states[tap + 1])[:, first:] for tap in taps]

  return model, run


def timm_model(size, registers):
  """A model of timm, and a function from images to its normed levels."""
  timm = pytest.importorskip('timm', reason='needs pip install timm')
  _, _, depth, taps = SIZES[size]
  name = f'vit_{size}_patch14_{"reg4_" if registers else ""}dinov2'
  model = randomize(timm.create_model(name, depth=depth, dynamic_img_size=True))
  return model, lambda image: model.get_intermediate_layers(nchw(image), taps, norm=True)


def open_saved(model, directory):
  """Saves a model and opens the file; that of transformers has other names than the state dict."""
  pytest.importorskip('safetensors', reason='needs pip install safetensors')
  path = directory / 'state_dict.safetensors'
  write_file(path, {name: x.detach().numpy() for name, x in model.state_dict().items()})
  weights = open_weights(path)
  path.unlink()
  if hasattr(model, 'save_pretrained'):
    model.save_pretrained(directory)
    saved = open_weights(directory / 'model.safetensors')
    assert weights.tensors.keys() == saved.tensors.keys()
    for name, x in weights.tensors.items():
      np.testing.assert_array_equal(x, saved.tensors[name])
    return saved
  return weights


def compute_levels(weights, size, registers, image):
  """Levels `[B, N, D]` of this project's network with weights of a file."""
  width, _, depth, taps = SIZES[size]
  backbone = DinoV2(
    width=width, depth=depth, taps=taps, registers=registers, preprocessing=AS_IT_IS
  )
  shapes = dinov2_weights.init_shapes(backbone, Linear(num_classes=2))
  zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
  tree, result = matching.copy_matching(zeros, weights)
  encoder = matching.select_backbone(result, weights.layout)
  assert not (encoder.missing or encoder.unexpected or encoder.wrong_shape)
  params = jax.tree.map(jnp.asarray, tree['params']['backbone'])
  features = jax.jit(lambda params, x: backbone.apply({'params': params}, x, False))(params, image)
  return [np.asarray(x).reshape(1, -1, width) for x in features.levels]


def largest_difference(reference, size, registers, image, directory):
  torch = pytest.importorskip('torch', reason='needs pip install torch')
  model, run = reference(size, registers)
  with torch.no_grad():
    expected = [x.numpy() for x in run(image)]
  levels = compute_levels(open_saved(model, directory), size, registers, image)
  return max(np.abs(x - y).max() for x, y in zip(levels, expected, strict=True))


def random_image(size):
  return np.random.default_rng(0).standard_normal((1, *size, 3), np.float32)


@pytest.mark.slow
@pytest.mark.parametrize('registers', [False, True])
@pytest.mark.parametrize('size', list(SIZES))
@pytest.mark.parametrize('reference', [hugging_face, timm_model])
def test_tokens_at_518(reference, size, registers, tmp_path):
  image = random_image((SIDE, SIDE))
  difference = largest_difference(reference, size, registers, image, tmp_path)
  print(f'{reference.__name__}, {size}, registers {registers}: within {difference:.1e}')
  assert difference < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize('reference', [hugging_face, timm_model])
def test_antialiased_positions(reference, tmp_path):
  """Networks with register tokens interpolate positions alike everywhere."""
  image = random_image((98, 126))
  difference = largest_difference(reference, 'small', True, image, tmp_path)
  print(f'{reference.__name__}, 98x126: within {difference:.1e}')
  assert difference < TOLERANCE
