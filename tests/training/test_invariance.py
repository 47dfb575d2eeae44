"""Invariants: any device count, equal replicas, no leak of labels, one compilation.

Everything is read off the same few compiled steps: per method one on 1 and one on 2
devices, the last with every device's result kept. One method goes down to one image per
device, on 8: what differs there, the ring of partners, is the same for all.
"""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np
import pytest
import small

from classmix_jax.methods import METHODS
from classmix_jax.training.step import make_train_step

DEVICES = (1, 2, 4, 8)
RINGED = 'classmix'  # the method on all of them
# These keep the original's augmentation; the others compile faster without.
AUGMENTED = {
  'classmix': dict(jitter=0.25, blur=True),
  'unimatch_v2': dict(strength=1.0, grey=0.2, blur=True),
}


@dataclasses.dataclass
class Counted:
  """A method that counts how often its loss is traced."""

  method: Any
  traces: int = 0

  def __getattr__(self, name):
    return getattr(self.method, name)

  def loss(self, *arguments):
    self.traces += 1
    return self.method.loss(*arguments)


def without_device_axis(step, devices):
  """Makes a step that keeps all replicas look like one that keeps the first, after a check."""

  def checked(state, batch):
    result = jax.device_get(step(state, batch))

    def first(path, x):
      for replica in x[1:]:
        np.testing.assert_array_equal(replica, x[0], err_msg=jax.tree_util.keystr(path))
      return x[0]

    state, metrics = jax.tree.map_with_path(first, result)
    return small.place(state, devices), metrics

  return checked


class World:
  """One method on all numbers of devices."""

  def __init__(self, name):
    self.name = name
    options = AUGMENTED.get(name, {})
    self.method = small.method(name, **options)
    self.tx = small.optimizer(self.method)
    self.start = small.start(name)
    self.counted = {devices: Counted(self.method) for devices in DEVICES}

  @functools.cache  # noqa: B019
  def step(self, devices):
    def make():
      return make_train_step(self.counted[devices], self.tx, 0, jax.devices()[:devices])

    if devices != 2:
      return make()
    with pytest.MonkeyPatch.context() as patch:
      pmap = jax.pmap
      patch.setattr(jax, 'pmap', lambda f, **options: pmap(f, **(options | dict(out_axes=0))))
      return without_device_axis(make(), jax.devices()[:devices])

  def run(self, devices, batches):
    """Returns (metrics of every step, final state) as NumPy arrays."""
    state, metrics = small.place(self.start, jax.devices()[:devices]), []
    for batch in batches:
      state, new = self.step(devices)(state, small.shard(batch, devices))
      metrics.append(jax.device_get(new))
    return metrics, jax.device_get(state)

  @functools.cache  # noqa: B019
  def two_steps(self, devices):
    return self.run(devices, [small.batch(0), small.batch(1)])


# The others differ from these by a mask or a number only.
SAME = {'mean_teacher', 'cutmix_french', 'fixmatch'}


@pytest.fixture(scope='module', params=[name for name in METHODS if name not in SAME])
def world(request):
  return World(request.param)


def assert_same(a, b):
  jax.tree.map(np.testing.assert_array_equal, a, b)


def assert_close(a, b, rtol, atol):
  def compare(path, x, y):
    np.testing.assert_allclose(x, y, rtol=rtol, atol=atol, err_msg=jax.tree_util.keystr(path))

  jax.tree.map_with_path(compare, a, b)


def test_the_small_world_is_worth_testing(world):
  """Losses are there, pixels are partly confident, and weights move."""
  metrics, state = world.two_steps(1)
  for row in metrics:
    assert row['loss/sup'] > 0.1
    assert row.get('loss/unsup', 1.0) > 0.005 and 0.05 < row.get('confident_share', 0.5) < 0.95
  change = jax.tree.map(lambda x, y: np.abs(x - y).max(), state.params, world.start.params)
  assert min(jax.tree.leaves(change)) > 5e-5 and max(jax.tree.leaves(change)) > 1e-2


@pytest.mark.parametrize('devices', DEVICES[1:])
def test_number_of_devices_changes_nothing(world, devices):
  """On 2 devices the replicas are also compared."""
  if devices > 2 and world.name != RINGED:
    return
  metrics, state = world.two_steps(1)
  other_metrics, other_state = world.two_steps(devices)
  assert_close(metrics, other_metrics, rtol=1e-4, atol=1e-6)
  assert_close(state, other_state, rtol=1e-4, atol=2e-5)
  assert int(other_state.step) == 2


