"""Operations on the axes of values: their order, number and lengths."""

from collections.abc import Callable, Mapping, Sequence
import itertools
import math
from typing import Any

from jax import lax
import numpy as np
import onnx

from classmix_jax.inference.export.onnx.elementwise import (
  choose_order,
  onnx_type,
  result_type,
)
from classmix_jax.inference.export.onnx.graph import Graph
from classmix_jax.inference.export.onnx.sizes import compute_scalar, compute_shape
from classmix_jax.inference.export.onnx.value import (
  IMAGE_ORDER,
  IMAGE_RANK,
  Value,
  is_one,
  reorder,
  sort_axes,
  to_value,
)


def lower_transpose(graph: Graph, equation: Any, value: Any) -> Value:
  """Lowers transpose, which only changes the name of each axis."""
  permutation = equation.params['permutation']
  value = to_value(graph, value)
  order = tuple(permutation.index(axis) for axis in value.order)
  return value._replace(shape=tuple(value.shape[axis] for axis in permutation), order=order)


def lower_broadcast(graph: Graph, equation: Any, value: Any) -> Value:
  """Lowers broadcast_in_dim, without repeating any element."""
  axes = equation.params['broadcast_dimensions']
  return insert_axes(graph, to_value(graph, value), axes, len(equation.params['shape']))


def insert_axes(graph: Graph, value: Value, axes: Sequence[int], rank: int) -> Value:
  """Adds axes of length 1, so that each axis of a value becomes the one that `axes` names.

  Each is stored behind the axis before it, where a reshape may join them.
  """
  order = [axes[axis] for axis in value.order]
  new = [axis for axis in range(rank) if axis not in axes]
  if not new:
    return value._replace(order=tuple(order))
  for axis in new:
    order.insert(order.index(axis - 1) + 1 if axis else 0, axis)
  positions = graph.add_integers(order.index(axis) for axis in new)
  shape: list[Any] = [1] * rank
  for axis, length in zip(axes, value.shape, strict=True):
    shape[axis] = length
  name = graph.add('Unsqueeze', value.name, positions)
  return Value(name, tuple(shape), value.dtype, tuple(order))


def expand(graph: Graph, value: Any, shape: Sequence[Any]) -> Value:
  """Repeats a value along its axes of length 1, to a shape."""
  value = to_value(graph, value)
  if tuple(value.shape) == tuple(shape):
    return value
  if len(shape) == IMAGE_RANK and is_one(value.shape[1]) and is_one(value.shape[2]):
    value = reorder(graph, value, IMAGE_ORDER)  # as convolutions have it; no element moves
  stored = compute_shape(graph, [shape[axis] for axis in value.order])
  return value._replace(name=graph.add('Expand', value.name, stored), shape=tuple(shape))


def lower_squeeze(graph: Graph, equation: Any, value: Any) -> Value:
  """Lowers squeeze."""
  return remove_axes(graph, to_value(graph, value), equation.params['dimensions'])


def remove_axes(graph: Graph, value: Value, axes: Sequence[int]) -> Value:
  """Removes axes of length 1."""
  positions = graph.add_integers(sorted(value.locate(axes)))
  name = graph.add('Squeeze', value.name, positions)
  return drop_axes(value, axes)._replace(name=name)


def drop_axes(value: Value, axes: Sequence[int]) -> Value:
  """Returns a value whose shape and order lack some axes."""
  kept = [axis for axis in range(len(value.shape)) if axis not in axes]
  order = tuple(kept.index(axis) for axis in value.order if axis in kept)
  return value._replace(shape=tuple(value.shape[axis] for axis in kept), order=order)


def lower_reshape(graph: Graph, equation: Any, value: Any) -> Value:
  """Lowers reshape, which splits and joins axes of any order if they stay next to each other."""
  value, shape = to_value(graph, value), equation.outvars[0].aval.shape
  groups = group_axes(value.shape, shape)
  if len(shape) < IMAGE_RANK or not keeps_groups(value, groups):
    value = sort_axes(graph, value)
  order: list[int] = []
  for axis in value.order:
    order += next((target for source, target in groups if axis == min(source, default=-1)), [])
  order = order or list(range(len(shape)))  # of a scalar
  stored = compute_reshape(graph, value, [shape[axis] for axis in order])
  return Value(graph.add('Reshape', value.name, stored), shape, value.dtype, tuple(order))


