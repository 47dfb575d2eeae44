"""Samples of each class: by hand, in number, and from any number of devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.core.class_sampling import (
  ClassSample,
  limit_sample,
  locate_drawn,
  sample_classes,
)
from classmix_jax.core.collectives import ALL_DEVICES, ONE_DEVICE
from classmix_jax.types import AXIS, VOID

IMAGES, PIXELS, CLASSES, PER_CLASS = 8, 6, 3, 4


def test_by_hand():
  """Of class 1 two of three pixels, the ones of highest priority, in this order; void never."""
  label = jnp.array([1, VOID, 1, 0, 1])
  priority, features = jnp.array([3, 9, 7, 0, 5]), jnp.arange(5.0)[:, None]
  sample = sample_classes(label, features, priority, jnp.arange(5), 2, 3)
  assert sample.features[..., 0].tolist() == [[3, 0], [2, 4], [0, 0]]
  assert sample.num_taken.tolist() == [1, 2, 0]
  everywhere = jnp.ones((3, 2), bool)
  assert locate_drawn(sample, everywhere, 5).tolist() == [False, False, True, True, True]
  second_of_class_1 = everywhere.at[1, 0].set(False)
  assert locate_drawn(sample, second_of_class_1, 5).tolist() == [False, False, False, True, True]


def test_fewer_pixels_than_places():
  sample = sample_classes(
    jnp.array([0, 0]), jnp.ones((2, 1)), jnp.array([1, 2]), jnp.arange(2), 5, 1
  )
  assert sample.features.shape == (1, 5, 1) and sample.num_taken.tolist() == [2]
  assert locate_drawn(sample, jnp.ones((1, 5), bool), 2).tolist() == [True, True]


@pytest.mark.parametrize('devices', [2, 8])
@pytest.mark.parametrize('highest', [1, 2**31 - 1])
def test_number_of_devices_changes_nothing(devices, highest):
  """Not even if all priorities are equal, or two of them."""
  rng = np.random.default_rng(devices)
  label = rng.choice([0, 1, VOID], (IMAGES * PIXELS))
  features = rng.normal(size=(len(label), 2)).astype(np.float32)
  priority = rng.integers(0, highest, len(label)).astype(np.int32)
  index = np.arange(len(label), dtype=np.int32)
  drawn = jnp.asarray(rng.random((CLASSES, PER_CLASS)) < 0.7)

  def draw(label, features, priority, index, global_batch=ALL_DEVICES):
    arrays = label, features, priority, index
    sample = sample_classes(*arrays, PER_CLASS, CLASSES, global_batch)
    return sample.features, sample.num_taken, locate_drawn(sample, drawn, len(label))

  arrays = label, features, priority, index
  expected = draw(*map(jnp.asarray, arrays), ONE_DEVICE)
  shards = [x.reshape(devices, -1, *x.shape[1:]) for x in arrays]
  features, count, mask = jax.pmap(draw, AXIS, devices=jax.devices()[:devices])(*shards)
  for device in range(devices):
    np.testing.assert_array_equal(features[device], expected[0])
    np.testing.assert_array_equal(count[device], expected[1])
  np.testing.assert_array_equal(mask.ravel(), expected[2])
  assert count[0].tolist() == [4, 4, 0]


def test_limit():
  """Five places are taken; any of them may be drawn, the others never."""
  sample = ClassSample(jnp.zeros((2, 4, 1)), jnp.array([4, 1]), jnp.zeros(()), jnp.zeros(()))
  draws = np.array([limit_sample(jax.random.key(seed), sample, 2) for seed in range(40)])
  assert (draws.sum(axis=(1, 2)) == 2).all()
  assert draws.any(axis=0).tolist() == [[True] * 4, [True, False, False, False]]
  assert limit_sample(jax.random.key(0), sample, 100).sum() == 5
