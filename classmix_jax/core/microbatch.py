"""Processes a batch in micro-batches: the memory of one, the result of all.

Synopsis:

    total = fold_micro_batches(lambda total, x: total + f(x), 0.0, batches)
    flat = merge_micro_batches(batches)            # [A, b, ...] -> [A b, ...]
    batches = split_micro_batches(flat, count)     # and back
"""

from collections.abc import Callable, Sequence

import jax
from jax import lax
import jax.numpy as jnp

from classmix_jax.types import PyTree


def fold_micro_batches(
  function: Callable[[PyTree, PyTree], PyTree], carry: PyTree, batches: PyTree
) -> PyTree:
  """Applies `function` to one micro-batch after another and returns the last carry.

  Args:
    function: `(carry, micro-batch) -> carry`.
    carry: value before the first micro-batch; its structure may change between calls.
    batches: arrays with a leading axis of micro-batches, `[A, ...]`.
  """
  # Unrolled, because XLA's CPU backend runs convolutions ten times slower inside a loop.
  for index in range(len(jax.tree.leaves(batches)[0])):
    micro_batch = jax.tree.map(lambda x, i=index: x[i], batches)
    if index:
      # It waits for the one before, so that only one is in memory.
      carry, micro_batch = lax.optimization_barrier((carry, micro_batch))
    carry = function(carry, micro_batch)
  return carry


def concatenate(trees: Sequence[PyTree]) -> PyTree:
  """Concatenates trees of one structure along the first axis of their arrays.

  Example:
    >>> concatenate([(jnp.array([1]), None), (jnp.array([2, 3]), None)])[0].tolist()
    [1, 2, 3]
  """
  return jax.tree.map(lambda *arrays: jnp.concatenate(arrays), *trees)


def merge_micro_batches(batches: PyTree) -> PyTree:
  """Maps arrays `[A, b, ...]` to `[A b, ...]`, micro-batch after micro-batch."""
  return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batches)


def split_micro_batches(flat: PyTree, count: int) -> PyTree:
  """Maps arrays `[A b, ...]` to `[A, b, ...]` with A = `count`: the inverse of merging."""
  return jax.tree.map(lambda x: x.reshape(count, -1, *x.shape[1:]), flat)
