"""The exact GELU, as one kernel."""

from jax import lax
import jax.numpy as jnp
from jaxtyping import Float

from classmix_jax.core.plain import as_operation
from classmix_jax.types import Array


def gelu(x: Float[Array, '...']) -> Float[Array, '...']:
  """Returns x Phi(x) = x (1 + erf(x / sqrt 2)) / 2, computed in float32, in the dtype of x.

  With erf, XLA makes one kernel of it on GPUs; of erfc, which `nn.gelu` has, it makes two.

  Example:
    >>> round(float(gelu(jnp.array(1.0))), 4)
    0.8413
  """

  def compute(y: Array) -> Array:
    return y * (1 + lax.erf(y * 0.5**0.5)) / 2

  return as_operation('exact_gelu', compute)(x.astype(jnp.float32)).astype(x.dtype)
