"""Values of a graph, stored in any order of axes.

JAX's convolutions have the channels last, `[b, h, w, F]`, those of ONNX have them second. A value
is stored as its node computes it, with the order of its axes; it is transposed where a node needs
another order only.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from classmix_jax.inference.export.onnx.graph import Graph

IMAGE_RANK = 4  # of features [b, h, w, F]
IMAGE_ORDER = (0, 3, 1, 2)  # in which a convolution stores them


class Value(NamedTuple):
  """A value of a graph.

  Attributes:
    name: in the graph.
    shape: in JAX's order; integers or symbolic dimensions.
    dtype: of NumPy.
    order: JAX's axis at each position in which it is stored.
  """

  name: str
  shape: tuple[Any, ...]
  dtype: Any
  order: tuple[int, ...]

  @property
  def stored_shape(self) -> tuple[Any, ...]:
    """The lengths in the order in which it is stored."""
    return tuple(self.shape[axis] for axis in self.order)

  def locate(self, axes: Sequence[int]) -> list[int]:
    """Returns the positions at which axes are stored."""
    return [self.order.index(axis) for axis in axes]

  def count_long_axes(self) -> int:
    """Returns the number of axes with another length than 1."""
    return sum(not is_one(length) for length in self.shape)


def is_one(length: Any) -> bool:
  """Returns whether a dimension is always 1."""
  return isinstance(length, int) and length == 1


def to_value(graph: Graph, value: Any) -> Value:
  """Returns a value as it is, and an array as a constant of the graph."""
  if isinstance(value, Value):
    return value
  return store_constant(graph, value, tuple(range(value.ndim)))


def store_constant(graph: Graph, array: np.ndarray, order: tuple[int, ...]) -> Value:
  """Adds an array to the graph with its axes in some order."""
  name = graph.add_constant(np.transpose(array, order))
  return Value(name, array.shape, array.dtype, order)


def reorder(graph: Graph, value: Any, order: Sequence[int]) -> Value:
  """Returns a value, or an array, stored in some order of its axes."""
  order = tuple(order)
  if isinstance(value, np.ndarray):
    return store_constant(graph, value, order)
  if value.order == order:
    return value
  ones = {axis for axis, length in enumerate(value.shape) if is_one(length)}
  if [axis for axis in value.order if axis not in ones] == [x for x in order if x not in ones]:
    # No element moves.
    before = graph.add_integers(i for i, axis in enumerate(value.order) if axis in ones)
    after = graph.add_integers(i for i, axis in enumerate(order) if axis in ones)
    name = graph.add('Unsqueeze', graph.add('Squeeze', value.name, before), after)
  else:
    name = graph.add('Transpose', value.name, perm=value.locate(order))
  return value._replace(name=name, order=order)


def sort_axes(graph: Graph, value: Any) -> Value:
  """Returns a value, or an array, stored in JAX's order."""
  return reorder(graph, value, range(len(value.shape)))