def group_axes(before: Sequence[Any], after: Sequence[Any]) -> list[tuple[list[int], list[int]]]:
  """Pairs the fewest axes before and after a reshape that have the same number of elements.

  Example:
    >>> group_axes((2, 3, 4, 6), (2, 12, 2, 3))
    [([0], [0]), ([1, 2], [1]), ([3], [2, 3])]
  """
  groups: list[tuple[list[int], list[int]]] = []
  i, j = 0, 0
  while i < len(before) or j < len(after):
    ends = itertools.product(range(i, len(before) + 1), range(j, len(after) + 1))
    equal = [
      (k, m)
      for k, m in ends
      if (k, m) != (i, j) and bool(math.prod(before[i:k]) == math.prod(after[j:m]))
    ]
    k, m = min(equal, key=sum, default=(len(before), len(after)))
    if k > i or not groups:
      groups.append((list(range(i, k)), list(range(j, m))))
    else:
      groups[-1][1].extend(range(j, m))
    i, j = k, m
  if len(groups) > 1 and not groups[0][0]:  # axes of length 1 before the first
    groups[1][1][:0] = groups.pop(0)[1]
  return groups


def keeps_groups(value: Value, groups: Sequence[tuple[list[int], list[int]]]) -> bool:
  """Returns whether the axes of each group are stored next to each other, in JAX's order."""
  for source, _ in groups:
    positions = value.locate(source)
    if positions and positions != list(range(positions[0], positions[0] + len(positions))):
      return False
  return True


def compute_reshape(graph: Graph, value: Value, lengths: Sequence[Any]) -> str:
  """Returns the shape of a Reshape: a constant if all but one length is known or kept."""
  stored = value.stored_shape
  known: list[int] = [
    length
    if isinstance(length, int)
    else 0
    if index < len(stored) and str(stored[index]) == str(length)
    else -1
    for index, length in enumerate(lengths)
  ]
  if known.count(-1) <= 1:
    return graph.add_integers(known)
  return compute_shape(graph, lengths)


def lower_concatenate(graph: Graph, equation: Any, *inputs: Any) -> Value:
  """Lowers concatenate."""
  axis = equation.params['dimension']
  order = choose_order(inputs)
  names = [reorder(graph, x, order).name for x in inputs]
  name = graph.add('Concat', *names, axis=order.index(axis))
  return Value(name, equation.outvars[0].aval.shape, result_type(equation), order)


def lower_pad(graph: Graph, equation: Any, value: Any, fill: Any) -> Value:
  """Lowers pad with constants; negative lengths cut off."""
  config = equation.params['padding_config']
  if any(interior != 0 for _, _, interior in config):
    raise NotImplementedError('padding between elements in JAX')
  value, fill = to_value(graph, value), to_value(graph, fill)
  name = pad(graph, value, [(low, high) for low, high, _ in config], fill.name)
  return value._replace(name=name, shape=equation.outvars[0].aval.shape)


def pad(graph: Graph, value: Value, lengths: Sequence[tuple[Any, Any]], fill: str) -> str:
  """Pads a value before and after each of its axes; returns the result's name."""
  stored = [lengths[axis] for axis in value.order]
  pads = compute_shape(graph, [low for low, _ in stored] + [high for _, high in stored])
  return graph.add('Pad', value.name, pads, fill, mode='constant')


def lower_slice(graph: Graph, equation: Any, value: Any) -> Value:
  """Lowers slice."""
  parameters, value = equation.params, to_value(graph, value)
  strides = parameters['strides'] or [1] * len(value.shape)
  ranges = zip(
    parameters['start_indices'], parameters['limit_indices'], strides, value.shape, strict=True
  )
  cut = {
    axis: (start, stop, stride)
    for axis, (start, stop, stride, length) in enumerate(ranges)
    if (start, str(stop), stride) != (0, str(length), 1)
  }
  if not cut:
    return value
  starts, stops, steps = zip(*cut.values(), strict=True)
  name = graph.add(
    'Slice',
    value.name,
    compute_shape(graph, starts),
    compute_shape(graph, stops),
    graph.add_integers(value.locate(list(cut))),
    compute_shape(graph, steps),
  )
  return value._replace(name=name, shape=equation.outvars[0].aval.shape)


def lower_reverse(graph: Graph, equation: Any, value: Any) -> Value:
  """Lowers rev."""
  value, axes = to_value(graph, value), equation.params['dimensions']
  count, smallest = len(axes), np.iinfo(np.int64).min
  starts, stops, steps = (graph.add_integers([number] * count) for number in (-1, smallest, -1))
  positions = graph.add_integers(value.locate(axes))
  return value._replace(name=graph.add('Slice', value.name, starts, stops, positions, steps))


