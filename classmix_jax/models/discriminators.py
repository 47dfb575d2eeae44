"""Discriminators: networks that distinguish predicted from true segmentations.

Synopsis:

    discriminator = PixelDiscriminator()
    params = discriminator.init(key, prob)['params']
    logit = discriminator.apply({'params': params}, prob)      # > 0: classified as true
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from classmix_jax.core.channel_dropout import channel_mask
from classmix_jax.core.resize import get_size, resize_bilinear
from classmix_jax.models.layers.torch_init import KERNEL_INIT
from classmix_jax.types import Array

NUM_LAYERS = 4  # before the classifier; each has twice the channels of the previous one
LEAKY_SLOPE = 0.2  # of the leaky ReLU below 0
DROPOUT_RATE = 0.5  # fraction of the channels that are dropped


def compute_widths(width: int) -> list[int]:
  """Returns the channels of the layers; `width` is that of the first, 64 as published.

  Example:
    >>> compute_widths(64)
    [64, 128, 256, 512]
  """
  return [width * 2**index for index in range(NUM_LAYERS)]


def build_convolution(features: int, name: str) -> nn.Conv:
  """Builds a 4x4 convolution of stride 2, the only kind in both discriminators."""
  return nn.Conv(
    features, (4, 4), strides=2, padding=[(1, 1)] * 2, kernel_init=KERNEL_INIT, name=name
  )


class PixelDiscriminator(nn.Module):
  """Fully convolutional discriminator of Hung et al. (arXiv 1802.07934, section 3.2).

  Five 4x4 convolutions of stride 2 without normalisation.

  Attributes:
    width: channels of the first convolution.
  """

  width: int = 64

  @nn.compact
  def __call__(self, prob: Array) -> Array:
    """Maps class probabilities `[B, H, W, C]` to one logit per pixel, `[B, H, W]`.

    Raises:
      ValueError: images are smaller than 32x32, so that no pixel would be left.
    """
    if min(prob.shape[1:3]) < 32:
      raise ValueError(f'images are {prob.shape[1:3]}; the discriminator needs 32x32 or more')
    x = prob
    for index, width in enumerate(compute_widths(self.width)):
      x = nn.leaky_relu(build_convolution(width, f'conv{index + 1}')(x), LEAKY_SLOPE)
    x = build_convolution(1, 'classifier')(x)
    return resize_bilinear(x, get_size(prob))[..., 0]


class ImageDiscriminator(nn.Module):
  """Discriminator of s4GAN: one logit per image (arXiv 1908.05724, section 3.1).

  Dropout of whole channels follows the first three convolutions. As in the original, it is also
  active when images are scored for self-training.

  Attributes:
    width: channels of the first convolution, one eighth of those of the features.
  """

  width: int = 64

  @nn.compact
  def __call__(self, pair: Array, keys: Array) -> tuple[Array, Array]:
    """Scores segmentations concatenated with their images.

    Args:
      pair: `[B, H, W, C + 3]`, class probabilities and image, both in 0..1.
      keys: `[B]` random keys for the dropout.

    Returns:
      Logits `[B]`, and the features before them, `[B, 8 width]`.
    """
    x = pair
    for index, width in enumerate(compute_widths(self.width)):
      x = nn.leaky_relu(build_convolution(width, f'conv{index + 1}')(x), LEAKY_SLOPE)
      if index < 3:
        layer_keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, index)
        x = x * channel_mask(layer_keys, width, DROPOUT_RATE)
    features = jnp.mean(x, axis=(1, 2))
    logit = nn.Dense(1, kernel_init=KERNEL_INIT, name='classifier')(features)
    return logit[:, 0], features
