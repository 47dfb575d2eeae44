"""Dropout of whole feature channels, per image.

Synopsis:

    features = drop_channels(keys, features, rate=0.5)
    views = drop_complementary_channels(keys, unchanged, features_of_both_views)
"""

import jax
import jax.numpy as jnp

from classmix_jax.types import Array, Features


def channel_mask(keys: Array, channels: int, rate: float) -> Array:
  """Returns `[B, 1, 1, F]`: 0 with probability `rate`, else 1 / (1 - rate), per image."""

  def draw(key: Array) -> Array:
    return jax.random.bernoulli(key, 1.0 - rate, (channels,))

  return jax.vmap(draw)(keys)[:, None, None, :] / (1.0 - rate)


def split_keys(keys: Array, count: int) -> Array:
  """Returns `count` independent keys of every image, `[B, count]`, from keys `[B]`."""
  return jax.vmap(lambda key: jax.random.split(key, count))(keys)


def drop_channels(keys: Array, features: Features, rate: float) -> Features:
  """Drops channels of every level, like torch's Dropout2d.

  Args:
    keys: `[B]` random keys.
    features: `[B, h, w, F]` arrays.
    rate: probability that a channel is set to 0.
  """

  def drop(keys: Array, x: Array) -> Array:
    return x * channel_mask(keys, x.shape[-1], rate).astype(x.dtype)

  parts = split_keys(keys, len(features.levels))
  levels = (drop(parts[:, i], x) for i, x in enumerate(features.levels))
  return features.replace(levels=tuple(levels))


def drop_complementary_channels(keys: Array, unchanged: Array, features: Features) -> Features:
  """Drops each channel in one of two views and doubles it in the other (arXiv 2410.10777).

  Levels of one width, such as those of a vision transformer, share the mask of an image; levels of
  different widths have independent ones.

  Args:
    keys: `[B]` random keys of the images.
    unchanged: `[B]` bool, images whose features are not changed.
    features: `[2 B, h, w, F]` arrays, all first views before all second views.
  """
  skip = unchanged[:, None, None, None]

  def drop(keys: Array, x: Array) -> Array:
    first = channel_mask(keys, x.shape[-1], 0.5)
    mask = jnp.concatenate([jnp.where(skip, 1.0, first), jnp.where(skip, 1.0, 2.0 - first)])
    return x * mask.astype(x.dtype)

  widths = list(dict.fromkeys(x.shape[-1] for x in features.levels))
  if len(widths) == 1:
    return features.replace(levels=tuple(drop(keys, x) for x in features.levels))
  parts = split_keys(keys, len(widths))
  levels = (drop(parts[:, widths.index(x.shape[-1])], x) for x in features.levels)
  return features.replace(levels=tuple(levels))
