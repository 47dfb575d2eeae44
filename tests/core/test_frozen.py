"""Frozen parameters leave the state's networks and averages, and come back."""

import jax.numpy as jnp

from classmix_jax.core.frozen import bind_frozen, separate_frozen, with_frozen
from classmix_jax.types import TrainState

AVERAGES = {'teacher': 'segmenter'}


def is_frozen(path):
  return 'backbone' in path


def complete():
  network = {'backbone': {'a': jnp.ones(2)}, 'head': {'b': jnp.zeros(1)}}
  return TrainState(
    step=jnp.array(0),
    params={'segmenter': network, 'discriminator': {'c': jnp.ones(3)}},
    model_state={},
    opt_state=(),
    method_state={'teacher': network, 'bank': jnp.zeros(4)},
  )


def test_there_and_back():
  state = separate_frozen(complete(), AVERAGES, is_frozen)
  assert set(state.params['segmenter']) == set(state.method_state['teacher']) == {'head'}
  assert set(state.params['discriminator']) == {'c'}
  assert set(state.frozen) == {'segmenter'} and set(state.frozen['segmenter']) == {'backbone'}
  restored = with_frozen(state, AVERAGES)
  assert restored.frozen == {}
  for networks in (restored.params['segmenter'], restored.method_state['teacher']):
    assert set(networks) == {'backbone', 'head'}
    assert networks['backbone']['a'] is state.frozen['segmenter']['backbone']['a']  # one copy
  assert restored.method_state['bank'] is state.method_state['bank']


def test_nothing_frozen():
  state = separate_frozen(complete(), AVERAGES, lambda path: False)
  assert state.frozen == {} and with_frozen(state, AVERAGES) is state


def test_a_loss_of_the_trainable_parameters():
  loss = bind_frozen(lambda params, x: params['a'] * params['b'] * x, {'b': 3})
  assert loss({'a': 2}, 5) == 30
