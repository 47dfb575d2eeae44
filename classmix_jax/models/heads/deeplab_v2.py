"""The head of DeepLab-v2: a sum of parallel dilated convolutions.

Synopsis:

    head = DeepLabV2(num_classes=19, dilations=(6, 12), unused=(18, 24))
    logits = head(features, train)
"""

from typing import Any, cast

import flax.linen as nn
import jax.numpy as jnp

from classmix_jax.models.layers.convolution import product_and_shifts
from classmix_jax.types import Array, Features


class DeepLabV2(nn.Module):
  """Sum of parallel dilated 3x3 convolutions (ASPP, arXiv 1606.00915, section 3.3).

  Attributes:
    num_classes: C.
    dilations: of the branches. The paper has (6, 12, 18, 24); the original
      ClassMix code returns from inside its loop, so that only (6, 12) are used.
    unused: dilations of branches whose parameters exist but have no effect and never
      change, so that weights of the original can be converted completely.
    output_stride: of the features; has no effect.
    bn: 'batch' or 'running'; has no effect.
    dtype: of the computation.
  """

  num_classes: int
  dilations: tuple[int, ...] = (6, 12)
  unused: tuple[int, ...] = ()
  output_stride: int = 8
  bn: str = 'batch'
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, features: Features, train: bool) -> Array:
    """Maps the last level, `[B, h, w, F]`, to `[B, h, w, C]`."""
    del train  # the head is the same in training and evaluation

    def apply_branch(dilation: int, name: str) -> Array:
      return nn.Conv(
        self.num_classes,
        (3, 3),
        kernel_dilation=dilation,
        padding=[(dilation, dilation)] * 2,
        dtype=self.dtype,
        kernel_init=nn.initializers.normal(0.01),
        name=f'{name}{dilation}',
        conv_general_dilated=product_and_shifts,
      )(features.levels[-1])

    if self.is_initializing():
      for dilation in self.unused:
        apply_branch(dilation, 'unused')  # `core/optim.py` freezes parameters of this name
    branches = (apply_branch(dilation, 'dilation') for dilation in self.dilations)
    return cast(Array, sum(branches))
