"""The training step, the same for every method.

Synopsis:

    step = make_train_step(method, tx, seed=0, devices=devices)
    state, metrics = step(state, batch)
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
from jax import lax
import jax.numpy as jnp
import optax

from classmix_jax.core.devices import Devices
from classmix_jax.core.finite import all_finite, where_tree
from classmix_jax.core.frozen import bind_frozen, with_frozen
from classmix_jax.core.microbatch import fold_micro_batches
from classmix_jax.core.packing import pack_like, unpack
from classmix_jax.types import AXIS, Array, Batch, Method, Metrics, PyTree, TrainState

Optimizer: TypeAlias = optax.GradientTransformation
State: TypeAlias = Any  # a `TrainState`, or a `PackedState` of it
TrainStep = Callable[[State, Batch], tuple[State, Metrics]]


def accumulate_gradients(
  method: Method, state: TrainState, batch: Batch, key: Array
) -> tuple[PyTree, PyTree, Metrics]:
  """Returns `(gradients, model_state, metrics)`, summed over micro-batches `[A, b, ...]`."""
  complete = with_frozen(state, method.averages)
  targets, model_state, target_metrics = method.targets(complete, batch, key)
  # Memory of the targets' computation is released before the first micro-batch.
  targets = lax.optimization_barrier(targets)
  loss = bind_frozen(method.loss, state.frozen)

  def add(carry: tuple, micro_batch: PyTree) -> tuple:
    model_state, total = carry
    (_, (model_state, metrics)), gradients = jax.value_and_grad(loss, has_aux=True)(
      state.params, model_state, micro_batch
    )
    new = gradients, metrics
    return model_state, new if total is None else jax.tree.map(jnp.add, total, new)

  model_state, (gradients, metrics) = fold_micro_batches(add, (model_state, None), targets)
  return gradients, model_state, {**target_metrics, **metrics}


def apply_gradients(
  method: Method, tx: Optimizer, state: TrainState, gradients: PyTree, model_state: PyTree
) -> TrainState:
  """Updates the parameters, then what the method derives from them, e.g. an EMA."""
  updates, opt_state = tx.update(gradients, state.opt_state, state.params)
  params = optax.apply_updates(state.params, updates)
  state = state.replace(params=params, model_state=model_state, opt_state=opt_state)
  return state.replace(method_state=method.finish(state), step=state.step + 1)


def keep_if_finite(finite: Array, new: State, old: State, on_nonfinite: str) -> State:
  """Returns `new` if `finite`, else `old`.

  The step still counts with 'skip'. With 'stop', `old.step` = s is replaced by -1 - s, and every
  later step returns that state until the host ends the training run.
  """
  if on_nonfinite == 'skip':
    return where_tree(finite, new, old).replace(step=new.step)
  mark = jnp.where(old.step < 0, old.step, -1 - old.step)
  return where_tree(finite & (old.step >= 0), new, old.replace(step=mark))


def train_step(
  method: Method, tx: Optimizer, key: Array, on_nonfinite: str, old: State, batch: Batch
) -> tuple[State, Metrics]:
  """Computes one update; runs under `pmap` over `AXIS`.

  All randomness derives from (`key`, step, index in the global batch), so it does not depend on
  devices, micro-batches or restarts. `metrics['finite']` is 1 if the step is finite, else 0.
  """
  state = unpack(old)
  # The 0 is part of the stream of keys that published scores and reference values were drawn from.
  key = jax.random.fold_in(jax.random.fold_in(key, state.step), 0)
  gradients, model_state, metrics = accumulate_gradients(method, state, batch, key)
  gradients, metrics = lax.pmean((gradients, metrics), AXIS)
  new = apply_gradients(method, tx, state, gradients, model_state)
  finite = all_finite((gradients, metrics, model_state))
  metrics = {**metrics, 'finite': finite.astype(jnp.float32)}
  return keep_if_finite(finite, pack_like(new, old), old, on_nonfinite), metrics


def make_train_step(
  method: Method,
  tx: Optimizer,
  seed: int,
  devices: Devices,
  *,
  accumulate: int = 1,
  on_nonfinite: str = 'stop',
) -> TrainStep:
  """Returns `train_step` under `pmap`; the state is donated, and packed afterwards if it was.

  Batches are `[devices, A, per_device, ...]` with A = `accumulate` micro-batches. `seed` is that of
  the random keys.
  """

  def step(state: State, batch: Batch) -> tuple[State, Metrics]:
    if len(batch.labeled.image) != accumulate:
      raise ValueError(f'{len(batch.labeled.image)} micro-batches, accumulate={accumulate}')
    return train_step(method, tx, jax.random.key(seed), on_nonfinite, state, batch)

  # Across processes `pmap` finds all devices itself.
  local = list(devices) if jax.process_count() == 1 else None
  specs: dict[str, Any] = {'in_axes': (None, 0), 'out_axes': (None, None), 'donate_argnums': 0}
  return jax.pmap(step, axis_name=AXIS, devices=local, **specs)
