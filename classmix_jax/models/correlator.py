"""Maps the features of a backbone to two vectors per pixel, whose products are correlations.

Synopsis:

    correlator = Correlator(width=256)
    params = correlator.init(key, features)['params']
    query, key = correlator.apply({'params': params}, features)       # [B, h, w, 256] each
"""

import flax.linen as nn
import jax.numpy as jnp

from classmix_jax.types import Array, Features

COARSEST = 16  # stride: the cells of a coarser level are too few to compare


def select_level(features: Features) -> Array:
  """Returns the last level of stride 16 or finer, or the last if all are coarser."""
  levels = zip(features.levels, features.strides, strict=True)
  fine = [level for level, stride in levels if stride <= COARSEST]
  return (fine or features.levels)[-1]


class Correlator(nn.Module):
  """A 1x1 convolution with ReLU, then one for each side, on a level of stride 16 or finer.

  Attributes:
    width: D, channels of all three, computed in float32.
  """

  width: int = 256

  @nn.compact
  def __call__(self, features: Features) -> tuple[Array, Array]:
    """Maps features to query and key, `[B, h, w, D]` float32, h and w of `select_level`."""
    level = select_level(features).astype(jnp.float32)
    x = nn.relu(nn.Dense(self.width, name='project')(level))
    # A bias of the key would add the same to all products of a query: softmax ignores it.
    return (
      nn.Dense(self.width, name='query')(x),
      nn.Dense(self.width, use_bias=False, name='key')(x),
    )
