"""A packed state has the same arrays, and a step of it the same bits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

from classmix_jax.core.optim import poly_optimizer
from classmix_jax.core.packing import SMALL, pack, pack_like, unpack
from classmix_jax.training.create_state import create_state
from classmix_jax.training.step import make_train_step
from classmix_jax.types import TrainState


def test_small_arrays_are_joined_by_dtype():
  large = np.arange(SMALL, dtype=np.float32).reshape(2, -1)
  state = TrainState(
    jnp.int32(7),
    {'a': jnp.array([[1.0, 2.0], [3.0, 4.0]]), 'b': jnp.array(large)},
    {'a': jnp.array([5.0])},
    (jnp.int32(8), {}),
    {'bank': jnp.array([9, 10], jnp.int32), 'none': None, 'half': jnp.array(0.5, jnp.bfloat16)},
  )
  packed = pack(state)
  assert packed.step == 7
  assert {name: x.tolist() for name, x in packed.vectors.items()} == {
    'float32': [1, 2, 3, 4, 5],
    'int32': [8, 9, 10],
    'bfloat16': [0.5],
  }
  (array,) = packed.large
  np.testing.assert_array_equal(array, large)
  again = unpack(packed)
  assert jax.tree.structure(again) == jax.tree.structure(state)
  jax.tree.map(np.testing.assert_array_equal, again, state)
  assert [x.dtype for x in jax.tree.leaves(again)] == [x.dtype for x in jax.tree.leaves(state)]
  assert again.params['b'] is state.params['b']  # not copied


def test_only_a_packed_state_is_packed_again():
  state = small.place(small.start('supervised'), jax.devices()[:1])
  packed = pack(state)
  assert unpack(state) is state and pack_like(state, state) is state
  assert pack_like(state, packed).layout is packed.layout
  jax.tree.map(np.testing.assert_array_equal, pack_like(state, packed), packed)


@pytest.mark.parametrize(
  'name, options',
  [
    ('mean_teacher', {'rule': 'sgd', 'head_multiplier': 10.0}),
    pytest.param('s4gan', {'rule': 'adam'}, marks=pytest.mark.slow),
    pytest.param('cps', {'rule': 'adamw', 'freeze_bn_affine': True}, marks=pytest.mark.slow),
  ],
)
def test_a_packed_step_has_the_same_bits(name, options):
  method, local = small.method(name), jax.devices()[:1]
  tx = poly_optimizer(0.1, 10, **options, others=method.optimizers(10, 0.9))
  image = jax.ShapeDtypeStruct((1, *small.SIZE, 3), jnp.float32)
  step = make_train_step(method, tx, 0, local)

  def run(start):
    state = start(create_state(method, tx, jax.random.key(0), image, local))
    for index in range(2):
      state, metrics = step(state, small.shard(small.batch(index), 1))
    return jax.device_get((unpack(state), metrics))

  jax.tree.map(np.testing.assert_array_equal, run(pack), run(lambda state: state))
