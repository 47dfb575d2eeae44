"""Dropout of whole feature channels, per image.

Synopsis:

    dropped = dropped_channels(keys, features, rate=0.5)
    first, second = complementary(keys, features)
"""

import jax
import jax.numpy as jnp

from classmix_jax.types import Array, Features


def channel_mask(keys: Array, channels: int, rate: float) -> Array:
  """Returns `[B, 1, 1, F]`: 0 with probability `rate`, else 1 / (1 - rate), per image."""
  draw = lambda key: jax.random.bernoulli(key, 1.0 - rate, (channels,))
  return jax.vmap(draw)(keys)[:, None, None, :] / (1.0 - rate)


def of_each(function, keys: Array, features: Features) -> Features:
  """Applies `function(keys, x)` to early and late features, with keys of their own."""
  parts = jax.vmap(lambda key: jax.random.split(key, 2))(keys)
  return Features(function(parts[:, 0], features.low), function(parts[:, 1], features.high))


def dropped_channels(keys: Array, features: Features, rate: float) -> Features:
  """Dropout2d of torch, on early and late features.

  Args:
    keys: `[B]` random keys.
    features: `[B, h, w, F]` arrays.
    rate: share of the channels that become 0.
  """

  def drop(keys: Array, x: Array) -> Array:
    return x * channel_mask(keys, x.shape[-1], rate).astype(x.dtype)

  return of_each(drop, keys, features)


def complementary(keys: Array, features: Features) -> Features:
  """Complementary dropout of two views of the same images (arXiv 2410.10777).

  One view keeps, doubled, the channels that the other one loses. A random half of the images
  is left as it is.

  Args:
    keys: `[B]` random keys, of the images.
    features: `[2 B, h, w, F]` arrays, all first views before all second views.
  """
  skip_keys = jax.vmap(lambda key: jax.random.fold_in(key, 2))(keys)
  skip = jax.vmap(jax.random.bernoulli)(skip_keys)[:, None, None, None]

  def drop(keys: Array, x: Array) -> Array:
    first = channel_mask(keys, x.shape[-1], 0.5)
    mask = jnp.concatenate([jnp.where(skip, 1.0, first), jnp.where(skip, 1.0, 2.0 - first)])
    return x * mask.astype(x.dtype)

  return of_each(drop, keys, features)
