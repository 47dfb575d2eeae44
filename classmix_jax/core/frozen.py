"""Parameters that never change, kept once for a network and all of its averages.

Synopsis:

    state = separate_frozen(state, method.averages, method.model.is_frozen)
    full = with_frozen(state, method.averages)    # complete parameters everywhere

The optimizer, the gradient and the averages only have the other parameters.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flax.traverse_util import flatten_dict, unflatten_dict

from classmix_jax.types import PyTree, TrainState

IsFrozen = Callable[[Sequence[str]], bool]  # from the path of an array


def split_params(params: PyTree, is_frozen: IsFrozen) -> tuple[PyTree, PyTree]:
  """Returns the trainable and the frozen arrays of nested dicts.

  Example:
    >>> split_params({'a': {'x': 1}, 'b': {'y': 2}}, lambda path: path[0] == 'b')
    ({'a': {'x': 1}}, {'b': {'y': 2}})
  """
  flat = flatten_dict(params, keep_empty_nodes=True)
  frozen = {path for path in flat if is_frozen(path)}
  trainable = {path: x for path, x in flat.items() if path not in frozen}
  return unflatten_dict(trainable), unflatten_dict({path: flat[path] for path in frozen})


def merge_params(params: PyTree, frozen: PyTree) -> PyTree:
  """Returns the union of nested dicts, the inverse of `split_params`.

  Example:
    >>> merge_params({'a': {'x': 1}}, {'a': {'y': 2}})
    {'a': {'x': 1, 'y': 2}}
  """
  if not frozen:
    return params
  merged = {**flatten_dict(params, keep_empty_nodes=True), **flatten_dict(frozen)}
  return unflatten_dict(merged)


def bind_frozen(loss: Callable[..., Any], frozen: PyTree) -> Callable[..., Any]:
  """Returns `loss(params, ...)` as a function of the trainable parameters."""
  return lambda params, *arguments: loss(merge_params(params, frozen), *arguments)


def with_frozen(state: TrainState, averages: Mapping[str, str]) -> TrainState:
  """Returns the state with complete parameters of every network and average.

  Args:
    state: with or without frozen parameters.
    averages: see `Method.averages`.
  """
  if not state.frozen:
    return state
  method_state = {
    name: merge_params(x, state.frozen.get(averages.get(name, ''), {}))
    for name, x in state.method_state.items()
  }
  params = merge_params(state.params, state.frozen)
  return state.replace(params=params, method_state=method_state, frozen={})


def separate_frozen(
  state: TrainState, averages: Mapping[str, str], is_frozen: IsFrozen
) -> TrainState:
  """Moves parameters from the networks to `state.frozen`; averages lose the same ones.

  Args:
    state: with complete parameters.
    averages: see `Method.averages`.
    is_frozen: whether the parameter at a path never changes, e.g. `Segmenter.is_frozen`.
  """
  params, frozen = split_params(state.params, is_frozen)
  method_state = {
    name: split_params(x, is_frozen)[0] if averages.get(name) in frozen else x
    for name, x in state.method_state.items()
  }
  return state.replace(params=params, method_state=method_state, frozen=frozen)
