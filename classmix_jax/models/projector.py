"""Maps the features of a backbone to one vector per pixel for losses between pixels.

Synopsis:

    projector = PixelProjector(width=256)
    params = projector.init(key, features)['params']
    unit = projector.apply({'params': params}, features)       # [B, h, w, 256]
"""

import flax.linen as nn
import jax.numpy as jnp

from classmix_jax.core.contrastive import normalize
from classmix_jax.core.resize import get_size, resize_bilinear
from classmix_jax.types import Array, Features

FINEST = 4  # stride


def select_levels(features: Features) -> list[Array]:
  """Returns the levels of stride 4 and coarser, or those of the coarsest stride."""
  finest = min(FINEST, max(features.strides))
  levels = zip(features.levels, features.strides, strict=True)
  return [level for level, stride in levels if stride >= finest]


class PixelProjector(nn.Module):
  """Two layers of 1x1 convolutions over all levels of the features, computed in float32.

  The first is linear in the levels, joined along the channels at the resolution of the first of
  them. Written as one convolution per level, it precedes the resizing: the same result for less.
  Levels finer than stride 4 are left out, unless no other exists: pairs of pixels are compared.

  Attributes:
    width: D, channels of both layers.
  """

  width: int = 256

  @nn.compact
  def __call__(self, features: Features) -> Array:
    """Maps features to `[B, h, w, D]` float32 of length 1, h and w of the first level used."""
    levels = select_levels(features)
    size = get_size(levels[0])

    def join(index: int, level: Array) -> Array:
      layer = nn.Dense(self.width, use_bias=index == 0, name=f'level{index}')
      return resize_bilinear(layer(level.astype(jnp.float32)), size)

    total = sum(join(index, level) for index, level in enumerate(levels))
    return normalize(nn.Dense(self.width, name='output')(nn.relu(total)))
