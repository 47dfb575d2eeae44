"""Looks into programs as JAX traces them."""

from jax.extend.core import jaxprs_in_params


def equations(jaxpr, name):
  """Yields the equations of a primitive, those of inner functions too."""
  for equation in jaxpr.eqns:
    if equation.primitive.name == name:
      yield equation
    for inner in jaxprs_in_params(equation.params):
      yield from equations(inner, name)
