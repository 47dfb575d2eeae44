"""Samples pixels of every class of the global batch, equally many of each class.

Synopsis:

    priority = jax.vmap(functools.partial(jax.random.bits, shape=size))(keys)   # keys by image
    sample = sample_classes(label, features, priority, index, 64, num_classes, ALL_DEVICES)
    bank = enqueue(bank, sample.features, sample.num_taken)
    chosen = limit_sample(key, sample, 1024)                                    # [C, K]
"""

from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Integer

from classmix_jax.core.collectives import ONE_DEVICE, GlobalBatch
from classmix_jax.types import Array


class ClassSample(NamedTuple):
  """Pixels of the global batch, K places per class, and where this device holds them.

  Attributes:
    features: `[C, K, D]` float32, of the pixels in these places; equal on all devices.
    num_taken: `[C]` int32, how many places are taken, the first ones; equal on all devices.
    pixel: `[C, k]` int32, this device's candidates: indices of its pixels.
    place: `[C, k]` int32, places of the candidates; K or more if they were not drawn.
  """

  features: Array
  num_taken: Array
  pixel: Array
  place: Array


def _precedes(priority: Array, index: Array, other_priority: Array, other_index: Array) -> Array:
  """Returns whether pixels come before others: by priority, equal ones by index."""
  equal = priority == other_priority
  return (priority > other_priority) | (equal & (index < other_index))


def sample_classes(
  label: Integer[Array, ' N'],
  features: Float[Array, 'N D'],
  priority: Integer[Array, ' N'],
  index: Integer[Array, ' N'],
  per_class: int,
  num_classes: int,
  global_batch: GlobalBatch = ONE_DEVICE,
) -> ClassSample:
  """Draws up to `per_class` pixels of each class of the global batch, by their priority.

  Args:
    label: `[N]` class ids of this device's pixels; pixels of other values, such as `VOID` (255),
      are not drawn.
    features: `[N, D]` float32.
    priority: `[N]` int32, 0 or more.
    index: `[N]` int32, increasing: indices in the global batch, which order equal priorities.
    per_class: K.
    num_classes: C.
    global_batch: where this device's images belong; inside `pmap`, pass its axis.

  Example:
    >>> label, features = jnp.array([0, 0, 0, 255]), jnp.arange(4.0)[:, None]
    >>> priority = jnp.array([5, 9, 7, 8])
    >>> sample = sample_classes(label, features, priority, jnp.arange(4), 2, 1)
    >>> sample.features[0, :, 0].tolist(), sample.num_taken.tolist()
    ([1.0, 2.0], [2])
  """
  is_class = label[None] == jnp.arange(num_classes)[:, None]
  # Equal priorities: `top_k` returns the lower index first.
  top, pixel = lax.top_k(jnp.where(is_class, priority[None], -1), min(per_class, len(label)))
  candidates = top, index[pixel]
  mine = top[..., None], index[pixel][..., None]
  if global_batch.axis_name is not None:
    candidates = lax.all_gather(candidates, global_batch.axis_name, axis=1, tiled=True)
  # [C, candidates of this device, candidates of all devices]
  before = _precedes(candidates[0][:, None], candidates[1][:, None], *mine)
  place = jnp.sum(before, axis=-1, dtype=jnp.int32)
  place = jnp.where(top >= 0, place, per_class)
  classes = jnp.arange(num_classes)[:, None]
  empty = jnp.zeros((num_classes, per_class, features.shape[1]), features.dtype)
  # Every place is taken on one device at most; places of K or more are dropped.
  sample = global_batch.sum(empty.at[classes, place].set(features[pixel], mode='drop'))
  count = jnp.minimum(jnp.sum(candidates[0] >= 0, axis=1, dtype=jnp.int32), per_class)
  return ClassSample(sample, count, pixel, place)


def limit_sample(key: Array, sample: ClassSample, limit: int) -> Bool[Array, 'C K']:
  """Draws at most `limit` of all pixels of a sample, uniformly.

  Args:
    key: random key, equal on all devices.
    sample: the pixels.
    limit: largest number of pixels.

  Returns:
    Which places are drawn, equal on all devices.
  """
  shape = sample.features.shape[:2]
  taken = (jnp.arange(shape[1])[None] < sample.num_taken[:, None]).ravel()
  _, first = lax.top_k(
    jnp.where(taken, jax.random.uniform(key, taken.shape), -1.0), min(limit, taken.size)
  )
  drawn = jnp.zeros(taken.shape, bool).at[first].set(True)
  return (drawn & taken).reshape(shape)


def locate_drawn(
  sample: ClassSample, drawn: Bool[Array, 'C K'], num_pixels: int
) -> Bool[Array, ' N']:
  """Returns which of this device's pixels hold the drawn places.

  Args:
    sample: the pixels.
    drawn: `[C, K]` places.
    num_pixels: N, number of pixels on this device.
  """
  width = drawn.shape[1]
  classes = jnp.arange(len(drawn))[:, None]
  is_drawn = (sample.place < width) & drawn[classes, jnp.minimum(sample.place, width - 1)]
  # An index beyond the last pixel is dropped.
  pixel = jnp.where(is_drawn, sample.pixel, num_pixels)
  return jnp.zeros(num_pixels, bool).at[pixel].set(True, mode='drop')
