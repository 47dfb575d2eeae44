"""The initial weights of torch's layers, for networks that are trained from them."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

# U(-b, b) with b = 1 / sqrt(fan_in), of kernels [..., in, out].
KERNEL_INIT = nn.initializers.variance_scaling(1 / 3, 'fan_in', 'uniform')


def bias_init(fan_in: int) -> nn.initializers.Initializer:
  """Returns U(-b, b) with b = 1 / sqrt(fan_in) for the biases of a layer.

  Example: `bias_init(9 * 64)` for a 3x3 convolution of 64 channels.
  """
  bound = 1 / math.sqrt(fan_in)

  def draw(key, shape, dtype=jnp.float32, **options):
    return jax.random.uniform(key, shape, dtype, -bound, bound)

  return draw
