"""Matrix products."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from classmix_jax.inference.export.onnx.axes import compute_reshape
from classmix_jax.inference.export.onnx.convolution import convolve_points
from classmix_jax.inference.export.onnx.elementwise import result_type
from classmix_jax.inference.export.onnx.graph import Graph
from classmix_jax.inference.export.onnx.value import IMAGE_ORDER, Value, reorder


class Factor(NamedTuple):
  """A factor of a product.

  Attributes:
    value: a `Value` or an array.
    batch: axes that both factors and the product have.
    summed: axes that both factors have and the product lacks.
    free: axes that this factor and the product have.
  """

  value: Any
  batch: tuple[int, ...]
  summed: tuple[int, ...]
  free: tuple[int, ...]

  def measure(self, axes: Sequence[int]) -> tuple[Any, ...]:
    """Returns the lengths of axes."""
    return tuple(self.value.shape[axis] for axis in axes)


def split_factors(equation: Any, left: Any, right: Any) -> tuple[Factor, Factor]:
  """Returns the factors of a `dot_general`."""
  summed, batch = equation.params['dimension_numbers']
  factors = []
  for value, one_summed, one_batch in zip((left, right), summed, batch, strict=True):
    used = {*one_summed, *one_batch}
    free = tuple(axis for axis in range(len(value.shape)) if axis not in used)
    factors.append(Factor(value, tuple(one_batch), tuple(one_summed), free))
  return factors[0], factors[1]


def lower_product(graph: Graph, equation: Any, left: Any, right: Any) -> Value:
  """Lowers dot_general."""
  first, second = split_factors(equation, left, right)
  shape, dtype = equation.outvars[0].aval.shape, result_type(equation)
  batch, count = len(first.batch), len(first.free)
  order = tuple(range(len(shape)))
  if isinstance(first.value, np.ndarray) or len(first.free) < len(second.free):
    # MatMul takes many axes of its first factor, but one of its second.
    first, second = second, first
    order = (*range(batch), *range(batch + count, len(shape)), *range(batch, batch + count))
  if is_pointwise(first, second):
    kernel = np.transpose(second.value, (*second.free, *second.summed))[:, :, None, None]
    name = convolve_points(graph, first.value, reorder(graph, kernel, range(4)))
    return Value(name, shape, dtype, tuple(order[axis] for axis in IMAGE_ORDER))
  if len(first.summed) == len(second.free) == 1 and (len(first.free) == 1 or not batch):
    rows = reorder(graph, first.value, (*first.batch, *first.free, *first.summed))
    columns = reorder(graph, second.value, (*second.batch, *second.summed, *second.free))
    return Value(graph.add('MatMul', rows.name, columns.name), shape, dtype, order)
  rows_name = join_axes(graph, first, (first.free, first.summed))
  columns_name = join_axes(graph, second, (second.summed, second.free))
  name = graph.add('MatMul', rows_name, columns_name)
  value = Value(name, (), dtype, ())
  lengths = [shape[axis] for axis in order]
  return Value(
    graph.add('Reshape', name, compute_reshape(graph, value, lengths)), shape, dtype, order
  )


def is_pointwise(first: Factor, second: Factor) -> bool:
  """Returns whether a product is a 1x1 convolution of features with the channels second."""
  return (
    isinstance(first.value, Value)
    and first.value.order == IMAGE_ORDER
    and first.summed == (3,)
    and not first.batch
    and isinstance(second.value, np.ndarray)
    and len(second.free) == 1
  )


def join_axes(graph: Graph, factor: Factor, groups: Sequence[tuple[int, ...]]) -> str:
  """Stores a factor as matrices, the axes of each group as one; returns its name."""
  order = (*factor.batch, *(axis for group in groups for axis in group))
  value = reorder(graph, factor.value, order)
  lengths: list[Any] = list(factor.measure(factor.batch))
  for group in groups:
    length: Any = 1
    for axis in group:
      length = length * factor.value.shape[axis]
    lengths.append(length)
  return graph.add('Reshape', value.name, compute_reshape(graph, value, lengths))


PRODUCTS: Mapping[str, Callable[..., Any]] = {'dot_general': lower_product}
