"""Heads: from a backbone's features to class logits at the features' resolution."""

from collections.abc import Callable, Mapping
import functools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from classmix_jax.types import Array, Features


class DeepLabV2(nn.Module):
  """Sum of parallel dilated 3x3 convolutions (ASPP, arXiv 1606.00915, section 3.3).

  Attributes:
    num_classes: C.
    dilations: of the branches. The paper has (6, 12, 18, 24); the original
      ClassMix code returns from inside its loop, so only (6, 12) act there,
      and that is the default here.
    dtype: of the computation.
  """

  num_classes: int
  dilations: tuple[int, ...] = (6, 12)
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, features: Features, train: bool) -> Array:
    """Maps `features.high`, `[B, h, w, F]`, to `[B, h, w, C]`."""
    del train  # there is nothing that behaves otherwise
    return sum(
        nn.Conv(
            self.num_classes, (3, 3), kernel_dilation=dilation,
            padding=[(dilation, dilation)] * 2, dtype=self.dtype,
            kernel_init=nn.initializers.normal(0.01), name=f'dilation{dilation}')(features.high)
        for dilation in self.dilations)


HEADS: Mapping[str, Callable[..., nn.Module]] = {
    'deeplab_v2': DeepLabV2,
    # One branch without dilation, for features that already see far at a fine stride.
    'conv3x3': functools.partial(DeepLabV2, dilations=(1,)),
    'deeplab_v2_four_branches': functools.partial(DeepLabV2, dilations=(6, 12, 18, 24)),
}
