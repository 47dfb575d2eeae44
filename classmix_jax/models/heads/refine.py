"""A light head for frozen features: refines them by the levels of a stem.

    coarse levels -> 1x1, GELU, 3x3
      -> upsampled, joined with stride 4, 3x3, 3x3
      -> upsampled, joined with stride 2, 3x3, classifier
    coarse levels -> 1x1 -> upsampled, added to these logits

The second path is a linear probe: the head starts from what the features contain.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from classmix_jax.core.resize import get_size, resize_bilinear
from classmix_jax.errors import UserError
from classmix_jax.models.layers.conv_bn import KERNEL_INIT, conv, conv_bn
from classmix_jax.types import Array, Features

NUM_FINE = 2  # levels of the stem
CLASSIFIER_INIT = nn.initializers.normal(0.01)


class Refine(nn.Module):
  """The light head; the module docstring has its structure.

  Attributes:
    num_classes: C.
    width: channels of the coarse levels together.
    fine_widths: channels at stride 4 and stride 2.
    output_stride: has no effect.
    bn: 'batch' or 'running', see `batch_norm.batch_norm`.
    dtype: of the computation; parameters are float32.

  Raises:
    UserError: the features have no levels of a stem.
  """

  num_classes: int
  width: int = 128
  fine_widths: tuple[int, int] = (64, 32)
  output_stride: int = 14
  bn: str = 'batch'
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, features: Features, train: bool) -> Array:
    """Maps a stem's levels and coarse ones to `[B, H / 2, W / 2, C]`."""
    if features.strides[:NUM_FINE] != (2, 4):
      raise UserError('config.model.head=refine needs a stem; set config.model.stem=True.')
    options = {'train': train, 'bn': self.bn, 'dtype': self.dtype}
    half, quarter, *coarse = features.levels
    taps = jnp.concatenate(coarse, axis=-1).astype(self.dtype)
    x = conv_bn(taps, self.width, 1, '_project', **options)
    kernel = {'kernel_init': KERNEL_INIT, 'dtype': self.dtype}
    x = conv(self.fine_widths[0], 3, name='conv_coarse', **kernel)(nn.gelu(x))
    x = jnp.concatenate([resize_bilinear(x, get_size(quarter)), quarter], axis=-1)
    for name in ('_quarter1', '_quarter2'):
      x = nn.relu(conv_bn(x, self.fine_widths[0], 3, name, **options))
    x = jnp.concatenate([resize_bilinear(x, get_size(half)), half], axis=-1)
    x = nn.relu(conv_bn(x, self.fine_widths[1], 3, '_half', **options))
    return self.classify(x, 'classifier') + resize_bilinear(
      self.classify(taps, 'probe'), get_size(half)
    )

  def classify(self, x: Array, name: str) -> Array:
    """Applies a linear classifier of the channels."""
    return nn.Dense(
      self.num_classes, dtype=self.dtype, kernel_init=CLASSIFIER_INIT, name=name
    )(x)  # fmt: skip
