"""Functions of this package that ONNX has as one operation, or that runtimes fuse."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from classmix_jax.inference.export.onnx.elementwise import apply
from classmix_jax.inference.export.onnx.graph import Graph
from classmix_jax.inference.export.onnx.sizes import compute_shape
from classmix_jax.inference.export.onnx.value import IMAGE_ORDER, Value, reorder, sort_axes


def lower_resize(coordinates: str) -> Callable[..., Value]:
  """Returns the lowering of a bilinear resize of `[b, h, w, c]` to the size of its result.

  Args:
    coordinates: 'align_corners', or 'half_pixel' for centers of pixels.
  """

  def lower(graph: Graph, equation: Any, value: Any) -> Value:
    shape = equation.outvars[0].aval.shape
    value = reorder(graph, value, IMAGE_ORDER)
    sizes = compute_shape(graph, [shape[axis] for axis in value.order])
    options = {'mode': 'linear', 'coordinate_transformation_mode': coordinates}
    name = graph.add('Resize', value.name, '', '', sizes, **options)
    return value._replace(name=name, shape=shape)

  return lower


def lower_double(graph: Graph, equation: Any, value: Any) -> Value:
  """Lowers the repetition of each pixel of `[b, h, w, c]` in both directions."""
  value = reorder(graph, value, IMAGE_ORDER)
  scales = graph.add_constant(np.asarray([1, 1, 2, 2], np.float32))
  options = {
    'mode': 'nearest', 'coordinate_transformation_mode': 'asymmetric', 'nearest_mode': 'floor'
  }  # fmt: skip
  name = graph.add('Resize', value.name, '', scales, **options)
  return value._replace(name=name, shape=equation.outvars[0].aval.shape)


def lower_softmax(graph: Graph, equation: Any, value: Any) -> Value:
  """Lowers the softmax of the last axis."""
  value = sort_axes(graph, value)
  return value._replace(name=graph.add('Softmax', value.name, axis=-1))


def lower_gelu(graph: Graph, equation: Any, value: Any) -> Value:
  """Lowers the exact GELU, as the sequence of operations that runtimes fuse."""
  root, half, one = (np.asarray(x, value.dtype) for x in (2**0.5, 0.5, 1))
  quotient = apply(graph, 'Div', [value, root], value.dtype)
  erf = apply(graph, 'Erf', [quotient], value.dtype)
  total = apply(graph, 'Add', [erf, one], value.dtype)
  product = apply(graph, 'Mul', [value, total], value.dtype)
  return apply(graph, 'Mul', [product, half], value.dtype)


def lower_standardize(graph: Graph, equation: Any, value: Any, epsilon: np.ndarray) -> Value:
  """Lowers the layer norm without scale and shift."""
  value = sort_axes(graph, value)
  scale = graph.add_constant(np.ones(value.shape[-1], value.dtype))
  name = graph.add('LayerNormalization', value.name, scale, axis=-1, epsilon=float(epsilon))
  return value._replace(name=name)


FUNCTIONS: Mapping[str, Callable[..., Value]] = {
  'double': lower_double,
  'exact_gelu': lower_gelu,
  'resize_bilinear': lower_resize('align_corners'),
  'resize_centers': lower_resize('half_pixel'),
  'softmax_of_last_axis': lower_softmax,
  'standardize': lower_standardize,
}
