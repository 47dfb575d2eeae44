"""Bilinear resizing, as one operation."""

from collections.abc import Callable, Mapping
from typing import Any

from classmix_jax.inference.export.onnx.graph import Graph
from classmix_jax.inference.export.onnx.sizes import compute_shape
from classmix_jax.inference.export.onnx.value import Value, reorder


def lower_resize(coordinates: str) -> Callable[..., Value]:
  """Returns the lowering of a resize of `[b, h, w, c]` to the size of its result.

  Args:
    coordinates: 'align_corners', or 'half_pixel' for centers of pixels.
  """

  def lower(graph: Graph, equation: Any, value: Any) -> Value:
    shape = equation.outvars[0].aval.shape
    value = reorder(graph, value, (0, 3, 1, 2))
    sizes = compute_shape(graph, [shape[axis] for axis in value.order])
    name = graph.add(
      'Resize',
      value.name,
      '',
      '',
      sizes,
      mode='linear',
      coordinate_transformation_mode=coordinates,
    )
    return value._replace(name=name, shape=shape)

  return lower


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
  'resize_bilinear': lower_resize('align_corners'),
  'resize_centers': lower_resize('half_pixel'),
}