def lower_gather(graph: Graph, equation: Any, value: Any, indices: Any) -> Value:
  """Lowers the gather of slices along one axis, at indices within its bounds.

  JAX makes it of `x[:, 0]` and `x[:, :n]` if the length of an axis is not known.
  """
  numbers, mode = equation.params['dimension_numbers'], equation.params['mode']
  axes, value, indices = numbers.start_index_map, to_value(graph, value), to_value(graph, indices)
  inside = mode == lax.GatherScatterMode.PROMISE_IN_BOUNDS
  if inside and len(axes) == 1 and not numbers.operand_batching_dims:
    if numbers.collapsed_slice_dims == axes:
      return gather_elements(graph, equation, value, indices)
    if indices.shape == (1,) and not numbers.collapsed_slice_dims:
      return gather_range(graph, equation, value, indices)
  raise NotImplementedError('a gather of parts of slices in JAX')


def gather_elements(graph: Graph, equation: Any, value: Value, indices: Value) -> Value:
  """Takes the elements `indices` `[..., 1]` of an axis, which is replaced by their axes."""
  numbers, shape = equation.params['dimension_numbers'], equation.outvars[0].aval.shape
  (axis,) = numbers.start_index_map
  indices = remove_axes(graph, sort_axes(graph, indices), [len(indices.shape) - 1])
  position = value.order.index(axis)
  order = [numbers.offset_dims[other] for other in drop_axes(value, [axis]).order]
  order[position:position] = [x for x in range(len(shape)) if x not in numbers.offset_dims]
  name = graph.add('Gather', value.name, indices.name, axis=position)
  return Value(name, shape, value.dtype, tuple(order))


def gather_range(graph: Graph, equation: Any, value: Value, start: Value) -> Value:
  """Takes the part of an axis from an index `[1]` to that index plus a length."""
  (axis,) = equation.params['dimension_numbers'].start_index_map
  length = compute_shape(graph, [equation.params['slice_sizes'][axis]])
  first = graph.add('Cast', start.name, to=onnx.TensorProto.INT64)
  last = graph.add('Add', first, length)
  position = graph.add_integers([value.order.index(axis)])
  name = graph.add('Slice', value.name, first, last, position)
  return value._replace(name=name, shape=equation.outvars[0].aval.shape)


def lower_split(graph: Graph, equation: Any, value: Any) -> list[Value]:
  """Lowers split."""
  value, sizes = to_value(graph, value), equation.params['sizes']
  position = value.order.index(equation.params['axis'])
  names = graph.add_outputs(
    'Split', [value.name, compute_shape(graph, sizes)], len(sizes), axis=position
  )
  return [
    value._replace(name=name, shape=variable.aval.shape)
    for name, variable in zip(names, equation.outvars, strict=True)
  ]


def lower_iota(graph: Graph, equation: Any) -> Value:
  """Lowers iota: the index along an axis."""
  shape, axis = equation.outvars[0].aval.shape, equation.params['dimension']
  zero, one = graph.add_constant(np.int64(0)), graph.add_constant(np.int64(1))
  indices = graph.add('Range', zero, compute_scalar(graph, shape[axis]), one)
  dtype = result_type(equation)
  indices = graph.add('Cast', indices, to=onnx_type(dtype))
  value = insert_axes(graph, Value(indices, (shape[axis],), dtype, (0,)), (axis,), len(shape))
  return expand(graph, value, shape)


def lower_size(graph: Graph, equation: Any) -> Value:
  """Lowers dim_as_value: a size as a number."""
  dtype = result_type(equation)
  number = compute_scalar(graph, equation.params['dim'])
  return Value(graph.add('Cast', number, to=onnx_type(dtype)), (), dtype, ())


AXES: Mapping[str, Callable[..., Any]] = {
  'broadcast_in_dim': lower_broadcast,
  'concatenate': lower_concatenate,
  'dim_as_value': lower_size,
  'gather': lower_gather,
  'iota': lower_iota,
  'pad': lower_pad,
  'reshape': lower_reshape,
  'rev': lower_reverse,
  'slice': lower_slice,
  'split': lower_split,
  'squeeze': lower_squeeze,
  'transpose': lower_transpose,
}
