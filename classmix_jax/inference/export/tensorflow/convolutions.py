"""Convolutions, pooling and products of matrices."""

from collections.abc import Callable, Mapping, Sequence
import math
from typing import Any

import numpy as np
import tensorflow as tf

from classmix_jax.inference.export.tensorflow.context import Context

NHWC = ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))  # of convolutions with kernels HWIO


def pad_same(
  lengths: Sequence[Any], reaches: Sequence[int], strides: Sequence[int], padding: Sequence[Any]
) -> bool:
  """Returns whether a padding is TensorFlow's SAME.

  Args:
    lengths: of the axes, integers or symbolic.
    reaches: of a window, its length - 1.
    strides: of the windows.
    padding: (before, after) of each axis.
  """
  for length, reach, stride, pair in zip(lengths, reaches, strides, padding, strict=True):
    if stride == 1:
      total = reach
    elif isinstance(length, int):
      total = max((math.ceil(length / stride) - 1) * stride + reach + 1 - length, 0)
    else:
      return False
    if tuple(pair) != (total // 2, total - total // 2):
      return False
  return True


def pad_images(
  context: Context, x: Any, reaches: Sequence[int], strides: Sequence[int], equation: Any,
  padding: Sequence[Any], value: float,
) -> tuple[Any, str]:  # fmt: skip
  """Returns images and the padding, SAME or VALID, that TensorFlow still has to apply."""
  lengths = equation.invars[0].aval.shape[1:3]
  if pad_same(lengths, reaches, strides, padding):
    return x, 'SAME' if any(reaches) else 'VALID'
  if all(tuple(pair) == (0, 0) for pair in padding):
    return x, 'VALID'
  pairs = [[context.length(length) for length in pair] for pair in padding]
  return tf.pad(x, [[0, 0], *pairs, [0, 0]], constant_values=value), 'VALID'


def convolve(context: Context, equation: Any, x: Any, kernel: Any) -> tf.Tensor:
  """Convolves images with kernels over all channels, or over each alone.

  Raises:
    NotImplementedError: other orders of the axes, transposed convolutions, groups of channels.
  """
  params = equation.params
  groups, channels = params['feature_group_count'], equation.invars[0].aval.shape[3]
  if tuple(params['dimension_numbers']) != NHWC:
    raise NotImplementedError('the operation conv_general_dilated of JAX with axes not NHWC, HWIO')
  if set(params['lhs_dilation']) != {1} or params['batch_group_count'] != 1:
    raise NotImplementedError('the operation conv_general_dilated of JAX between pixels')
  if groups not in (1, channels):
    raise NotImplementedError(f'the operation conv_general_dilated of JAX in {groups} groups')
  strides, dilations = params['window_strides'], params['rhs_dilation']
  size = equation.invars[1].aval.shape[:2]
  reaches = [(length - 1) * dilation for length, dilation in zip(size, dilations, strict=True)]
  x, padding = pad_images(context, x, reaches, strides, equation, params['padding'], 0.0)
  if groups == 1:
    return tf.nn.conv2d(x, context.tensor(kernel), strides, padding, dilations=dilations)
  change = np.reshape if isinstance(kernel, np.ndarray) else tf.reshape
  kernel = context.tensor(change(kernel, (*size, channels, -1)))
  return tf.nn.depthwise_conv2d(x, kernel, (1, *strides, 1), padding, dilations=dilations)


def pool(context: Context, equation: Any, x: Any) -> tf.Tensor:
  """Returns the maximum of each window.

  Raises:
    NotImplementedError: windows over other axes than the rows and columns of `[b, h, w, c]`.
  """
  params = equation.params
  size, strides = params['window_dimensions'], params['window_strides']
  dilated = set(params['base_dilation']) | set(params['window_dilation']) != {1}
  if len(size) != 4 or (size[0], size[3], strides[0], strides[3]) != (1, 1, 1, 1) or dilated:
    raise NotImplementedError('the operation reduce_window_max of JAX over other axes than h, w')
  reaches = [length - 1 for length in size[1:3]]
  # After ReLU, zeros have the same effect, and unlike infinities they can be quantised.
  value = 0.0 if x.op.type in ('Relu', 'Relu6') else -math.inf
  x, padding = pad_images(
    context, x, reaches, strides[1:3], equation, params['padding'][1:3], value
  )
  return tf.nn.max_pool2d(x, size[1:3], strides[1:3], padding)


def multiply_matrices(context: Context, equation: Any, x: Any, y: Any) -> tf.Tensor:
  """Sums products over axes of two arrays, as one product of matrices."""
  (x_summed, y_summed), (x_batch, y_batch) = equation.params['dimension_numbers']
  x_shape, y_shape = (variable.aval.shape for variable in equation.invars)
  x_free = [axis for axis in range(len(x_shape)) if axis not in (*x_batch, *x_summed)]
  y_free = [axis for axis in range(len(y_shape)) if axis not in (*y_batch, *y_summed)]
  x = order(context, x, x_shape, (x_batch, x_free, x_summed), keep=not y_batch)
  y = order(context, y, y_shape, (y_batch, y_summed, y_free), keep=False)
  product = tf.matmul(x, y)
  shape = [x_shape[axis] for axis in (*x_batch, *x_free)] + [y_shape[axis] for axis in y_free]
  if len(shape) == product.shape.rank:
    return product
  return tf.reshape(product, context.lengths(shape))


def order(
  context: Context, x: Any, shape: Sequence[Any], groups: Sequence[Sequence[int]], keep: bool
) -> Any:
  """Returns an array with axes in the order of groups, the last two groups as one axis each.

  `keep` leaves the axes of the last group but one as they are, for a product with one matrix.
  """
  module: Any = np if isinstance(x, np.ndarray) else tf
  permutation = [axis for group in groups for axis in group]
  if permutation != sorted(permutation):
    x = module.transpose(x, permutation)
  batch, rows, columns = ([shape[axis] for axis in group] for group in groups)
  rows_kept = rows if keep and rows else [math.prod(rows)]
  new_shape = [*batch, *rows_kept, math.prod(columns)]
  if len(new_shape) != len(shape):
    x = module.reshape(x, context.lengths(new_shape))
  return context.tensor(x)


OPERATIONS: Mapping[str, Callable[..., tf.Tensor]] = {
  'conv_general_dilated': convolve,
  'dot_general': multiply_matrices,
  'reduce_window_max': pool,
}
