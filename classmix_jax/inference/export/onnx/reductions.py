"""Sums, maxima and minima along axes, and the index of a maximum."""

from collections.abc import Callable, Mapping
from typing import Any

from classmix_jax.inference.export.onnx.axes import drop_axes
from classmix_jax.inference.export.onnx.elementwise import convert, onnx_type, result_type
from classmix_jax.inference.export.onnx.graph import Graph
from classmix_jax.inference.export.onnx.value import Value, to_value


def lower_sum(graph: Graph, equation: Any, value: Any) -> Value:
  """Lowers reduce_sum."""
  value, axes = to_value(graph, value), equation.params['axes']
  positions = graph.add_integers(sorted(value.locate(axes)))
  name = graph.add('ReduceSum', value.name, positions, keepdims=0)
  return drop_axes(value, axes)._replace(name=name)


def lower_reduction(operator: str) -> Callable[..., Value]:
  """Returns the lowering of a reduction whose axes are an attribute in opset 17."""

  def lower(graph: Graph, equation: Any, value: Any) -> Value:
    value, axes = to_value(graph, value), equation.params['axes']
    name = graph.add(operator, value.name, axes=sorted(value.locate(axes)), keepdims=0)
    return drop_axes(value, axes)._replace(name=name)

  return lower


def lower_logical(operator: str) -> Callable[..., Value]:
  """Returns the lowering of `any` or `all`, as a maximum or minimum of integers."""

  def lower(graph: Graph, equation: Any, value: Any) -> Value:
    integers = convert(graph, to_value(graph, value), 'int32')
    return convert(graph, lower_reduction(operator)(graph, equation, integers), bool)

  return lower


def lower_index(operator: str) -> Callable[..., Value]:
  """Returns the lowering of argmax or argmin."""

  def lower(graph: Graph, equation: Any, value: Any) -> Value:
    value, axes = to_value(graph, value), equation.params['axes']
    name = graph.add(operator, value.name, axis=value.order.index(axes[0]), keepdims=0)
    dtype = result_type(equation)
    name = graph.add('Cast', name, to=onnx_type(dtype))
    return drop_axes(value, axes)._replace(name=name, dtype=dtype)

  return lower


REDUCTIONS: Mapping[str, Callable[..., Any]] = {
  'argmax': lower_index('ArgMax'),
  'argmin': lower_index('ArgMin'),
  'reduce_and': lower_logical('ReduceMin'),
  'reduce_max': lower_reduction('ReduceMax'),
  'reduce_min': lower_reduction('ReduceMin'),
  'reduce_or': lower_logical('ReduceMax'),
  'reduce_prod': lower_reduction('ReduceProd'),
  'reduce_sum': lower_sum,
}
