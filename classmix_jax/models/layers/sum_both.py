"""Two sums over the same axes, in one pass over memory on accelerators."""

import functools

import jax
from jax import lax
import jax.numpy as jnp

from classmix_jax.types import Array


def sum_both(a: Array, b: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
  """Sums two float32 arrays over the same axes.

  Accelerators read only once what both are computed from. XLA's CPU backend (jaxlib 0.10.2)
  computes two sums 3 to 100 times faster than a reduction of both.

  Example:
    >>> [total.tolist() for total in sum_both(jnp.ones((2, 3)), jnp.zeros((2, 3)), (1,))]
    [[3.0, 3.0], [0.0, 0.0]]
  """

  def add_each(a: Array, b: Array) -> tuple[Array, Array]:
    return jnp.sum(a, axes), jnp.sum(b, axes)

  return lax.platform_dependent(a, b, cpu=add_each, default=functools.partial(add_both, axes=axes))


def add_both(a: Array, b: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
  """Sums two arrays by one reduction of both."""
  zero = jnp.zeros((), a.dtype)
  return lax.reduce((a, b), (zero, zero), functools.partial(jax.tree.map, lax.add), axes)
