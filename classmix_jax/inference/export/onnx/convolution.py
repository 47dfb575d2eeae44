"""Convolutions, their biases, and pooling: operations with the channels second."""

from collections.abc import Callable, Mapping, Sequence
import math
from typing import Any

import numpy as np

from classmix_jax.inference.export.onnx.axes import pad
from classmix_jax.inference.export.onnx.elementwise import lower_operator, result_type
from classmix_jax.inference.export.onnx.graph import Graph
from classmix_jax.inference.export.onnx.value import Value, reorder


def lower_convolution(graph: Graph, equation: Any, value: Any, kernel: Any) -> Value:
  """Lowers conv_general_dilated; depthwise and grouped ones, too."""
  parameters = equation.params
  if parameters['batch_group_count'] != 1 or any(x != 1 for x in parameters['lhs_dilation']):
    raise NotImplementedError('a transposed convolution in JAX')
  numbers = parameters['dimension_numbers']
  shape, dtype = equation.outvars[0].aval.shape, result_type(equation)
  if is_pointwise(equation, value, kernel):
    # Features that no convolution made, such as those of a transformer.
    matrix = graph.add_constant(kernel.reshape(kernel.shape[2:]))
    return Value(graph.add('MatMul', value.name, matrix), shape, dtype, value.order)
  value = reorder(graph, value, numbers.lhs_spec)
  kernel = reorder(graph, kernel, numbers.rhs_spec)
  value, pads = explicit_pads(graph, value, numbers.lhs_spec[2:], parameters['padding'])
  name = graph.add(
    'Conv',
    value.name,
    kernel.name,
    kernel_shape=[kernel.shape[axis] for axis in numbers.rhs_spec[2:]],
    strides=list(parameters['window_strides']),
    dilations=list(parameters['rhs_dilation']),
    group=parameters['feature_group_count'],
    pads=pads,
  )
  return Value(name, shape, dtype, tuple(numbers.out_spec))


def is_pointwise(equation: Any, value: Any, kernel: Any) -> bool:
  """Returns whether a convolution is a product of a matrix and channels that are stored last."""
  parameters = equation.params
  numbers = parameters['dimension_numbers']
  return (
    isinstance(kernel, np.ndarray)
    and kernel.shape[:2] == (1, 1)
    and isinstance(value, Value)
    and value.order == (0, 1, 2, 3)
    and numbers.lhs_spec == numbers.out_spec == (0, 3, 1, 2)
    and numbers.rhs_spec == (3, 2, 0, 1)
    and set(parameters['window_strides']) == {1}
    and parameters['feature_group_count'] == 1
    and not any(low or high for low, high in parameters['padding'])
  )


def convolve_points(graph: Graph, value: Value, kernel: Value) -> str:
  """Adds a 1x1 convolution of values and a kernel with the channels second."""
  return graph.add('Conv', value.name, kernel.name, kernel_shape=[1] * (len(value.shape) - 2))


def explicit_pads(
  graph: Graph, value: Value, axes: Sequence[int], padding: Sequence[tuple[Any, Any]]
) -> tuple[Value, list[int]]:
  """Returns the attribute `pads`; what is no positive integer is padded before.

  Args:
    graph: the graph.
    value: of which some axes are padded with zeros.
    axes: in the order of the window.
    padding: before and after each of these axes.
  """
  lengths = [low for low, _ in padding] + [high for _, high in padding]
  if all(isinstance(length, int) and length >= 0 for length in lengths):
    return value, lengths
  every: list[tuple[Any, Any]] = [(0, 0)] * len(value.shape)
  for axis, pair in zip(axes, padding, strict=True):
    every[axis] = pair
  fill = graph.add_constant(np.zeros((), value.dtype))
  return value._replace(name=pad(graph, value, every, fill)), [0] * len(lengths)


def lower_add(graph: Graph, equation: Any, left: Any, right: Any) -> Value:
  """Lowers add; a constant for each channel after a convolution is its bias."""
  value, bias = (right, left) if isinstance(left, np.ndarray) else (left, right)
  conv = graph.find_producer(value.name, 'Conv') if isinstance(value, Value) else None
  if conv is None or len(conv.input) > 2 or not isinstance(bias, np.ndarray):
    return lower_operator('Add')(graph, equation, left, right)
  channels = value.stored_shape[1]
  stored = np.transpose(bias, value.order) if bias.ndim == len(value.order) else bias
  if stored.size != channels or (stored.ndim and stored.shape[1] != channels):
    return lower_operator('Add')(graph, equation, left, right)
  name = graph.add_constant(stored.reshape(channels))
  return value._replace(name=graph.add_like(conv, [*conv.input, name]))


def lower_pooling(operator: str, **attributes: Any) -> Callable[..., Value]:
  """Returns the lowering of the maximum, or mean, of a window of two axes."""

  def lower(graph: Graph, equation: Any, value: Any) -> Value:
    parameters = equation.params
    window, padding = parameters['window_dimensions'], parameters['padding']
    axes = [axis for axis in range(len(window)) if window[axis] > 1]
    others = [axis for axis in range(len(window)) if axis not in axes]
    strided = [axis for axis in others if parameters['window_strides'][axis] != 1]
    dilations = [parameters['window_dilation'][axis] for axis in axes]
    if len(others) != 2 or strided or any(x != 1 for x in parameters['base_dilation']):
      raise NotImplementedError(f'{equation.primitive.name} of a window {window} in JAX')
    value = reorder(graph, value, [*others, *axes])
    lows, highs = zip(*(padding[axis] for axis in axes), strict=True)
    name = graph.add(
      operator,
      value.name,
      kernel_shape=[window[axis] for axis in axes],
      strides=[parameters['window_strides'][axis] for axis in axes],
      pads=[*lows, *highs],
      **(attributes if set(dilations) == {1} else {'dilations': dilations, **attributes}),
    )
    return value._replace(name=name, shape=equation.outvars[0].aval.shape)

  return lower


def lower_window_sum(graph: Graph, equation: Any, value: Any) -> Value:
  """Lowers the sum of a window as its mean times its size."""
  mean = lower_pooling('AveragePool', count_include_pad=1)(graph, equation, value)
  count = np.asarray(math.prod(equation.params['window_dimensions']), mean.dtype)
  return lower_operator('Mul')(graph, equation, mean, count)


CONVOLUTIONS: Mapping[str, Callable[..., Any]] = {
  'add': lower_add,
  'add_any': lower_add,
  'conv_general_dilated': lower_convolution,
  'reduce_window_max': lower_pooling('MaxPool'),
  'reduce_window_sum': lower_window_sum,
}
