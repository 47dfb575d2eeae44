"""The teacher of a student: its first parameters, its averages and its variables."""

from collections.abc import Mapping

import jax.numpy as jnp
from jax.typing import ArrayLike

from classmix_jax.core.ema import ema_decay, ema_update
from classmix_jax.types import PyTree, TrainState


def add_teacher(params: PyTree, model_state: PyTree) -> tuple[PyTree, PyTree, PyTree]:
  """Returns `(params, model_state, method_state)` with a teacher copied from the student."""
  return (
    params,
    {**model_state, 'teacher': model_state['segmenter']},
    {'teacher': params['segmenter']},
  )


def move_teacher(state: TrainState, decay: ArrayLike) -> dict[str, PyTree]:
  """Returns the method state with the teacher moved towards the student."""
  teacher = ema_update(state.params['segmenter'], state.method_state['teacher'], decay)
  return {'teacher': teacher}


def average_statistics(
  state: TrainState, averages: Mapping[str, str], max_decay: float
) -> dict[str, PyTree]:
  """Returns the model state with the BN statistics of averages moved towards their networks'.

  These are the statistics after the previous step, so the decay is that step's.

  Args:
    state: before the step.
    averages: average -> network, as methods declare them.
    max_decay: see `ema_decay`.
  """
  decay = ema_decay(jnp.maximum(state.step - 1, 0), max_decay)
  statistics = state.model_state
  moved = {
    name: ema_update(statistics[network], statistics[name], decay)
    for name, network in averages.items()
    if name in statistics
  }
  return {**statistics, **moved}


def teacher_network(state: TrainState) -> dict[str, PyTree]:
  """Returns the teacher as an entry of a method's `networks`."""
  variables = {'params': state.method_state['teacher'], 'batch_stats': state.model_state['teacher']}
  return {'teacher': variables}
