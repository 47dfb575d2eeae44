"""Photometric augmentation of the student's mixed images, as in the code of ClassMix.

Synopsis:

    image = strong_augment(key, image, jitter=0.25, blur=True, global_batch=GlobalBatch(AXIS))

Distributions follow kornia 0.3.0 (ColorJitter): one switch, one order of operations and one blur
width per *batch*, jitter factors per *image*. Images are `[B, H, W, 3]` float32, RGB in 0..1.
"""

from typing import cast

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Float

from classmix_jax.core.collectives import ONE_DEVICE, GlobalBatch
from classmix_jax.core.shapes import check_dtype, check_rank
from classmix_jax.types import Array

JITTER_PROBABILITY = 0.8
BLUR_PROBABILITY = 0.5
BLUR_SIGMA = (0.15, 1.15)
BLUR_RADIUS = 6  # taps beyond 5 sigma weigh less than 1e-6


def adjust_brightness(image: Float[Array, '... C'], shift: Array) -> Float[Array, '... C']:
  """Adds `shift` and clamps to 0..1 (torchvision multiplies instead)."""
  return jnp.clip(image + shift, 0.0, 1.0)


def adjust_contrast(image: Float[Array, '... 3'], factor: Array) -> Float[Array, '... 3']:
  """Multiplies by `factor` and clamps to 0..1 (torchvision blends with gray instead)."""
  return jnp.clip(image * factor, 0.0, 1.0)


def adjust_saturation(image: Float[Array, '... 3'], factor: Array) -> Float[Array, '... 3']:
  """Multiplies S of HSV by `factor`, clamped to 0..1; H and V stay the same.

  With V = max(rgb) and S = (V - min(rgb)) / V, every channel is V - S V d, where d depends on the
  hue alone. So scaling S scales (V - channel).
  """
  value = jnp.max(image, axis=-1, keepdims=True)
  saturation = (value - jnp.min(image, axis=-1, keepdims=True)) / jnp.maximum(value, 1e-6)
  scaled = jnp.clip(saturation * factor, 0.0, 1.0)
  ratio = jnp.where(saturation > 0, scaled / jnp.maximum(saturation, 1e-6), 1.0)
  return value - (value - image) * ratio


def adjust_hue(image: Float[Array, '... 3'], turn: Array) -> Float[Array, '... 3']:
  """Rotates H of HSV by `turn` (1 is a full circle); S and V stay the same.

  With n = (5, 3, 1) for (R, G, B), a channel is V - C max(0, min(k, 4 - k, 1)), where
  k = (n + 6 H) mod 6 and C = max - min is the chroma.
  """
  value = jnp.max(image, axis=-1, keepdims=True)
  chroma = value - jnp.min(image, axis=-1, keepdims=True)
  red, green, blue = image[..., :1], image[..., 1:2], image[..., 2:]
  safe = jnp.maximum(chroma, 1e-6)
  sextant = jnp.where(
    value == red,
    (green - blue) / safe,
    jnp.where(value == green, 2.0 + (blue - red) / safe, 4.0 + (red - green) / safe),
  )
  phase = jnp.array([5.0, 3.0, 1.0]).reshape((1,) * (image.ndim - 1) + (3,))
  k = jnp.mod(phase + sextant + 6.0 * turn, 6.0)
  return value - chroma * jnp.clip(jnp.minimum(k, 4.0 - k), 0.0, 1.0)


def color_jitter(
  key: Array,
  image: Array,
  order: Array,
  strength: float,
  global_batch: GlobalBatch = ONE_DEVICE,
) -> Array:
  """Changes brightness, contrast, saturation and hue in the given order.

  Factors per image, with s = `strength` (0.25 in the original): brightness U(-s, s) is added,
  contrast and saturation are multiplied by U(1 - s, 1 + s), hue turns by U(-s, s) of a circle.

  Args:
    key: the step's key, equal on all devices.
    image: `[B, H, W, 3]` float32 in 0..1.
    order: `[4]` integers, a permutation of 0..3.
    strength: s.
    global_batch: where this device's images belong; inside `pmap`, pass its axis.
  """
  keys = global_batch.keys(key, len(image))
  draw = jax.vmap(lambda k: jax.random.uniform(k, (4,), minval=-strength, maxval=strength))(keys)
  brightness, contrast, saturation, hue = (draw[:, i, None, None, None] for i in range(4))
  operations = (
    lambda x: adjust_brightness(x, brightness),
    lambda x: adjust_contrast(x, 1.0 + contrast),
    lambda x: adjust_saturation(x, 1.0 + saturation),
    lambda x: adjust_hue(x, hue),
  )
  return lax.fori_loop(0, 4, lambda i, x: lax.switch(order[i], operations, x), image)


def gaussian_blur(
  image: Float[Array, 'B H W C'], sigma: Float[Array, '...'], radius: int = BLUR_RADIUS
) -> Float[Array, 'B H W C']:
  """Blurs `[B, H, W, C]` with a Gaussian; borders are mirrored about the edge pixel.

  Args:
    image: float array.
    sigma: in pixels, a scalar for all images or `[B]`.
    radius: number of taps on each side.
  """
  offset = jnp.arange(-radius, radius + 1)[:, None]
  tap = jnp.exp(-0.5 * (offset / jnp.atleast_1d(sigma)[None, :]) ** 2)
  tap = (tap / jnp.sum(tap, axis=0, keepdims=True))[:, :, None, None, None]
  for axis in (1, 2):
    pad = [(0, 0)] * image.ndim
    pad[axis] = (radius, radius)
    padded = jnp.pad(image, pad, mode='reflect')
    size = image.shape[axis]
    taps = (tap[i] * lax.slice_in_dim(padded, i, i + size, axis=axis) for i in range(offset.size))
    image = cast(Array, sum(taps))
  return image


def strong_augment(
  key: Array,
  image: Array,
  *,
  jitter: float,
  blur: bool,
  global_batch: GlobalBatch = ONE_DEVICE,
) -> Array:
  """Jitters with probability 0.8, then blurs with probability 0.5, per *batch*.

  Args:
    key: the step's key, equal on all devices.
    image: `[B, H, W, 3]` float32 in 0..1, after mixing.
    jitter: strength of the color jitter, 0 for none.
    blur: whether to blur.
    global_batch: where this device's images belong; inside `pmap`, pass its axis.

  Returns:
    `[B, H, W, 3]` float32 in 0..1.

  Raises:
    ValueError: the image is not `[B, H, W, 3]` of floats (at trace time).

  Example:
    >>> strong_augment(jax.random.key(0), jnp.ones((1, 4, 4, 3)), jitter=0.0, blur=True).shape
    (1, 4, 4, 3)
  """
  check_rank('image', image, 'B H W 3', 'channels come last, and a single image is image[None]')
  check_dtype('image', image, jnp.floating, 'RGB in 0..1, of bytes image / 255')
  batch_key, image_key = jax.random.split(key)
  # One call for all draws per batch, because every call of a generator takes a second to compile.
  draw = jax.random.uniform(batch_key, (7,))
  if jitter > 0:
    order = jnp.argsort(draw[3:])
    image = lax.cond(
      draw[0] < JITTER_PROBABILITY,
      lambda x: color_jitter(image_key, x, order, jitter, global_batch),
      lambda x: x,
      image,
    )
  if blur:
    low, high = BLUR_SIGMA
    sigma = low + (high - low) * draw[1]
    image = lax.cond(
      draw[2] < BLUR_PROBABILITY, lambda x: gaussian_blur(x, sigma), lambda x: x, image
    )
  return image
