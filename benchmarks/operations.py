"""Counts the operations of matrix products and convolutions in a function of JAX.

Synopsis:

    counted = count(jax.make_jaxpr(step)(state, batch))
    counted.operations, counted.loops

XLA's own `cost_analysis()` is None on some devices, and counts 0 for what a library computes.

    product       2 M N K: two operations per element of the result and summed element
    convolution   2 * result * kh * kw * inputs / groups, / the product of `lhs_dilation`

The zeros that padding adds are counted, those that `lhs_dilation` inserts between elements are not:
so both gradients of a strided convolution have the operations of its forward pass, up to the
images' edges. Element-wise functions and reductions are not counted. Recomputation for
the gradient (`jax.checkpoint`) is counted again.
"""

import math
from typing import NamedTuple

from jax.extend import core


class Counted(NamedTuple):
  """`operations` of all devices together; `loops` of unknown length, whose body counts once."""

  operations: float
  loops: int = 0


def product(equation: core.JaxprEqn) -> float:
  """Returns 2 M N K of a `dot_general`, times its batch."""
  (contracted, _), _ = equation.params['dimension_numbers']
  left, result = equation.invars[0].aval, equation.outvars[0].aval
  return 2 * result.size * math.prod(left.shape[axis] for axis in contracted)


def convolution(equation: core.JaxprEqn) -> float:
  """Returns the operations of a `conv_general_dilated`; a kernel has inputs / groups features."""
  kernel, result = equation.invars[1].aval, equation.outvars[0].aval
  features = kernel.shape[equation.params['dimension_numbers'].rhs_spec[0]]
  dilation = math.prod(equation.params['lhs_dilation'])
  return 2 * result.size * kernel.size / features / dilation


COUNTERS = {'dot_general': product, 'conv_general_dilated': convolution}


def repetitions(equation: core.JaxprEqn) -> int:
  """Returns how often the body of an equation runs: a scan's length, or the number of devices."""
  if equation.primitive.name == 'scan':
    return equation.params['length']
  if equation.primitive.name == 'shard_map':
    return equation.params['mesh'].size
  return 1


def count_equation(equation: core.JaxprEqn) -> Counted:
  """Counts one equation with its sub-computations; of the branches of a `cond` the largest."""
  name = equation.primitive.name
  if name in COUNTERS:
    return Counted(COUNTERS[name](equation))
  bodies = [count(body) for body in core.jaxprs_in_params(equation.params)]
  if name == 'cond':
    return max(bodies)
  times = repetitions(equation)
  return Counted(
    times * sum(body.operations for body in bodies),
    sum(body.loops for body in bodies) + (name == 'while'),
  )


def count(jaxpr: core.Jaxpr | core.ClosedJaxpr) -> Counted:
  """Counts a whole program.

  Args:
    jaxpr: of `jax.make_jaxpr(function)(*arguments)`.

  Example:
    >>> import jax, jax.numpy as jnp
    >>> count(jax.make_jaxpr(jnp.dot)(jnp.ones((2, 3)), jnp.ones((3, 4)))).operations
    48
  """
  counted = [count_equation(equation) for equation in jaxpr.eqns]
  return Counted(sum(one.operations for one in counted), sum(one.loops for one in counted))
