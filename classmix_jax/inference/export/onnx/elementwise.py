"""Operations on elements with the same index.

Each lowering takes `(graph, equation, *inputs)` and returns a value. Inputs are `Value` or arrays,
which may have axes of length 1, or none, where others have more: ONNX broadcasts them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jax import lax
import numpy as np
import onnx

from classmix_jax.inference.export.onnx.graph import Graph
from classmix_jax.inference.export.onnx.value import IMAGE_RANK, Value, is_one, reorder

# Runtimes compute with these integers only; smaller ones are converted.
INTEGERS = (np.dtype(np.int32), np.dtype(np.int64))

OPERATORS: Mapping[str, str] = {
  'abs': 'Abs',
  'add': 'Add',
  'and': 'And',
  'ceil': 'Ceil',
  'div': 'Div',
  'eq': 'Equal',
  'erf': 'Erf',
  'exp': 'Exp',
  'floor': 'Floor',
  'ge': 'GreaterOrEqual',
  'gt': 'Greater',
  'le': 'LessOrEqual',
  'log': 'Log',
  'logistic': 'Sigmoid',
  'lt': 'Less',
  'max': 'Max',
  'min': 'Min',
  'mul': 'Mul',
  'neg': 'Neg',
  'not': 'Not',
  'or': 'Or',
  'pow': 'Pow',
  'sign': 'Sign',
  'sqrt': 'Sqrt',
  'sub': 'Sub',
  'tanh': 'Tanh',
  'xor': 'Xor',
}


def onnx_type(dtype: Any) -> int:
  """Returns ONNX's number of a type of NumPy."""
  return onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def choose_order(inputs: Sequence[Any]) -> tuple[int, ...]:
  """Returns the order in which an operation stores its result: that of its largest input.

  Of several, features stored in an order other than JAX's decide, because a convolution made them.
  """
  rank = max(len(x.shape) for x in inputs)
  standard = tuple(range(rank))
  values = [x for x in inputs if isinstance(x, Value) and len(x.shape) == rank]
  longest = max((x.count_long_axes() for x in values), default=0)
  orders = [x.order for x in values if x.count_long_axes() == longest]
  if standard in orders and rank != IMAGE_RANK:
    return standard
  return next((order for order in orders if order != standard), standard)


def align(graph: Graph, inputs: Sequence[Any]) -> tuple[list[Value], tuple[Any, ...]]:
  """Brings inputs to one order; returns them, and the shape of the result.

  Scalars stay scalars.
  """
  order = choose_order(inputs)
  aligned = [reorder(graph, x, order if x.shape else ()) for x in inputs]
  shapes = [x.shape for x in inputs if x.shape]
  shape = tuple(
    next((length for length in lengths if not is_one(length)), 1)
    for lengths in zip(*shapes, strict=True)
  )
  return aligned, shape


def apply(
  graph: Graph, operator: str, inputs: Sequence[Any], dtype: Any, **attributes: Any
) -> Value:
  """Applies an operator to inputs that are broadcast; `dtype` is that of the result."""
  aligned, shape = align(graph, inputs)
  order = next((x.order for x in aligned if x.shape), ())
  name = graph.add(operator, *(x.name for x in aligned), **attributes)
  return Value(name, shape, np.dtype(dtype), order)


def convert(graph: Graph, value: Any, dtype: Any) -> Any:
  """Converts a value, or an array, to a type."""
  dtype = np.dtype(dtype)
  if value.dtype == dtype:
    return value
  if isinstance(value, np.ndarray):
    return value.astype(dtype)
  return value._replace(name=graph.add('Cast', value.name, to=onnx_type(dtype)), dtype=dtype)


def result_type(equation: Any) -> np.dtype:
  """Returns the type of an equation's output."""
  return np.dtype(equation.outvars[0].aval.dtype)


def is_number(value: Any, number: float) -> bool:
  """Returns whether an input is a constant of which each element is a number."""
  return isinstance(value, np.ndarray) and value.size > 0 and bool(np.all(value == number))


def is_scalar(value: Any) -> bool:
  """Returns whether an input is a constant with one element."""
  return isinstance(value, np.ndarray) and value.size == 1


def lower_operator(operator: str) -> Callable[..., Value]:
  """Returns the lowering of a primitive that ONNX has, for small integers as int32."""

  def lower(graph: Graph, equation: Any, *inputs: Any) -> Value:
    dtype, used = result_type(equation), np.dtype(inputs[0].dtype)
    if used.kind not in 'iu' or used in INTEGERS:
      return apply(graph, operator, inputs, dtype)
    if operator in ('And', 'Or', 'Xor', 'Not'):
      raise NotImplementedError(f'{equation.primitive.name} of {used} in JAX')
    wide = [convert(graph, x, np.int64 if used.itemsize == 4 else np.int32) for x in inputs]
    wide_type = dtype if dtype.kind == 'b' else wide[0].dtype
    return convert(graph, apply(graph, operator, wide, wide_type), dtype)

  return lower


def lower_maximum(graph: Graph, equation: Any, left: Any, right: Any) -> Value:
  """Lowers max; with 0 it is ReLU."""
  value, other = (right, left) if isinstance(left, np.ndarray) else (left, right)
  if is_number(other, -np.inf):
    return value
  if is_number(other, 0) and is_scalar(other) and value.dtype.kind == 'f':
    return apply(graph, 'Relu', [value], value.dtype)
  return lower_operator('Max')(graph, equation, value, other)