# The confidence of one pixel among 6,144 is the threshold, to rounding: on 8 devices it counts.
ONE_PIXEL = {'unimatch_v2': 2e-4}


@pytest.mark.slow
@pytest.mark.parametrize('name', METHODS)
def test_losses_of_twenty_steps(name):
  """They are those of one device on 2, 4 and 8, where each has one image."""
  long, batches = World(name), [small.batch(seed) for seed in range(20)]

  def losses(devices):
    rows, _ = long.run(devices, batches)
    return np.array([[row[key] for key in sorted(row) if key.startswith('loss/')] for row in rows])

  alone = losses(1)
  assert np.ptp(alone, axis=0).max() > 0.05  # something happens
  for devices in DEVICES[1:]:
    np.testing.assert_allclose(
      losses(devices), alone, atol=ONE_PIXEL.get(name, 1e-4), err_msg=f'{devices}'
    )


def test_labels_of_unlabelled_images_do_not_leak(world):
  """Methods that write pseudo-labels there declare it in their stages."""
  if any(stage.fraction is not None for stage in world.method.stages(1000)):
    return
  batches = [small.batch(0), small.batch(1)]
  garbage = np.random.default_rng(9).integers(0, 256, batches[0].labeled.label.shape, np.uint8)
  batches_with_labels = [x._replace(unlabeled=x.unlabeled._replace(label=garbage)) for x in batches]
  assert_same(world.two_steps(2), world.run(2, batches_with_labels))


def test_order_of_steps_and_seeds_matter(world):
  """The opposite of a leak: what should matter does."""
  other = world.run(2, [small.batch(1), small.batch(0)])
  assert float(other[0][0]['loss/sup']) != float(world.two_steps(2)[0][0]['loss/sup'])


def test_the_step_compiles_once(world):
  compiled = []

  def listen(event, duration, **_):
    return compiled.append(event)

  batches = [small.batch(seed) for seed in range(3)]
  world.two_steps(2)
  step, devices = world.step(2), jax.devices()[:2]
  state = small.place(world.start, devices)
  state, _ = step(state, small.shard(batches[0], 2))
  jax.monitoring.register_event_duration_secs_listener(listen)
  try:
    for batch in batches[1:]:
      state, _ = step(state, small.shard(batch, 2))
    jax.block_until_ready(state)
  finally:
    jax.monitoring.unregister_event_duration_listener(listen)
  assert [event for event in compiled if 'compile' in event or 'trace' in event] == []
  assert world.counted[2].traces == 1


def test_supervised_ignores_unlabelled_images():
  world = World('supervised')
  batch = small.batch(0)
  garbage = jax.tree.map(lambda x: x[::-1] ^ True, batch.unlabeled)
  assert_same(world.run(1, [batch]), world.run(1, [batch._replace(unlabeled=garbage)]))


def test_two_equal_micro_batches_are_one():
  """Gradients and losses are equal; BN statistics are not: they move once per micro-batch."""
  world = World('supervised')
  batch = small.batch(0)
  (row,), once = world.run(1, [batch])
  step = make_train_step(world.method, world.tx, 0, jax.devices()[:1], accumulate=2)
  double = jax.tree.map(lambda x: np.concatenate([x, x], axis=1), small.shard(batch, 1))
  twice, metrics = jax.device_get(step(small.place(world.start, jax.devices()[:1]), double))
  assert_close(metrics, row, rtol=1e-6, atol=0)
  assert_close(twice.params, once.params, rtol=1e-5, atol=1e-6)

  def second_move_is_nine_tenths(begin, first, second):
    np.testing.assert_allclose(second - first, 0.9 * (first - begin), rtol=1e-3, atol=1e-5)

  jax.tree.map(
    second_move_is_nine_tenths, world.start.model_state, once.model_state, twice.model_state
  )
  with pytest.raises(ValueError, match='1 micro-batches, accumulate=2'):
    step(small.place(world.start, jax.devices()[:1]), small.shard(batch, 1))


def test_teacher_follows():
  """It equals the student after step 0, and is halfway after step 1.

  No gradient can reach it: `loss` does not take the method's state.
  """
  world = World('mean_teacher')
  _, first = world.run(1, [small.batch(0)])
  assert_close(first.method_state['teacher'], first.params['segmenter'], rtol=0, atol=1e-7)
  _, second = world.two_steps(1)
  halfway = jax.tree.map(
    lambda x, y: (x + y) / 2, first.params['segmenter'], second.params['segmenter']
  )
  assert_close(second.method_state['teacher'], halfway, rtol=1e-4, atol=1e-6)
