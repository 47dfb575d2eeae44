"""The state before the first step."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from classmix_jax.core.devices import Devices, replicated
from classmix_jax.core.frozen import separate_frozen
from classmix_jax.types import Array, ArraySpec, Method, TrainState

CreateState = Any  # jitted function from a key to the state before step 0


def state_creator(
  method: Method, tx: optax.GradientTransformation, image: ArraySpec
) -> CreateState:
  """Returns a jitted function from a key to the state before step 0; see `create_state`.

  Example: `state_creator(method, tx, image).eval_shape(key)` has the shapes and computes nothing.
  """

  def create(key: Array) -> TrainState:
    params, model_state, method_state = method.init(key, image)
    state = TrainState(jnp.zeros((), jnp.int32), params, model_state, (), method_state)
    state = separate_frozen(state, method.averages, method.model.is_frozen)
    return state.replace(opt_state=tx.init(state.params))

  return jax.jit(create)


def create_state(
  method: Method, tx: optax.GradientTransformation, key: Array, image: ArraySpec, devices: Devices
) -> TrainState:
  """Returns the state before step 0, replicated on the devices.

  The step compiles only once because the state is placed before it.

  Args:
    method: the method.
    tx: the optimizer.
    key: decides the initial weights.
    image: `[B, H, W, 3]` array or `jax.ShapeDtypeStruct`; only its shape is used.
    devices: local devices of the step.
  """
  return jax.device_put(state_creator(method, tx, image)(key), replicated(devices))
