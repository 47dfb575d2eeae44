"""The one training step and the one loop, for every method.

Synopsis:

    devices = jax.local_devices()
    state = create_state(method, tx, jax.random.key(0), image, devices)
    train_step = make_train_step(method, tx, seed=0, devices=devices)
    for batch in to_devices(batches, devices):
      state, metrics = train_step(state, batch)
"""

from collections.abc import Callable

import jax
from jax import lax
import jax.numpy as jnp
import optax

from classmix_jax.core.devices import Devices, replicated
from classmix_jax.core.finite import all_finite, where_tree
from classmix_jax.core.microbatch import in_turn
from classmix_jax.types import AXIS, Array, Batch, Method, Metrics, PyTree, TrainState

TrainStep = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


def create_state(
  method: Method, tx: optax.GradientTransformation, key: Array, image: Array, devices: Devices
) -> TrainState:
  """Returns the state before step 0, already on the devices.

  Placing it once, replicated, is what makes the step compile only once.

  Args:
    method: the method.
    tx: the optimizer.
    key: decides the initial weights.
    image: `[B, H, W, 3]` array or `jax.ShapeDtypeStruct`, only its shape counts.
    devices: the local devices of the step.
  """

  def create(key: Array) -> TrainState:
    params, model_state, method_state = method.init(key, image)
    return TrainState(
      step=jnp.zeros((), jnp.int32),
      params=params,
      model_state=model_state,
      opt_state=tx.init(params),
      method_state=method_state,
    )

  return jax.device_put(jax.jit(create)(key), replicated(devices))


def whole_gradient(
  method: Method, state: TrainState, batch: Batch, key: Array
) -> tuple[PyTree, PyTree, Metrics]:
  """Sums the gradient over micro-batches, one after the other.

  Args:
    method: the method.
    state: the train state.
    batch: arrays with a leading axis of micro-batches, `[A, per_device, ...]`.
    key: the step's key.

  Returns:
    `(gradient, model_state, metrics)` of this device's share of the whole
    batch. Only BN statistics are those of each micro-batch: where they are
    frozen, the gradient does not depend on A.
  """
  targets, model_state, metrics = method.targets(
    state.params, state.model_state, state.method_state, batch, key, state.step
  )
  # What has made the targets is out of memory before the first micro-batch begins.
  params, targets = lax.optimization_barrier((state.params, targets))

  def add(params: PyTree, carry: tuple, micro: PyTree) -> tuple:
    model_state, total = carry
    (_, (model_state, metrics)), gradient = jax.value_and_grad(method.loss, has_aux=True)(
      params, model_state, micro
    )
    new = gradient, metrics
    return model_state, new if total is None else jax.tree.map(jnp.add, total, new)

  model_state, (gradient, summed) = in_turn(add, params, (model_state, None), targets)
  return gradient, model_state, {**metrics, **summed}


def guarded(finite: Array, new: TrainState, old: TrainState, on_nan: str) -> TrainState:
  """Returns the state after a step, or the one before it where the step is not finite.

  'skip' goes on with the next step. 'stop' goes on nowhere: until the host looks, every later
  step returns the state before the first bad one, whose `step` s is written as -1 - s.

  Args:
    finite: bool scalar, of this step.
    new: after it.
    old: before it.
    on_nan: one of `ON_NAN`.
  """
  if on_nan == 'skip':
    return where_tree(finite, new, old).replace(step=new.step)
  stopped = old.step < 0
  where = jnp.where(stopped, old.step, -1 - old.step)
  return where_tree(finite & ~stopped, new, old.replace(step=where))


def make_train_step(
  method: Method,
  tx: optax.GradientTransformation,
  seed: int,
  devices: Devices,
  *,
  accumulate: int = 1,
  on_nan: str = 'stop',
) -> TrainStep:
  """Returns the pmapped `train_steps(state, batches) -> (state, metrics)`: one step, or several.

  The state is donated. All randomness derives from (seed, step, index in the
  global batch), so neither devices nor micro-batches nor a restart change it, nor how many
  steps are given at once: K of them are one program, and the host need not keep up.

  Args:
    method: the method.
    tx: the optimizer.
    seed: of the random keys.
    devices: the local devices.
    accumulate: number of micro-batches A; batches are `[D, K A, per_device, ...]`.
    on_nan: one of `ON_NAN`.

  Returns:
    The function. Where K is not 1, its metrics have a leading axis K, see `logbook.one_by_one`.
    One of them, `finite`, is 1 where loss, gradient and statistics of a step are, else 0.
  """

  def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
    # A second fold, so that runs of older versions go on with the draws that they had.
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), state.step), 0)
    gradient, model_state, metrics = whole_gradient(method, state, batch, key)
    gradient, metrics = lax.pmean((gradient, metrics), AXIS)
    updates, opt_state = tx.update(gradient, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    method_state = method.finish(params, state.method_state, state.step)
    new = TrainState(
      step=state.step + 1,
      params=params,
      model_state=model_state,
      opt_state=opt_state,
      method_state=method_state,
    )
    finite = all_finite((gradient, metrics, model_state))
    metrics = {**metrics, 'finite': finite.astype(jnp.float32)}
    return guarded(finite, new, state, on_nan), metrics

  def train_steps(state: TrainState, batches: Batch) -> tuple[TrainState, Metrics]:
    leading = batches.labeled.image.shape[0]
    if leading % accumulate:
      raise ValueError(
        f'batch has {leading} micro-batches, no multiple of accumulate, which is {accumulate}'
      )
    if leading == accumulate:
      return train_step(state, batches)
    steps = jax.tree.map(lambda x: x.reshape(-1, accumulate, *x.shape[1:]), batches)
    # Inside a loop XLA's CPU backend runs convolutions ten times slower.
    return lax.scan(train_step, state, steps, unroll=devices[0].platform == 'cpu')

  return jax.pmap(
    train_steps,
    axis_name=AXIS,
    in_axes=(None, 0),
    out_axes=(None, None),
    donate_argnums=0,
    devices=list(devices) if jax.process_count() == 1 else None,
  )
