"""Operations on elements with the same index."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from classmix_jax.inference.export.tensorflow.context import Context
from classmix_jax.inference.export.tensorflow.images import of_images


def is_number(value: Any, number: float) -> bool:
  """Returns whether a value is a constant that consists of one number."""
  return isinstance(value, np.ndarray) and value.size > 0 and bool(np.all(value == number))


def maximum(context: Context, equation: Any, x: Any, y: Any) -> tf.Tensor:
  """Returns max(x, y), as ReLU if one is 0."""
  # Libraries join a ReLU with the convolution before.
  for constant, other in ((x, y), (y, x)):
    if is_number(constant, 0) and other.dtype.is_floating:
      return tf.nn.relu(other)
  return tf.maximum(context.tensor(x), context.tensor(y))


def minimum(context: Context, equation: Any, x: Any, y: Any) -> tf.Tensor:
  """Returns min(x, y), as ReLU6 if x is a ReLU and y is 6."""
  for constant, other in ((x, y), (y, x)):
    if is_number(constant, 6) and other.op.type == 'Relu':
      return tf.nn.relu6(other.op.inputs[0])
  return tf.minimum(context.tensor(x), context.tensor(y))


def clamp(context: Context, equation: Any, low: Any, x: Any, high: Any) -> tf.Tensor:
  """Returns x between two bounds."""
  if is_number(low, 0) and is_number(high, 6) and x.dtype.is_floating:
    return tf.nn.relu6(x)
  return tf.minimum(tf.maximum(context.tensor(x), context.tensor(low)), context.tensor(high))


def add(context: Context, equation: Any, x: Any, y: Any) -> tf.Tensor:
  """Returns x + y, as a bias if y has one number for each channel."""
  # Libraries join a bias with the convolution before.
  for constant, other in ((x, y), (y, x)):
    if isinstance(constant, np.ndarray) and other.dtype.is_floating and other.shape.rank == 4:
      channels = constant.shape[-1] if constant.ndim else 1
      if constant.size == channels == other.shape[-1] and channels > 1:
        return tf.nn.bias_add(other, context.tensor(constant.reshape(channels)))
  return tf.add(context.tensor(x), context.tensor(y))


def divide(context: Context, equation: Any, x: Any, y: Any) -> tf.Tensor:
  """Returns x / y; integers are rounded towards 0."""
  if np.issubdtype(equation.outvars[0].aval.dtype, np.integer):
    return tf.truncatediv(context.tensor(x), context.tensor(y))
  return tf.divide(context.tensor(x), context.tensor(y))


def integer_pow(context: Context, equation: Any, x: Any) -> tf.Tensor:
  """Returns x to a constant power."""
  exponent = equation.params['y']
  return tf.square(x) if exponent == 2 else tf.pow(x, tf.cast(exponent, x.dtype))


def select_n(context: Context, equation: Any, which: Any, *cases: Any) -> tf.Tensor:
  """Returns elements of the second case where a condition holds, else of the first.

  Raises:
    NotImplementedError: there are more than two cases.
  """
  if len(cases) != 2:
    raise NotImplementedError(f'the operation select_n of JAX with {len(cases)} cases')
  otherwise, case = map(context.tensor, cases)
  return tf.where(tf.cast(context.tensor(which), tf.bool), case, otherwise)


def round_half(context: Context, equation: Any, x: Any) -> tf.Tensor:
  """Returns the nearest integer; halves become even, or larger in magnitude."""
  if equation.params['rounding_method'].name == 'TO_NEAREST_EVEN':
    return tf.round(x)
  return tf.sign(x) * tf.floor(tf.abs(x) + 0.5)


def invert(context: Context, equation: Any, x: Any) -> tf.Tensor:
  """Returns the complement of booleans, or of the bits of integers."""
  return tf.logical_not(x) if x.dtype == tf.bool else tf.bitwise.invert(x)


def convert(context: Context, equation: Any, x: Any) -> tf.Tensor:
  """Converts to another dtype."""
  return tf.cast(context.tensor(x), equation.params['new_dtype'])


def copy(context: Context, equation: Any, x: Any) -> Any:
  """Returns its input."""
  return x


def barrier(context: Context, equation: Any, *inputs: Any) -> list[Any]:
  """Returns its inputs."""
  return list(inputs)


def apply(function: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
  """Returns the operation that a function of TensorFlow computes."""

  def operation(context: Context, equation: Any, *inputs: Any) -> tf.Tensor:
    return function(*map(context.tensor, inputs))

  return operation


def combine(booleans: Callable, integers: Callable) -> Callable[..., tf.Tensor]:
  """Returns an operation on booleans or on the bits of integers."""

  def operation(context: Context, equation: Any, x: Any, y: Any) -> tf.Tensor:
    x, y = context.tensor(x), context.tensor(y)
    return (booleans if x.dtype == tf.bool else integers)(x, y)

  return operation


OPERATIONS: Mapping[str, Callable[..., Any]] = {
  'abs': apply(tf.abs),
  'add': add,
  'and': combine(tf.logical_and, tf.bitwise.bitwise_and),
  'clamp': clamp,
  'convert_element_type': convert,
  'copy': copy,
  'cos': apply(tf.cos),
  'div': of_images(lambda y: (1 / y, 0.0), divide),
  'eq': apply(tf.equal),
  'erf': apply(tf.math.erf),
  'erfc': apply(tf.math.erfc),
  'exp': apply(tf.exp),
  'floor': apply(tf.floor),
  'ge': apply(tf.greater_equal),
  'gt': apply(tf.greater),
  'integer_pow': integer_pow,
  'is_finite': apply(tf.math.is_finite),
  'le': apply(tf.less_equal),
  'log': apply(tf.math.log),
  'logistic': apply(tf.sigmoid),
  'lt': apply(tf.less),
  'max': maximum,
  'min': minimum,
  'mul': of_images(lambda y: (y, 0.0), apply(tf.multiply)),
  'ne': apply(tf.not_equal),
  'neg': apply(tf.negative),
  'not': invert,
  'optimization_barrier': barrier,
  'or': combine(tf.logical_or, tf.bitwise.bitwise_or),
  'pow': apply(tf.pow),
  'rem': apply(tf.truncatemod),
  'round': round_half,
  'rsqrt': apply(tf.math.rsqrt),
  'select_n': select_n,
  'sign': apply(tf.sign),
  'sin': apply(tf.sin),
  'sqrt': apply(tf.sqrt),
  'square': apply(tf.square),
  'stop_gradient': copy,
  'sub': of_images(lambda y: (1.0, -y), apply(tf.subtract)),
  'tanh': apply(tf.tanh),
  'xor': combine(tf.math.logical_xor, tf.bitwise.bitwise_xor),
}
