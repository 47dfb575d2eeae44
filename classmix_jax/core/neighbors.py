"""Refines probabilities by those of neighbouring pixels (S4MC, arXiv 2308.13900).

Synopsis:

    score = refine_by_neighbors(prob, joint=0.98)   # [B, H, W, C]
    margin = top_margin(score)                      # [B, H, W]
"""

import math

from jax import lax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Float

from classmix_jax.types import Array

BETA = math.exp(-0.5)  # weight of a neighbour


def best_neighbor(prob: Float[Array, 'B H W C']) -> Float[Array, 'B H W C']:
  """Returns the largest probability of each class among the four neighbours, 0 outside.

  Example:
    >>> best_neighbor(jnp.array([0.25, 0.5, 0.75]).reshape(1, 1, 3, 1)).ravel().tolist()
    [0.5, 0.75, 0.5]
  """
  height, width = prob.shape[1:3]
  padded = jnp.pad(prob, ((0, 0), (1, 1), (1, 1), (0, 0)))
  # (row, column) of the neighbour above, below, to the left and to the right.
  shifts = ((0, 1), (2, 1), (1, 0), (1, 2))
  neighbors = [padded[:, row : row + height, column : column + width] for row, column in shifts]
  return jnp.stack(neighbors).max(axis=0)


def refine_by_neighbors(
  prob: Float[Array, 'B H W C'], joint: ArrayLike = 0.0, beta: float = BETA
) -> Float[Array, 'B H W C']:
  """Returns p + beta n - beta max(p n, p E), the probability of a class here or next door.

  P(a or b) = P(a) + P(b) - P(a and b), where b is the best neighbour and is weighted by beta, and
  P(a and b) is p n for independent pixels. Pixels of one class lie together, so it is at least
  p E.

  Args:
    prob: probabilities p.
    joint: E of every class, `[C]` or a number in 0..1; 0 takes neighbours as independent.
    beta: weight of the neighbour.

  Returns:
    Scores in 0..1, which do not sum up to 1.

  Example: p = 1/2 and n = 1 beside it give 1/2 + 1 - 1/2 with independent pixels and beta = 1.
    >>> refine_by_neighbors(jnp.array([0.5, 1.0]).reshape(1, 1, 2, 1), beta=1.0)[0, 0, 0].tolist()
    [1.0]
  """
  neighbor, joint = best_neighbor(prob), jnp.broadcast_to(joint, prob.shape)
  return prob + beta * neighbor - beta * prob * jnp.maximum(neighbor, joint)


def top_margin(score: Float[Array, '... C']) -> Float[Array, '...']:
  """Returns the difference of the two highest scores.

  Example:
    >>> top_margin(jnp.array([0.25, 0.625, 0.125])).tolist()
    0.375
  """
  highest, second = jnp.moveaxis(lax.top_k(score, 2)[0], -1, 0)
  return highest - second
