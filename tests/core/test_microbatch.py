"""Micro-batches: with frozen statistics their number changes nothing but the memory.

Steps of 8 + 8 images with unequal shares of void and padding, whole and in parts.
"""

import functools

import jax
import numpy as np
import pytest
import small

from classmix_jax.core.microbatch import (
  fold_micro_batches,
  merge_micro_batches,
  split_micro_batches,
)
from classmix_jax.methods import METHODS
from classmix_jax.training.step import make_train_step

# The defaults of small.method switch these off; one method has them, another the other loss.
OPTIONS = {
  'classmix': dict(jitter=0.25, blur=True),
  'cutmix': dict(consistency='mse'),
  'cowmix': dict(pixel_weight='threshold', exclude_padding=False),
}


@functools.cache
def run(name, bn, accumulate, devices, steps=3):
  """Returns (metrics of every step, final state) as NumPy arrays."""
  method = small.method(name, bn=bn, **OPTIONS.get(name, {}))
  local = jax.devices()[:devices]
  step = make_train_step(method, small.optimizer(), 0, local, accumulate=accumulate)
  state, metrics = small.place(small.start(name), local), []
  for index in range(steps):
    state, row = step(state, small.shard(small.batch(index), devices, accumulate))
    metrics.append(jax.device_get(row))
  return metrics, jax.device_get(state)


def largest_difference(a, b):
  return max(
    jax.tree.leaves(
      jax.tree.map(lambda x, y: np.abs(np.asarray(x, float) - np.asarray(y, float)).max(), a, b)
    )
  )


# These differ from others by a mask or a number only; s4gan_mlmt is s4gan and more.
SAME = {'mean_teacher', 'cowmix', 'cutmix_french', 'cutout_french', 'fixmatch', 's4gan'}
# Micro-batches and devices; 8 leaves a single image to each micro-batch.
PARTS = [
  *((name, 2, 1) for name in METHODS if name not in SAME),
  ('classmix', 8, 1),
  ('classmix', 2, 2),
  ('supervised', 2, 4),
]
LONG = {'s4gan_mlmt', 'unimatch_v2', 'adversarial', 'cutmix', 'prevmatch', 'pixcon', 'corrmatch'}


# Adam moves by the sign of what may be rounding; a discriminator's three steps are of 1e-4 each.
LOOSE = {'adversarial': 5e-5, 's4gan': 5e-5, 's4gan_mlmt': 5e-5}


@pytest.mark.parametrize(
  'name, accumulate, devices',
  [pytest.param(*part, marks=[pytest.mark.slow] * (part[0] in LONG)) for part in PARTS],
)
def test_frozen_statistics_accumulate_exactly(name, accumulate, devices):
  metrics, state = run(name, 'running', 1, 1)
  other_metrics, other = run(name, 'running', accumulate, devices)
  assert largest_difference(state, other) < LOOSE.get(name, 1e-6)
  assert largest_difference(metrics, other_metrics) < 2e-5  # of sums near 2
  start = small.start(name)
  assert largest_difference(state.params, start.params) > 1e-2  # the weights do move
  # Of networks and their averages; what `finish` stores arrives through `model_state`, too.
  for network in state.model_state.keys() & (state.params.keys() | state.method_state.keys()):
    assert largest_difference(state.model_state[network], start.model_state[network]) == 0


@pytest.mark.slow
def test_batch_statistics_are_those_of_a_micro_batch():
  """They differ from the whole batch's, but not with the number of devices."""
  metrics, state = run('classmix', 'batch', 2, 1)
  other_metrics, other = run('classmix', 'batch', 2, 2)
  assert largest_difference(state, other) < 2e-5
  assert largest_difference(metrics, other_metrics) < 1e-5
  assert largest_difference(state, run('classmix', 'batch', 1, 1)[1]) > 1e-3


def test_fold():
  """Every micro-batch once, in order; merging inverts splitting."""
  x = np.arange(12.0).reshape(6, 2)
  parts = split_micro_batches(x, 3)
  assert parts.shape == (3, 2, 2)
  np.testing.assert_array_equal(merge_micro_batches(parts), x)

  def visit(carry, part):
    return (*carry, 100.0 + part[0, 0])

  assert [float(y) for y in fold_micro_batches(visit, (), parts)] == [100.0, 104.0, 108.0]
