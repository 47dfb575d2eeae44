"""The decoder of a feature pyramid network: levels are summed from the coarsest down.

    coarsest level ---> 1x1 ----------------> p4 -> 3 x (3x3, GN, ReLU, upsampled) -+
    next finer level -> 1x1 -> + doubled p4 = p3 -> 2 x (...) ----------------------+
    next finer level -> 1x1 -> + doubled p3 = p2 -> 1 x (...) ----------------------+-> sum -> 1x1
    next finer level -> 1x1 -> + doubled p2 = p1 -> 3x3, GN, ReLU ------------------+

GN is group normalisation, of an image's own values, so the decoder is the same in training and
afterwards.
"""

from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp

from classmix_jax.core.resize import get_size, resize_bilinear
from classmix_jax.errors import UserError
from classmix_jax.models.layers.conv_bn import KERNEL_INIT, conv
from classmix_jax.models.layers.convolution import pointwise
from classmix_jax.models.layers.enlarge import enlarge_to
from classmix_jax.types import Array, Features

LEVELS = 4  # the coarsest ones are used
GROUPS = 32
EPSILON = 1e-5  # of group normalisation, as in torch


class FPN(nn.Module):
  """The decoder of panoptic FPN (arXiv 1901.02446) as in segmentation-models-pytorch.

  Its dropout of whole channels before the classifier is left out.

  Attributes:
    num_classes: C.
    widths: channels of the summed levels, and of the maps that the classifier takes.
    output_stride: has no effect.
    bn: 'batch' or 'running'; has no effect.
    dtype: of the computation; parameters and group statistics are float32.

  Raises:
    UserError: there are other than two widths, or the second is no multiple of 32.
  """

  num_classes: int
  widths: tuple[int, ...] = (256, 128)
  output_stride: int = 32
  bn: str = 'batch'
  dtype: Any = jnp.float32

  pyramid: ClassVar[bool] = True

  def __post_init__(self):
    if len(self.widths) != 2 or self.widths[1] % GROUPS:
      raise UserError(
        f'config.model.widths is {tuple(self.widths)}; of an fpn they are two numbers, the '
        'channels of the pyramid and those of the maps before the classifier, a multiple of '
        f'{GROUPS}, such as (256, 128).'
      )
    super().__post_init__()

  @nn.compact
  def __call__(self, features: Features, train: bool) -> Array:
    """Maps levels, finest first, to `[B, h, w, C]` of the size of the fourth last level."""
    del train
    if len(features.levels) > LEVELS + 1:
      raise UserError(
        f'config.model.head=fpn takes the {LEVELS} coarsest levels, without those of a stem; set '
        'config.model.stem=False, or config.model.head=unet, which joins all.'
      )
    levels, strides = features.levels[-LEVELS:], features.strides[-LEVELS:]
    sizes = [get_size(level) for level in levels]
    last = len(levels) - 1
    x = self.project(levels[last], self.widths[0], f'level{last}')
    total = self.segment(x, sizes[:last], last)
    for index in reversed(range(last)):
      lateral = self.project(levels[index], self.widths[0], f'level{index}')
      x = lateral + enlarge_to(x, sizes[index], strides[index + 1] / strides[index])
      total += self.segment(x, sizes[:index], index)
    return self.project(total, self.num_classes, 'classifier', nn.initializers.normal(0.01))

  def project(
    self, x: Array, width: int, name: str, kernel_init: nn.initializers.Initializer = KERNEL_INIT
  ) -> Array:
    """Applies a 1x1 convolution with bias."""
    return nn.Conv(
      width, (1, 1), dtype=self.dtype, kernel_init=kernel_init, conv_general_dilated=pointwise,
      name=name,
    )(x)  # fmt: skip

  def segment(self, x: Array, sizes: list[tuple[int, int]], level: int) -> Array:
    """Brings a summed level to the finest size: a 3x3, GN and ReLU before each upsampling.

    Args:
      x: `[B, h, w, F]`.
      sizes: of the finer levels, the finest first; if there are none, x is not upsampled.
      level: index, for names of layers.
    """
    for index, size in enumerate(reversed(sizes or [get_size(x)])):
      name = f'{level}_{index}'
      x = conv(
        self.widths[1], 3, name=f'conv{name}', kernel_init=KERNEL_INIT, dtype=self.dtype
      )(x)  # fmt: skip
      # Variances as differences of two large numbers would be 1e-3 off.
      norm = nn.GroupNorm(
        GROUPS, epsilon=EPSILON, dtype=self.dtype, use_fast_variance=False, name=f'norm{name}'
      )
      x = resize_bilinear(nn.relu(norm(x)), size)
    return x
