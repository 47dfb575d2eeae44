"""Color distortion as in torchvision: the strong view of FixMatch and UniMatch.

Synopsis:

    image = distort(key, image, jitter=(0.5, 0.5, 0.5, 0.25), grey=0.2, blur=0.5,
                    global_batch=GlobalBatch(AXIS))

Everything is drawn per *image*, unlike in `augment_kornia.py`. Images are `[B, H, W, 3]` float32,
RGB in 0..1.
"""

from collections.abc import Sequence

import jax
from jax import lax
import jax.numpy as jnp
from jax.typing import ArrayLike

from classmix_jax.core.augment_kornia import adjust_hue, gaussian_blur
from classmix_jax.core.collectives import ONE_DEVICE, GlobalBatch
from classmix_jax.types import Array

# Limits of brightness, contrast and saturation (factors around 1) and of hue (full circles).
MODERATE = (0.4, 0.4, 0.4, 0.1)  # French et al., s4GAN
STRONG = (0.5, 0.5, 0.5, 0.25)  # FixMatch, UniMatch
BLUR_SIGMA = (0.1, 2.0)
BLUR_RADIUS = 8
LUMA = (0.299, 0.587, 0.114)


def to_grey(image: Array) -> Array:
  """Returns the luma of `[..., 3]` in all three channels."""
  luma = jnp.sum(image * jnp.reshape(jnp.array(LUMA), (1,) * (image.ndim - 1) + (3,)), axis=-1)
  return jnp.broadcast_to(luma[..., None], image.shape)


def blend(image: Array, other: Array, factor: ArrayLike) -> Array:
  """Returns factor * image + (1 - factor) * other, clamped to 0..1; the factor may exceed 1."""
  return jnp.clip(factor * image + (1.0 - factor) * other, 0.0, 1.0)


def jitter_image(key: Array, image: Array, limits: Sequence[float]) -> Array:
  """Changes brightness, contrast, saturation and hue of an `[H, W, 3]` image in random order.

  Factors are U(1 - s, 1 + s) with s from `limits`: brightness blends with black, contrast with the
  mean luma, saturation with the luma. The hue turns by U(-s, s) of a circle.
  """
  factor_key, order_key = jax.random.split(key)
  draw = jnp.array(limits) * jax.random.uniform(factor_key, (4,), minval=-1.0, maxval=1.0)
  factor = jnp.maximum(1.0 + draw, 0.0)
  operations = (
    lambda x: blend(x, jnp.zeros_like(x), factor[0]),
    lambda x: blend(x, jnp.full_like(x, jnp.mean(to_grey(x))), factor[1]),
    lambda x: blend(x, to_grey(x), factor[2]),
    lambda x: adjust_hue(x, draw[3]),
  )
  order = jax.random.permutation(order_key, 4)
  return lax.fori_loop(0, 4, lambda i, x: lax.switch(order[i], operations, x), image)


def distort(
  key: Array,
  image: Array,
  *,
  jitter: Sequence[float],
  jitter_probability: float = 0.8,
  grey: float = 0.0,
  blur: float = 0.0,
  global_batch: GlobalBatch = ONE_DEVICE,
) -> Array:
  """Jitters, desaturates and blurs every image with draws of its own (arXiv 2208.09910).

  Args:
    key: the step's key, equal on all devices.
    image: `[B, H, W, 3]` float32 in 0..1.
    jitter: limits of brightness, contrast, saturation and hue, see `jitter_image`; zeros
      for no jitter.
    jitter_probability: probability of jitter.
    grey: probability of conversion to grayscale.
    blur: probability of blur with sigma U(0.1, 2).
    global_batch: where this device's images belong; inside `pmap`, pass its axis.
  """
  keys = global_batch.keys(key, len(image))
  draw = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, 0), (4,)))(keys)

  def select(index: int, probability: float) -> Array:
    return (draw[:, index] < probability)[:, None, None, None]

  if any(jitter):
    jitter_keys = jax.vmap(lambda key: jax.random.fold_in(key, 1))(keys)
    jittered = jax.vmap(lambda key, image: jitter_image(key, image, jitter))(jitter_keys, image)
    image = jnp.where(select(0, jitter_probability), jittered, image)
  if grey > 0:
    image = jnp.where(select(1, grey), to_grey(image), image)
  if blur > 0:
    low, high = BLUR_SIGMA
    blurred = gaussian_blur(image, low + (high - low) * draw[:, 3], BLUR_RADIUS)
    image = jnp.where(select(2, blur), blurred, image)
  return image
