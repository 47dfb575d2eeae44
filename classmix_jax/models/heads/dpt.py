"""The head of dense prediction transformers (DPT, arXiv 2103.13413) as in UniMatch V2.

levels 1..4 [h, w, D] -> 1x1, resized by 4, 2, 1 and 1/2 -> 3x3, F channels
from level 4 up: x + unit(level) -> unit -> 1x1 -> upsampled to the next level
-> 3x3, ReLU, 1x1: logits at 8 times the size of the levels
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from classmix_jax.core.resize import get_size, resize_bilinear
from classmix_jax.errors import UserError
from classmix_jax.models.layers.convolution import pointwise, same_size
from classmix_jax.models.layers.torch_init import KERNEL_INIT, bias_init
from classmix_jax.types import Array, Features, Size

ENLARGEMENTS = (4, 2, 1)  # of the first three levels; the fourth is halved


def conv(
  x: Array, features: int, size: int, name: str, dtype: Any, *, stride: int = 1, bias: bool = True
) -> Array:
  """Applies a square convolution with torch's initial weights, inside a compact module."""
  implementation = None if stride > 1 else pointwise if size == 1 else same_size
  return nn.Conv(
    features,
    (size, size),
    strides=stride,
    padding=[(size // 2, size // 2)] * 2,
    use_bias=bias,
    dtype=dtype,
    kernel_init=KERNEL_INIT,
    bias_init=bias_init(size * size * x.shape[-1]),
    conv_general_dilated=implementation,
    name=name,
  )(x)


class Enlarge(nn.Module):
  """A transposed convolution whose stride is its size: each cell becomes `size` x `size`.

  The kernel is `[size, size, out, in]`, which are torch's axes `[in, out, size, size]` in the
  order that layouts give to any kernel.
  """

  size: int
  dtype: Any

  @nn.compact
  def __call__(self, x: Array) -> Array:
    batch, height, width, features = x.shape
    kernel = self.param('kernel', KERNEL_INIT, (self.size, self.size, features, features))
    bias = self.param('bias', bias_init(self.size**2 * features), (features,))
    # Each cell (h, w) gives the pixels (h, k, w, l).
    x = jnp.einsum('bhwi,kloi->bhkwlo', x.astype(self.dtype), kernel.astype(self.dtype))
    x = x.reshape(batch, self.size * height, self.size * width, features)
    return x + bias.astype(self.dtype)[None, None, None]


class ResidualUnit(nn.Module):
  """x + conv(relu(conv(relu(x)))), two 3x3 convolutions."""

  dtype: Any

  @nn.compact
  def __call__(self, x: Array) -> Array:
    y = conv(nn.relu(x), x.shape[-1], 3, 'conv1', self.dtype)
    return x + conv(nn.relu(y), x.shape[-1], 3, 'conv2', self.dtype)


class Fusion(nn.Module):
  """Adds a level to the coarser ones and upsamples the sum."""

  dtype: Any

  @nn.compact
  def __call__(self, x: Array, skip: Array | None, size: Size) -> Array:
    """Maps `[B, h, w, F]` and a level of this size, if there is one, to `[B, *size, F]`."""
    if skip is not None:
      x = x + ResidualUnit(self.dtype, name='unit1')(skip)
    elif self.is_initializing():
      ResidualUnit(self.dtype, name='unused_unit1')(x)  # exists in published weights
    x = ResidualUnit(self.dtype, name='unit2')(x)
    # In the publication the 1x1 convolution comes last. The order has no effect, since the weights
    # of an interpolation sum to 1, and here the convolution has a quarter of the pixels.
    return resize_bilinear(conv(x, x.shape[-1], 1, 'out_conv', self.dtype), size)


class DPT(nn.Module):
  """The DPT head without BN.

  Attributes:
    num_classes: C.
    width: F, channels of the fusion.
    projections: channels of the four levels before it.
    output_stride: has no effect.
    bn: 'batch' or 'running'; has no effect.
    dtype: of the computation; parameters are float32.

  Raises:
    UserError: the backbone has other than four levels of one size.
  """

  num_classes: int
  width: int = 64
  projections: tuple[int, int, int, int] = (48, 96, 192, 384)
  output_stride: int = 14
  bn: str = 'batch'
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, features: Features, train: bool) -> Array:
    """Maps four levels `[B, h, w, D]` to logits `[B, 8 h, 8 w, C]`."""
    del train
    if len({get_size(x) for x in features.levels}) > 1 or len(features.levels) != 4:
      raise UserError(
        'config.model.head=dpt_* takes four levels of one size, which the dinov2_* backbones have, '
        f'but this backbone has {len(features.levels)}; choose another head or backbone.'
      )
    levels = [self.reassemble(x, index) for index, x in enumerate(features.levels)]
    sizes = [get_size(x) for x in levels]
    sizes = [(2 * sizes[0][0], 2 * sizes[0][1]), *sizes[:3]]
    x = Fusion(self.dtype, name='fusion4')(levels[3], None, sizes[3])
    for index in (2, 1, 0):
      x = Fusion(self.dtype, name=f'fusion{index + 1}')(x, levels[index], sizes[index])
    x = nn.relu(conv(x, self.width, 3, 'output1', self.dtype))
    return conv(x, self.num_classes, 1, 'output2', self.dtype)

  def reassemble(self, x: Array, index: int) -> Array:
    """Returns a level at its own size, with `width` channels."""
    features = self.projections[index]
    x = conv(x, features, 1, f'project{index}', self.dtype)
    if index == len(ENLARGEMENTS):
      x = conv(x, features, 3, f'resize{index}', self.dtype, stride=2)
    elif ENLARGEMENTS[index] > 1:
      x = Enlarge(ENLARGEMENTS[index], self.dtype, name=f'resize{index}')(x)
    return conv(x, self.width, 3, f'level{index + 1}', self.dtype, bias=False)
