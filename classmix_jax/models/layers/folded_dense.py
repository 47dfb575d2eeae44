"""Dense layers with the factors of neighbouring layers multiplied into their weights.

    (x s + t) W + b = x (s W) + (t W + b)    s, t: scale and shift of a norm before the layer
    (x W + b) g     = x (W g) + b g          g: layer scale after it

The results are those of separate layers, except for rounding. The gradients of s, t and g are sums
over weights instead of sums over all tokens, and neither x s + t nor x W + b is kept for them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

from classmix_jax.core.plain import as_operation
from classmix_jax.core.resize import PRECISION
from classmix_jax.models.layers.pixel_product import multiply_pixels
from classmix_jax.types import Array


class Affine(NamedTuple):
  """Scale and shift of each channel, `[C]` float32."""

  scale: Array
  shift: Array


def standardize(x: Float[Array, '*N C'], epsilon: float) -> Float[Array, '*N C']:
  """Returns float32 values with mean 0 and variance 1 over the last axis.

  Example:
    >>> standardize(jnp.array([1.0, 3.0]), 0.0).tolist()
    [-1.0, 1.0]
  """
  # The variance is not the difference of two large numbers.
  centered = x - jnp.mean(x, axis=-1, keepdims=True)
  variance = jnp.mean(jnp.square(centered), axis=-1, keepdims=True)
  return centered / jnp.sqrt(variance + epsilon)


class Standardize(nn.Module):
  """A layer norm whose scale and shift are left to the next layer."""

  epsilon: float

  @nn.compact
  def __call__(self, x: Float[Array, 'B N C']) -> tuple[Float[Array, 'B N C'], Affine]:
    """Returns tokens with mean 0 and variance 1 over their channels, and the affine map."""
    scale = self.param('scale', nn.initializers.ones, (x.shape[-1],))
    shift = self.param('bias', nn.initializers.zeros, (x.shape[-1],))
    standardized = as_operation('standardize', standardize)(x.astype(jnp.float32), self.epsilon)
    return standardized.astype(x.dtype), Affine(scale, shift)


class FoldedDense(nn.Module):
  """A dense layer of an affine map of its input, times a factor for each output.

  Attributes:
    features: G, number of outputs.
    dtype: of the product; parameters and their products are float32.
    kernel_init: draws the kernel `[C, G]`.
    activation: applied to each output, or None.
  """

  features: int
  dtype: Any
  kernel_init: nn.initializers.Initializer
  activation: Callable[[Array], Array] | None = None

  @nn.compact
  def __call__(
    self, x: Float[Array, 'B N C'], before: Affine | None = None, factor: Array | None = None
  ) -> Float[Array, 'B N G']:
    """Returns activation(((x s + t) W + b) g) with `before` = (s, t) and `factor` = g `[G]`."""
    kernel = self.param('kernel', self.kernel_init, (x.shape[-1], self.features))
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    if before is not None:
      bias = bias + jnp.matmul(before.shift, kernel, precision=PRECISION)
      kernel = before.scale[:, None] * kernel
    if factor is not None:
      kernel, bias = kernel * factor[None], bias * factor
    # Tokens are pixels of images of one row.
    x, kernel = x.astype(self.dtype)[:, None], kernel.astype(self.dtype)
    product = jnp.squeeze(multiply_pixels(x, kernel, None), 1)
    bias = bias.astype(self.dtype)[None, None]
    activation = self.activation
    if activation is None:
      return product + bias
    # The gradient keeps the product, not its sum with the bias as well.
    return jax.checkpoint(lambda product, bias: activation(product + bias))(product, bias)
