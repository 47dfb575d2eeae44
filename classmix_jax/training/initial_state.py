"""Creates the train state that a run starts or resumes from.

Synopsis:

    create = setup_creator(setup, tx)
    check_fits(setup, run, weights, create)                  # reads only, before the run is opened
    state, origin = initial_state(setup, run, weights, manager, create)
"""

from collections.abc import Mapping, Sequence
import contextlib
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import orbax.checkpoint as ocp

from classmix_jax.config.setup import Setup
from classmix_jax.core.devices import replicated
from classmix_jax.core.frozen import separate_frozen, with_frozen
from classmix_jax.errors import UserError
from classmix_jax.pretrained import initialize
from classmix_jax.pretrained.load import Weights
from classmix_jax.training.create_state import CreateState, state_creator
from classmix_jax.types import Array, Method, PyTree, TrainState
from classmix_jax.workdir import checkpoint, checkpoint_lookup, run_files
from classmix_jax.workdir.array_shapes import describe_misfit


def keep_head(loaded: PyTree, created: PyTree) -> PyTree:
  """Returns loaded variables with the head of the created ones, if there is one."""
  heads = {kind: {'head': x['head']} if 'head' in x else {} for kind, x in created.items()}
  return {kind: {**loaded[kind], **heads[kind]} for kind in created}


def load_weights(
  state: TrainState, weights: Weights, method: Method, devices: list, class_names: Sequence[str]
) -> tuple[TrainState, dict[str, Any]]:
  """Loads weights into every segmentation network and its average.

  Students other than the first keep their own head, without which they would never differ.

  Args:
    state: before step 0.
    weights: to start from.
    method: the method.
    devices: local devices of the step.
    class_names: name of class 0, 1, ...

  Returns:
    The state, and the origin of the weights, see `run_files.write_pretrained`.
  """
  state = with_frozen(state, method.averages)
  averages, params, statistics = method.averages, dict(state.params), {}
  origin: dict[str, Any] = {}
  # Discriminators have no statistics, and averages are not in `params`.
  for name in [name for name in params if name in state.model_state]:
    created = jax.device_get({'params': params[name], 'batch_stats': state.model_state[name]})
    loaded, origin = initialize.initialize_from_weights(created, weights, method.model, class_names)
    if name != 'segmenter':
      loaded = keep_head(loaded, created)
    params[name], statistics[name] = loaded['params'], loaded['batch_stats']
  state = state.replace(
    params=params,
    model_state={
      name: statistics.get(averages.get(name, name), value)
      for name, value in state.model_state.items()
    },
    method_state={
      name: params[averages[name]] if averages.get(name) in statistics else value
      for name, value in state.method_state.items()
    },
  )
  state = separate_frozen(state, averages, method.model.is_frozen)
  return jax.device_put(state, replicated(devices)), origin


def initial_key(setup: Setup) -> Array:
  """Returns the key of the initial weights."""
  # 'rbg' compiles eight times faster than the default generator, once per array.
  return jax.random.key(setup.seed, impl='rbg')


def setup_creator(setup: Setup, tx: optax.GradientTransformation) -> CreateState:
  """Returns the jitted function that creates the state before step 0 of a training run."""
  image = jax.ShapeDtypeStruct((1, *setup.image_size, 3), np.float32)
  return state_creator(setup.method, tx, image)


def check_fits(setup: Setup, run: Path, weights: Weights | None, create: CreateState) -> None:
  """Checks that the newest checkpoint, or the weights, fit the network; writes nothing.

  Args:
    setup: of the training run.
    run: directory of the run.
    weights: to start from, or None.
    create: see `setup_creator`.

  Raises:
    UserError: they are of another network or method.
  """
  state = create.eval_shape(initial_key(setup))
  for step in checkpoint_lookup.list_steps(run / 'checkpoints'):
    # A corrupt checkpoint is moved away when the run has started, and the one before is taken.
    with contextlib.suppress(OSError):
      if misfit := describe_misfit(run / 'checkpoints' / str(step), state):
        raise UserError(misfit)
      return
  if weights is not None:
    state = with_frozen(state, setup.method.averages)
    name = next(name for name in state.params if name in state.model_state)
    tree = {'params': state.params[name], 'batch_stats': state.model_state[name]}
    initialize.check_weights(tree, weights)


def initial_state(
  setup: Setup,
  run: Path,
  weights: Weights | None,
  manager: ocp.CheckpointManager,
  create: CreateState,
) -> tuple[TrainState, Mapping[str, Any]]:
  """Restores the newest checkpoint, or creates the state before step 0.

  Args:
    setup: of the training run.
    run: directory of the run.
    weights: to start from, or None.
    manager: of the run's checkpoints.
    create: see `setup_creator`.

  Returns:
    The state on the devices, and the origin of its initial weights, {} from scratch.

  Raises:
    UserError: no checkpoint is readable, or the weights do not fit the network.
  """
  state = jax.device_put(create(initial_key(setup)), replicated(setup.devices))
  restored = checkpoint.restore_newest(manager, state)
  if restored is not None:
    return restored, run_files.read_pretrained(run)
  if weights is None:
    return state, {}
  names = setup.dataset.class_names
  return load_weights(state, weights, setup.method, setup.devices, names)
