"""The mask of ClassMix: half of the classes that the teacher predicts."""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Integer

from classmix_jax.types import Array


def class_mask(key: Array, label: Integer[Array, 'H W'], num_classes: int) -> Bool[Array, 'H W']:
  """Returns True on the pixels of half of the present classes (arXiv 2007.07936, section 3.1).

  Of the n classes present in `label`, floor(n / 2) are drawn uniformly without replacement. The
  mask is empty if n = 1. Void is never drawn.

  Args:
    label: `[H, W]` integer class ids 0..C-1; larger values (255) are void.
    num_classes: C.

  Example:
    >>> mask = class_mask(jax.random.key(0), jnp.array([[0, 0, 3, 255]]), 5)
    >>> int(mask.sum()) in (1, 2), bool(mask[0, 3])
    (True, False)
  """
  classes = jnp.arange(num_classes)
  present = jnp.any(label.reshape(1, -1) == classes[:, None], axis=1)
  # Ranks random scores, absent classes last, because `unique` has no static shape under jit.
  score = jnp.where(present, jax.random.uniform(key, (num_classes,)), jnp.inf)
  rank = jnp.argsort(jnp.argsort(score))
  chosen = rank < jnp.sum(present) // 2
  known = label < num_classes  # `chosen[255]` would be clamped to the last class
  return known & chosen[jnp.where(known, label, 0)]
