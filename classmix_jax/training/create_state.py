"""The state before the first step."""

import jax
import jax.numpy as jnp
import optax

from classmix_jax.core.devices import Devices, replicated
from classmix_jax.core.frozen import separate_frozen
from classmix_jax.types import Array, ArraySpec, Method, TrainState


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

  def create(key: Array) -> TrainState:
    params, model_state, method_state = method.init(key, image)
    state = TrainState(jnp.zeros((), jnp.int32), params, model_state, (), method_state)
    state = separate_frozen(state, method.averages, method.model.is_frozen)
    return state.replace(opt_state=tx.init(state.params))

  return jax.device_put(jax.jit(create)(key), replicated(devices))
