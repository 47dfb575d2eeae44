"""A light head for frozen features, which the levels of a stem may refine.

    coarse levels -> 1x1, GELU, 3x3
      -> upsampled to twice their size, 3x3, 3x3
      -> upsampled to four times their size, 3x3, classifier
    coarse levels -> 1x1 -> upsampled, added to these logits

The second path is a linear probe: the head starts from what the features contain. With a stem, the
sizes are those of its levels, which are joined.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from classmix_jax.core.resize import get_size, resize_centers
from classmix_jax.models.layers.conv_bn import KERNEL_INIT, conv, conv_bn
from classmix_jax.types import Array, Features

STEM_STRIDES = (2, 4)
CLASSIFIER_INIT = nn.initializers.normal(0.01)


def split_levels(features: Features) -> tuple[list[Array | None], Sequence[Array]]:
  """Returns the levels of the stem, None if there is none, and the coarse levels."""
  if features.strides[: len(STEM_STRIDES)] == STEM_STRIDES:
    half, quarter, *coarse = features.levels
    return [half, quarter], coarse
  return [None, None], features.levels


def join(x: Array, level: Array | None, factor: int, grid: tuple[int, int]) -> Array:
  """Upsamples features to a level and appends it, or to `factor` times a grid without one."""
  if level is None:
    return resize_centers(x, (factor * grid[0], factor * grid[1]))
  return jnp.concatenate([resize_centers(x, get_size(level)), level], axis=-1)


class Refine(nn.Module):
  """The light head; the module docstring has its structure.

  Attributes:
    num_classes: C.
    width: channels of the coarse levels together.
    fine_widths: channels after the first and after the second upsampling.
    output_stride: has no effect.
    bn: 'batch' or 'running', see `batch_norm.batch_norm`.
    dtype: of the computation; parameters are float32.
  """

  num_classes: int
  width: int = 128
  fine_widths: tuple[int, int] = (64, 32)
  output_stride: int = 14
  bn: str = 'batch'
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, features: Features, train: bool) -> Array:
    """Maps levels to logits at four times the size of the last, or half that of the image."""
    options = {'train': train, 'bn': self.bn, 'dtype': self.dtype}
    (half, quarter), coarse = split_levels(features)
    grid = get_size(coarse[-1])
    parts = [resize_centers(x, grid) for x in coarse]
    taps = jnp.concatenate(parts, axis=-1).astype(self.dtype)
    x = nn.gelu(conv_bn(taps, self.width, 1, '_project', **options))
    kernel: dict[str, Any] = {'kernel_init': KERNEL_INIT, 'dtype': self.dtype}
    x = conv(self.fine_widths[0], 3, name='conv_coarse', **kernel)(x)
    x = join(x, quarter, 2, grid)
    for name in ('_fine1', '_fine2'):
      x = conv_bn(x, self.fine_widths[0], 3, name, activation='relu', **options)
    x = join(x, half, 4, grid)
    x = conv_bn(x, self.fine_widths[1], 3, '_fine3', activation='relu', **options)
    return self.classify(x, 'classifier') + resize_centers(
      self.classify(taps, 'probe'), get_size(x)
    )

  def classify(self, x: Array, name: str) -> Array:
    """Applies a linear classifier of the channels."""
    return nn.Dense(
      self.num_classes, dtype=self.dtype, kernel_init=CLASSIFIER_INIT, name=name
    )(x)  # fmt: skip