def lower_minimum(graph: Graph, equation: Any, left: Any, right: Any) -> Value:
  """Lowers min; after ReLU, with a number, it is a clip from 0, such as ReLU6."""
  value, other = (right, left) if isinstance(left, np.ndarray) else (left, right)
  relu = graph.find_producer(value.name, 'Relu') if isinstance(value, Value) else None
  if relu is None or not is_scalar(other):
    return lower_operator('Min')(graph, equation, value, other)
  bounds = [graph.add_constant(x.reshape(())) for x in (np.zeros_like(other), other)]
  return value._replace(name=graph.add('Clip', relu.input[0], *bounds))


def lower_clamp(graph: Graph, equation: Any, low: Any, value: Any, high: Any) -> Value:
  """Lowers clamp(low, x, high)."""
  value = lower_operator('Max')(graph, equation, value, low)
  return lower_operator('Min')(graph, equation, value, high)


def lower_select(graph: Graph, equation: Any, which: Any, *cases: Any) -> Value:
  """Lowers select_n of two cases: the second where `which` is true."""
  if len(cases) != 2:
    raise NotImplementedError('a selection of more than two cases in JAX')
  which = convert(graph, which, bool)
  return apply(graph, 'Where', [which, cases[1], cases[0]], result_type(equation))


def lower_convert(graph: Graph, equation: Any, value: Any) -> Any:
  """Lowers convert_element_type; the index of a maximum is converted once."""
  dtype = result_type(equation)
  cast = graph.find_producer(value.name, 'Cast') if isinstance(value, Value) else None
  index = cast.input[0] if cast is not None else ''
  if graph.find_producer(index, 'ArgMax') is not None and dtype.kind in 'iu':
    return value._replace(name=graph.add('Cast', index, to=onnx_type(dtype)), dtype=dtype)
  return convert(graph, value, dtype)


def lower_integer_power(graph: Graph, equation: Any, value: Any) -> Value:
  """Lowers x ** n for an integer n."""
  exponent = equation.params['y']
  if exponent == 2:
    return lower_square(graph, equation, value)
  return apply(graph, 'Pow', [value, np.asarray(exponent, value.dtype)], value.dtype)


def lower_square(graph: Graph, equation: Any, value: Any) -> Value:
  """Lowers x ** 2."""
  return apply(graph, 'Mul', [value, value], value.dtype)


def lower_rsqrt(graph: Graph, equation: Any, value: Any) -> Value:
  """Lowers 1 / sqrt(x)."""
  root = apply(graph, 'Sqrt', [value], value.dtype)
  return apply(graph, 'Reciprocal', [root], value.dtype)


def lower_erfc(graph: Graph, equation: Any, value: Any) -> Value:
  """Lowers 1 - erf(x)."""
  erf = apply(graph, 'Erf', [value], value.dtype)
  return apply(graph, 'Sub', [np.ones((), value.dtype), erf], value.dtype)


def lower_exp2(graph: Graph, equation: Any, value: Any) -> Value:
  """Lowers 2 ** x."""
  return apply(graph, 'Pow', [np.full((), 2, value.dtype), value], value.dtype)


def lower_log1p(graph: Graph, equation: Any, value: Any) -> Value:
  """Lowers log(1 + x)."""
  total = apply(graph, 'Add', [value, np.ones((), value.dtype)], value.dtype)
  return apply(graph, 'Log', [total], value.dtype)


def lower_not_equal(graph: Graph, equation: Any, left: Any, right: Any) -> Value:
  """Lowers x != y."""
  equal = lower_operator('Equal')(graph, equation, left, right)
  return apply(graph, 'Not', [equal], bool)


def lower_remainder(graph: Graph, equation: Any, left: Any, right: Any) -> Value:
  """Lowers the remainder with the sign of the dividend."""
  return apply(graph, 'Mod', [left, right], result_type(equation), fmod=1)


def lower_round(graph: Graph, equation: Any, value: Any) -> Value:
  """Lowers rounding, with halves to the even integer."""
  if equation.params['rounding_method'] != lax.RoundingMethod.TO_NEAREST_EVEN:
    raise NotImplementedError('rounding halves away from 0 in JAX')
  return apply(graph, 'Round', [value], value.dtype)


def lower_is_finite(graph: Graph, equation: Any, value: Any) -> Value:
  """Lowers is_finite."""
  bad = [apply(graph, operator, [value], bool) for operator in ('IsNaN', 'IsInf')]
  return apply(graph, 'Not', [apply(graph, 'Or', bad, bool)], bool)


def keep(graph: Graph, equation: Any, *values: Any) -> Any:
  """Lowers operations that change nothing."""
  return list(values) if equation.primitive.multiple_results else values[0]


ELEMENTWISE: Mapping[str, Callable[..., Any]] = {
  **{name: lower_operator(operator) for name, operator in OPERATORS.items()},
  'clamp': lower_clamp,
  'convert_element_type': lower_convert,
  'copy': keep,
  'erfc': lower_erfc,
  'exp2': lower_exp2,
  'integer_pow': lower_integer_power,
  'is_finite': lower_is_finite,
  'log1p': lower_log1p,
  'max': lower_maximum,
  'min': lower_minimum,
  'ne': lower_not_equal,
  'optimization_barrier': keep,
  'rem': lower_remainder,
  'round': lower_round,
  'rsqrt': lower_rsqrt,
  'select_n': lower_select,
  'square': lower_square,
  'stop_gradient': keep,
}
