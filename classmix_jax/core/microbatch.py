"""A batch in micro-batches, one after the other: the memory of one, the result of all.

Synopsis:

    total = in_turn(lambda params, total, x: total + f(params, x), params, 0.0, batches)
    flat = joined(batches)             # [A, b, ...] -> [A b, ...]
    batches = divided(flat, count)     # and back
"""

from collections.abc import Callable
from typing import TypeVar

import jax
from jax import lax

from classmix_jax.types import PyTree

_Carry = TypeVar('_Carry')


def in_turn(
  function: Callable[[PyTree, _Carry, PyTree], _Carry],
  params: PyTree,
  carry: _Carry,
  batches: PyTree,
) -> _Carry:
  """Returns what `carry` has become after all micro-batches.

  Args:
    function: `(params, carry, micro-batch) -> carry`.
    params: what every call needs as it is.
    carry: before the first micro-batch; may change its structure.
    batches: arrays with a leading axis of micro-batches, `[A, ...]`.
  """
  # Unrolled: inside a loop XLA's CPU backend runs convolutions ten times slower.
  for index in range(len(jax.tree.leaves(batches)[0])):
    carry = function(params, carry, jax.tree.map(lambda x, i=index: x[i], batches))
    # The next micro-batch waits for this one, so that only one is in memory.
    params, carry = lax.optimization_barrier((params, carry))
  return carry


def joined(batches: PyTree) -> PyTree:
  """Maps arrays `[A, b, ...]` to `[A b, ...]`, micro-batch after micro-batch."""
  return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batches)


def divided(flat: PyTree, count: int) -> PyTree:
  """Maps arrays `[A b, ...]` to `[A, b, ...]` with A = `count`: undoes `joined`."""
  return jax.tree.map(lambda x: x.reshape(count, -1, *x.shape[1:]), flat)
