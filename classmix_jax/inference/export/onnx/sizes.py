"""Sizes that differ from call to call, as int64 values of a graph.

Synopsis:

    read_sizes(graph, 'images', ('b', 'h', 'w', 3))
    padded = compute_size(graph, '32*floordiv(h + 31, 32)')
    shape = compute_shape(graph, (batch, 3, padded))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from classmix_jax.inference.export.dimensions import evaluate
from classmix_jax.inference.export.onnx.graph import Graph


class Size:
  """An int64 vector of length 1 that computes like an integer."""

  def __init__(self, graph: Graph, name: str):
    self.graph, self.name = graph, name

  def __add__(self, other: Any) -> Size:
    return combine('Add', self, other)

  def __sub__(self, other: Any) -> Size:
    return combine('Sub', self, other)

  def __rsub__(self, other: Any) -> Size:
    return combine('Sub', other, self)

  def __mul__(self, other: Any) -> Size:
    return combine('Mul', self, other)

  __radd__, __rmul__ = __add__, __mul__


def combine(operator: str, left: Any, right: Any) -> Size:
  """Applies an operator to two sizes, one of which may be an integer."""
  graph = left.graph if isinstance(left, Size) else right.graph
  return Size(graph, graph.add(operator, *(name_size(graph, size) for size in (left, right))))


def name_size(graph: Graph, size: Any) -> str:
  """Returns the name of a size or an integer in a graph."""
  return size.name if isinstance(size, Size) else graph.add_integers([size])


def floor_divide(left: Any, right: Any) -> Any:
  """Divides and rounds down; ONNX's Div rounds towards 0."""
  if isinstance(left, int) and isinstance(right, int):
    return left // right
  return combine('Div', combine('Sub', left, combine('Mod', left, right)), right)


def _choose(operator: str, of_integers: Callable) -> Callable:
  """Returns a function of two sizes: an operator, or a function if both are integers."""

  def call(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int):
      return of_integers(left, right)
    return combine(operator, left, right)

  return call


FUNCTIONS: Mapping[str, Callable] = {
  'floordiv': floor_divide,
  'mod': _choose('Mod', int.__mod__),
  'max': _choose('Max', max),
  'min': _choose('Min', min),
}


def read_sizes(graph: Graph, images: str, shape: Sequence[Any]) -> None:
  """Adds the sizes of an input to a graph: those in its shape that are no integers."""
  for axis, length in enumerate(shape):
    if not isinstance(length, int):
      name = graph.add('Shape', images, start=axis, end=axis + 1)
      graph.sizes[str(length)] = Size(graph, name)


def compute_size(graph: Graph, dimension: Any) -> int | Size:
  """Returns a dimension of a shape as an integer or a size."""
  return evaluate(dimension, graph.sizes, FUNCTIONS)


def compute_shape(graph: Graph, dimensions: Sequence[Any]) -> str:
  """Returns the name of the int64 vector of some dimensions."""
  if not dimensions:
    return graph.add_integers([])
  sizes = [compute_size(graph, dimension) for dimension in dimensions]
  if all(isinstance(size, int) for size in sizes):
    return graph.add_integers(sizes)  # type: ignore[arg-type]
  return graph.add('Concat', *(name_size(graph, size) for size in sizes), axis=0)


def compute_scalar(graph: Graph, dimension: Any) -> str:
  """Returns the name of a dimension as an int64 scalar."""
  size = compute_size(graph, dimension)
  if isinstance(size, int):
    return graph.add_constant(np.int64(size))
  return graph.add('Squeeze', size.name, graph.add_integers([0]))
