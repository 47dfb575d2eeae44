"""What accelerators would get of whole training steps: lowered for them here, none is run."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

from classmix_jax.core.resize import interpolation_matrix, resize_bilinear
from classmix_jax.core.tiling import per_pixel
from classmix_jax.methods import METHODS
from classmix_jax.training.step import make_train_step

SCATTER = re.compile(r'"?stablehlo\.(scatter|select_and_scatter)')
PRODUCT = re.compile(
  r'stablehlo\.dot_general.*?(?:precision = \[(\w+), \w+\])?\s*: \(tensor<\S*?(f32|bf16)>'
)


def lowered(name):
  """Returns the text of a method's step for an NVIDIA GPU."""
  method, devices = small.method(name), jax.devices()[:1]
  step = make_train_step(method, small.optimizer(method), 0, devices)
  batch = small.shard(small.batch(), 1)
  traced = jax.jit(step).trace(small.start(name), batch)
  return traced.lower(lowering_platforms=('cuda',)).as_text()


# It places features in its bank, outside of the gradient and each at an address of its own.
BANKED = {'pixcon'}


@pytest.mark.parametrize('name', [name for name in METHODS if name not in BANKED])
def test_gradients_have_no_scatter(name):
  """`config.deterministic` would sort the addresses of each; compared values need none."""
  text = lowered(name)
  assert 'stablehlo.convolution' in text
  assert not SCATTER.findall(text)


def test_a_gathered_loss_would_be_found(monkeypatch):
  def gathered(logits, label):
    target = jnp.where(label == 255, 0, label).astype(jnp.int32)[..., None]
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), target, axis=-1)[..., 0]

  monkeypatch.setattr('classmix_jax.methods.labeled_loss.cross_entropy', gathered)
  assert set(SCATTER.findall(lowered('supervised'))) == {'scatter'}


@pytest.mark.parametrize('name', ['classmix', 'cowmix', 'unimatch'])
def test_products_outside_of_the_network_are_of_full_precision(name):
  """The small network has no product of its own, so that all of them enlarge logits or mix."""
  result = PRODUCT.findall(lowered(name))
  assert result and set(result) == {('HIGHEST', 'f32')}


def in_bfloat16(matrix, x):
  """Returns a product as a TPU computes it by default: factors rounded, sums in float32."""

  def half(x):
    return np.asarray(jnp.asarray(x, jnp.bfloat16).astype(jnp.float32))

  # Enlarges the rows h to H.
  return np.einsum('Hh,bhwc->bHwc', half(matrix), half(x))


def test_the_default_precision_would_turn_classes():
  """0.33 % of the classes of random logits turn if factors are rounded to bfloat16."""
  logits = 4 * np.random.default_rng(0).standard_normal((1, 33, 65, 19)).astype(np.float32)
  matrix = interpolation_matrix(33, 257)
  # The exact product enlarges the rows h to H, as `in_bfloat16` does.
  rounded, exact = in_bfloat16(matrix, logits), np.einsum('Hh,bhwc->bHwc', matrix, logits)
  assert np.abs(rounded - exact).max() > 0.03
  assert (rounded.argmax(-1) != exact.argmax(-1)).mean() > 1e-3
  np.testing.assert_allclose(resize_bilinear(jnp.asarray(logits), (257, 65)), exact, atol=2e-5)
  identity = per_pixel(lambda x: x, jnp.asarray(logits), size=(257, 65), tile_bytes=2**16)
  np.testing.assert_allclose(identity, exact, atol=2e-5)
