"""A linear probe: the baseline of what frozen features contain."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from classmix_jax.core.resize import get_size, resize_bilinear
from classmix_jax.types import Array, Features


class Linear(nn.Module):
  """One linear map from all levels, at the size of the largest, to class logits.

  Attributes:
    num_classes: C.
    output_stride: has no effect.
    bn: 'batch' or 'running'; has no effect.
    dtype: of the computation.
  """

  num_classes: int
  output_stride: int = 14
  bn: str = 'batch'
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, features: Features, train: bool) -> Array:
    """Maps levels `[B, h, w, F]` to `[B, h, w, C]`, h and w those of the first level."""
    del train
    size = get_size(features.levels[0])
    levels = [resize_bilinear(x, size) for x in features.levels]
    classifier = nn.Dense(
      self.num_classes,
      dtype=self.dtype,
      kernel_init=nn.initializers.normal(0.01),
      name='classifier',
    )
    return classifier(jnp.concatenate(levels, axis=-1))
