"""Exponential moving averages of parameters, such as the mean teacher of a student.

Synopsis:

    teacher = ema_update(student, teacher, ema_decay(step, 0.99))
    relative_distance(teacher, student)      # 0 at the start
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
import optax

from classmix_jax.core.shapes import check_same_tree
from classmix_jax.types import Array, PyTree


def ema_decay(step: ArrayLike, max_decay: float = 0.99) -> Array:
  """Returns alpha_t = min(1 - 1 / (t + 1), max_decay) (arXiv 2007.07936, section 3.2).

  Args:
    step: t, 0-based index of the last optimizer step.
    max_decay: upper bound, reached after 1 / (1 - max_decay) steps.

  Example:
    >>> [round(float(ema_decay(jnp.array(t))), 3) for t in (0, 1, 99, 1000)]
    [0.0, 0.5, 0.99, 0.99]
  """
  return jnp.minimum(1.0 - 1.0 / (step + 1.0), max_decay)


def ema_update(new: PyTree, average: PyTree, decay: ArrayLike) -> PyTree:
  """Returns decay * average + (1 - decay) * new, leaf by leaf.

  theta' <- alpha theta' + (1 - alpha) theta  (Tarvainen and Valpola, arXiv 1703.01780).

  Args:
    new: parameters of the student.
    average: parameters of the teacher, the same tree.
    decay: alpha, in 0..1.

  Raises:
    ValueError: the trees or the shapes of their leaves differ, or a decay that is no array is not
      in 0..1 (at trace time).

  Example:
    >>> round(float(ema_update({'w': jnp.array(2.0)}, {'w': jnp.array(1.0)}, 0.9)['w']), 4)
    1.1
  """
  check_same_tree(new, average)
  if isinstance(decay, int | float) and not 0 <= decay <= 1:
    raise ValueError(f'decay is {decay}, expected is a number from 0 to 1.')
  return optax.incremental_update(new, average, 1.0 - decay)


@jax.jit
def relative_distance(average: PyTree, new: PyTree) -> Array:
  """Returns |average - new| / |new|, the Euclidean norm over all leaves: a float32 scalar.

  Example:
    >>> float(relative_distance({'a': jnp.array([3.0, 0.0])}, {'a': jnp.array([3.0, 4.0])}))
    0.800000011920929
  """

  def norm(tree: PyTree) -> Array:
    return jnp.sqrt(sum(jnp.sum(x**2) for x in jax.tree.leaves(tree)))

  return norm(jax.tree.map(jnp.subtract, average, new)) / jnp.maximum(norm(new), 1e-12)
