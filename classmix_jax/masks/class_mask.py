"""The mask of ClassMix: half of the classes that the teacher predicts."""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Integer

from classmix_jax.core.shapes import Ids, class_ids, label_size
from classmix_jax.types import Array


def class_mask(
  key: Array, label: Integer[Array, 'H W'], num_classes: int, ignore: Ids = ()
) -> Bool[Array, 'H W']:
  """Returns True on the pixels of half of the present classes (arXiv 2007.07936, section 3.1).

  Of the n classes present in `label`, floor(n / 2) are drawn uniformly without replacement. The
  mask is empty if n = 1. Void is never drawn.

  Args:
    label: `[H, W]` integer class ids 0..C-1; all others, such as -1 and 255, are void.
    num_classes: C.
    ignore: further ids that are void.

  Raises:
    ValueError: label is no `[H, W]` array of integers, but a batch, for example.

  Example:
    >>> mask = class_mask(jax.random.key(0), jnp.array([[0, 0, 3, 255]]), 5)
    >>> int(mask.sum()) in (1, 2), bool(mask[0, 3])
    (True, False)
  """
  label_size(label)
  label = class_ids(label, num_classes, ignore)  # -1 is void
  present = jnp.any(label.reshape(1, -1) == jnp.arange(num_classes)[:, None], axis=1)
  # Ranks random scores, absent classes last, because `unique` has no static shape under jit.
  score = jnp.where(present, jax.random.uniform(key, (num_classes,)), jnp.inf)
  rank = jnp.argsort(jnp.argsort(score))
  chosen = rank < jnp.sum(present) // 2
  return (label >= 0) & chosen[label]
