"""Creates the train state that a run starts or resumes from.

Synopsis:

    state, origin = initial_state(setup, run, weights, manager, tx)
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import orbax.checkpoint as ocp

from classmix_jax.config.setup import Setup
from classmix_jax.core.devices import replicated
from classmix_jax.core.frozen import separate_frozen, with_frozen
from classmix_jax.pretrained import initialize
from classmix_jax.pretrained.load import Weights
from classmix_jax.training.create_state import create_state
from classmix_jax.types import Method, PyTree, TrainState
from classmix_jax.workdir import checkpoint, run_files


def keep_head(loaded: PyTree, created: PyTree) -> PyTree:
  """Returns loaded variables with the head of the created ones, if there is one."""
  heads = {kind: {'head': x['head']} if 'head' in x else {} for kind, x in created.items()}
  return {kind: {**loaded[kind], **heads[kind]} for kind in created}


def load_weights(
  state: TrainState, weights: Weights, method: Method, devices: list
) -> tuple[TrainState, dict[str, Any]]:
  """Loads weights into every segmentation network and its average.

  Students other than the first keep their own head, without which they would never differ.

  Returns:
    The state, and the origin of the weights, see `run_files.write_pretrained`.
  """
  state = with_frozen(state, method.averages)
  averages, params, statistics = method.averages, dict(state.params), {}
  origin: dict[str, Any] = {}
  # Discriminators have no statistics, and averages are not in `params`.
  for name in [name for name in params if name in state.model_state]:
    created = jax.device_get({'params': params[name], 'batch_stats': state.model_state[name]})
    loaded, origin = initialize.initialize_from_weights(created, weights)
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


def initial_state(
  setup: Setup,
  run: Path,
  weights: Weights | None,
  manager: ocp.CheckpointManager,
  tx: optax.GradientTransformation,
) -> tuple[TrainState, Mapping[str, Any]]:
  """Restores the newest checkpoint, or creates the state before step 0.

  Args:
    setup: of the training run.
    run: directory of the run.
    weights: to start from, or None.
    manager: of the run's checkpoints.
    tx: optimizer of the first stage.

  Returns:
    The state on the devices, and the origin of its initial weights, {} from scratch.

  Raises:
    UserError: no checkpoint is readable, or the weights do not fit the network.
  """
  # 'rbg' compiles eight times faster than the default generator, once per array.
  key = jax.random.key(setup.seed, impl='rbg')
  image = jax.ShapeDtypeStruct((1, *setup.image_size, 3), np.float32)
  state = create_state(setup.method, tx, key, image, setup.devices)
  origin = run_files.read_pretrained(run)
  restored = checkpoint.restore_newest(manager, state)
  if restored is not None:
    return restored, origin
  if weights is not None:
    state, origin = load_weights(state, weights, setup.method, setup.devices)
    run_files.write_pretrained(run, origin)
  return state, origin
