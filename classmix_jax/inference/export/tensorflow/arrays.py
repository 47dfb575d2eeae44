"""Operations that move, join or reduce elements."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from classmix_jax.inference.export.tensorflow.context import Context

WHOLE = slice(None)


def reshape(context: Context, equation: Any, x: Any) -> tf.Tensor:
  """Returns the elements in another shape."""
  return tf.reshape(context.tensor(x), context.lengths(equation.params['new_sizes']))


def transpose(context: Context, equation: Any, x: Any) -> tf.Tensor:
  """Permutes axes."""
  return tf.transpose(context.tensor(x), equation.params['permutation'])


def broadcast_in_dim(context: Context, equation: Any, x: Any, *lengths: Any) -> tf.Tensor:
  """Inserts axes of length 1, which other operations broadcast (see `trace.Backend`)."""
  kept = equation.params['broadcast_dimensions']
  x = context.tensor(x)
  for axis in range(len(equation.params['shape'])):
    if axis not in kept:
      x = tf.expand_dims(x, axis)
  return x


def concatenate(context: Context, equation: Any, *inputs: Any) -> tf.Tensor:
  """Joins arrays along an axis."""
  return tf.concat([context.tensor(x) for x in inputs], equation.params['dimension'])


def stack(context: Context, equation: Any, *inputs: Any) -> tf.Tensor:
  """Joins arrays along a new axis."""
  return tf.stack([context.tensor(x) for x in inputs], equation.params['axis'])


def split(context: Context, equation: Any, x: Any) -> list[tf.Tensor]:
  """Cuts an array along an axis."""
  return tf.split(x, context.lengths(equation.params['sizes']), equation.params['axis'])


def squeeze(context: Context, equation: Any, x: Any) -> tf.Tensor:
  """Removes axes of length 1."""
  return tf.squeeze(x, equation.params['dimensions'])


def reverse(context: Context, equation: Any, x: Any) -> tf.Tensor:
  """Reverses the order along axes."""
  return tf.reverse(x, equation.params['dimensions'])


def cut(context: Context, equation: Any, x: Any) -> tf.Tensor:
  """Returns a part of an array."""
  shape = equation.invars[0].aval.shape
  starts, limits = equation.params['start_indices'], equation.params['limit_indices']
  strides = equation.params['strides'] or [1] * len(shape)
  parts = [
    slice(
      None if start == 0 else context.length(start),
      None if limit == length else context.length(limit),
      None if stride == 1 else stride,
    )
    for start, limit, stride, length in zip(starts, limits, strides, shape, strict=True)
  ]
  x = context.tensor(x)
  return x if all(part == WHOLE for part in parts) else x[tuple(parts)]


def pad(context: Context, equation: Any, x: Any, value: Any) -> tf.Tensor:
  """Appends a value before and after each axis; negative numbers remove elements.

  Raises:
    NotImplementedError: a value would be inserted between elements.
  """
  config = equation.params['padding_config']
  if any(interior for _, _, interior in config):
    raise NotImplementedError('the operation pad of JAX between elements')
  x = context.tensor(x)
  if any(_below(low) or _below(high) for low, high, _ in config):
    x = x[tuple(slice(-_below(low) or None, _below(high) or None) for low, high, _ in config)]
  padding = [[_above(context, low), _above(context, high)] for low, high, _ in config]
  if isinstance(value, np.ndarray):
    value = value.item()
  return tf.pad(x, padding, constant_values=value)


def _below(length: Any) -> int:
  return min(length, 0) if isinstance(length, int) else 0


def _above(context: Context, length: Any) -> Any:
  return max(length, 0) if isinstance(length, int) else context.length(length)


def iota(context: Context, equation: Any, *lengths: Any) -> tf.Tensor:
  """Returns the index along an axis."""
  shape, axis = equation.params['shape'], equation.params['dimension']
  numbers = tf.cast(tf.range(context.length(shape[axis])), equation.params['dtype'])
  others = [1] * len(shape)
  others[axis] = -1
  return tf.broadcast_to(tf.reshape(numbers, others), context.lengths(shape))


def dim_as_value(context: Context, equation: Any) -> tf.Tensor:
  """Returns a length as a number."""
  dtype = equation.outvars[0].aval.dtype
  return tf.cast(context.length(equation.params['dim']), dtype)


def argmax(context: Context, equation: Any, x: Any) -> tf.Tensor:
  """Returns the index of the first maximum along an axis."""
  (axis,) = equation.params['axes']
  index = tf.argmax(x, axis, output_type=tf.int32)
  return tf.cast(index, equation.params['index_dtype'])


def gather(context: Context, equation: Any, x: Any, start: Any) -> tf.Tensor:
  """Returns one part of an array, or elements of one axis, as JAX writes indexing.

  Raises:
    NotImplementedError: other indices.
  """
  numbers, sizes = equation.params['dimension_numbers'], equation.params['slice_sizes']
  shape = equation.invars[0].aval.shape
  axes, collapsed = numbers.start_index_map, numbers.collapsed_slice_dims
  x, start = context.tensor(x), context.tensor(start)
  if equation.invars[1].aval.ndim == 1 and not numbers.operand_batching_dims:
    begin: list[Any] = [0] * len(sizes)
    for axis, index in zip(axes, tf.unstack(tf.cast(start, tf.int32), len(axes)), strict=True):
      begin[axis] = index
    part = tf.slice(x, tf.stack(begin), context.lengths(sizes))
    return tf.squeeze(part, collapsed) if collapsed else part
  others = tuple(axis for axis in range(len(shape)) if axis not in axes)
  whole = all(sizes[axis] == shape[axis] for axis in others)
  if len(axes) > 1 or axes != collapsed or numbers.offset_dims != others or not whole:
    raise NotImplementedError('the operation gather of JAX along several axes')
  return tf.gather(x, tf.squeeze(start, -1), axis=axes[0])


def reduce(function: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
  """Returns the operation that reduces axes by a function of TensorFlow."""

  def operation(context: Context, equation: Any, x: Any) -> tf.Tensor:
    return function(x, equation.params['axes'])

  return operation


OPERATIONS: Mapping[str, Callable[..., Any]] = {
  'argmax': argmax,
  'broadcast_in_dim': broadcast_in_dim,
  'concatenate': concatenate,
  'dim_as_value': dim_as_value,
  'gather': gather,
  'iota': iota,
  'pad': pad,
  'reduce_and': reduce(tf.reduce_all),
  'reduce_max': reduce(tf.reduce_max),
  'reduce_min': reduce(tf.reduce_min),
  'reduce_or': reduce(tf.reduce_any),
  'reduce_prod': reduce(tf.reduce_prod),
  'reduce_sum': reduce(tf.reduce_sum),
  'reshape': reshape,
  'rev': reverse,
  'slice': cut,
  'split': split,
  'squeeze': squeeze,
  'stack': stack,
  'transpose': transpose,
}
