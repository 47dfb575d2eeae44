"""Sizes of arrays that depend on those of the input, computed by another library.

Synopsis:

    symbolic, = jax.export.symbolic_shape('32*floordiv(h + 31, 32)')
    evaluate(symbolic, {'h': 360})                     # 384; also of tensors that have + - * // %
"""

import ast
from collections.abc import Callable, Mapping
import operator
from typing import Any

OPERATORS: Mapping[type, Callable] = {
  ast.Add: operator.add,
  ast.Sub: operator.sub,
  ast.Mult: operator.mul,
}
FUNCTIONS: Mapping[str, Callable] = {
  'floordiv': operator.floordiv,
  'mod': operator.mod,
  'max': max,
  'min': min,
}


def evaluate(
  dimension: Any, values: Mapping[str, Any], functions: Mapping[str, Callable] = FUNCTIONS
) -> Any:
  """Evaluates a dimension of a shape.

  Args:
    dimension: an integer, or a dimension with names as of `jax.export.symbolic_shape`.
    values: of each name; numbers, or scalars of another library.
    functions: 'floordiv', 'mod', 'max' and 'min' of such values.

  Returns:
    An integer, or a value as `values` has them.

  Example:
    >>> from jax import export
    >>> (dimension,) = export.symbolic_shape('2*max(1, floordiv(h + 7, 14))')
    >>> evaluate(dimension, {'h': 30}), evaluate(3, {})
    (4, 3)
  """
  if isinstance(dimension, int):
    return dimension

  def visit(node: ast.AST) -> Any:
    match node:
      case ast.Constant(value):
        return value
      case ast.Name(name):
        return values[name]
      case ast.BinOp(left, ast.Pow(), ast.Constant(int(exponent))):
        return _power(visit(left), exponent)
      case ast.BinOp(left, operation, right):
        return OPERATORS[type(operation)](visit(left), visit(right))
      case ast.UnaryOp(ast.USub(), value):
        return -1 * visit(value)
      case ast.Call(ast.Name(name), arguments):
        return functions[name](*map(visit, arguments))
    raise NotImplementedError(f'{ast.unparse(node)} in the dimension {dimension}')

  # JAX prints and parses this syntax; powers are printed as h^2.
  return visit(ast.parse(str(dimension).replace('^', '**'), mode='eval').body)


def _power(value: Any, exponent: int) -> Any:
  result = value
  for _ in range(exponent - 1):
    result = result * value
  return result
