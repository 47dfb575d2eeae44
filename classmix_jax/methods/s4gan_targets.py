"""Targets of s4GAN, and the images and random keys that its discriminator takes."""

from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

from classmix_jax.core.collectives import GlobalBatch
from classmix_jax.core.microbatch import split_micro_batches
from classmix_jax.methods.labeled_loss import Labeled
from classmix_jax.models.segmenter import to_unit_range
from classmix_jax.types import AXIS, Array, Example


class Scored(NamedTuple):
  """What the networks learn from the unlabelled batch; one micro-batch has no axis A."""

  image: Array  # [A, b, H, W, 3] float32, scaled to 0..1 over the whole batch
  raw: Array  # [A, b, H, W, 3] uint8, for the student
  true_image: Array  # [A, b', H, W, 3] float32, the labelled images, scaled likewise
  keys: Array  # [A, b, 2] of D's dropout: in the student's loss, and in D's own
  true_keys: Array  # [A, b', 2] the same for labelled images
  gap: Array  # [A, F] float32, mean f(real) - mean f(fake) of the whole batch
  fake_features: Array  # [A, F] float32, mean f(fake) of the whole batch
  label: Array  # [A, b, H, W] int32, classes that the student predicts
  chosen: Array  # [A, b, H, W] bool, the images that D takes for real
  num_pixels: Array  # [A] float32, `device_count` of the chosen pixels of the whole batch


class Targets(NamedTuple):
  """What the networks learn from."""

  labeled: Labeled
  unlabeled: Scored


def dropout_keys(key: Array, example: Example | Labeled) -> Array:
  """Returns two keys per image, `[A, b, 2]`, from its index in the *global* batch."""
  micro_batches, images = example.image.shape[:2]
  keys = GlobalBatch(AXIS, micro_batches).keys(key, micro_batches * images)
  pairs = jax.vmap(lambda key: jax.random.split(key, 2))(keys)
  return split_micro_batches(pairs, micro_batches)


def stretch_contrast(image: Array) -> Array:
  """Shifts and scales `[A, b, H, W, 3]` uint8 so that the *global* batch spans 0..1."""
  image = to_unit_range(image)
  low = lax.pmin(jnp.min(image), AXIS)
  high = lax.pmax(jnp.max(image), AXIS)
  return (image - low) / jnp.maximum(high - low, 1e-6)
