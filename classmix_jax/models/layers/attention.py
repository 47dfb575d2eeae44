"""Attention of a vision transformer without the scores of all heads in memory.

`[N, N]` scores of every image and head would be the largest arrays of a training step. cuDNN's
flash attention never writes them. Elsewhere those of one head are in memory at a time, and the
gradient computes them again. Exports (`core/plain.py`) have the formula as it stands.
"""

import functools

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Float

from classmix_jax.core.plain import as_operation, is_plain
from classmix_jax.types import Array

HALF = (jnp.bfloat16, jnp.float16)


def has_cudnn_attention() -> bool:
  """Returns whether the device is a GPU with cuDNN's flash attention."""
  device = jax.devices()[0]
  return device.platform == 'gpu' and float(getattr(device, 'compute_capability', 0)) >= 8.0


@jax.checkpoint
def attend_head(parts: tuple[Array, Array, Array]) -> Array:
  """Computes attention of one head, `[B, N, D]` queries, keys and values; scores are float32."""
  query, key, value = parts
  scores = jnp.matmul(query, key.swapaxes(1, 2), preferred_element_type=jnp.float32)
  scores *= query.shape[-1] ** -0.5
  # The result does not depend on the maximum, which prevents an overflow.
  weights = jnp.exp(scores - lax.stop_gradient(jnp.max(scores, axis=-1, keepdims=True)))
  result = jnp.matmul(weights.astype(value.dtype), value, preferred_element_type=jnp.float32)
  return (result / jnp.sum(weights, axis=-1, keepdims=True)).astype(value.dtype)


def attend_by_head(
  query: Float[Array, 'B N H D'], key: Float[Array, 'B N H D'], value: Float[Array, 'B N H D']
) -> Float[Array, 'B N H D']:
  """Computes one head after another.

  On a CPU its scores stay in the cache: three times as fast as `jax.nn.dot_product_attention`
  (1,729 tokens, jaxlib 0.10.2).
  """
  parts = tuple(jnp.moveaxis(x, 2, 0) for x in (query, key, value))
  return jnp.moveaxis(lax.map(attend_head, parts), 0, 2)


def attend_at_once(
  query: Float[Array, 'B N H D'], key: Float[Array, 'B N H D'], value: Float[Array, 'B N H D']
) -> Float[Array, 'B N H D']:
  """Computes all heads as two batched matrix products and a softmax."""
  query, key, value = (x.swapaxes(1, 2) for x in (query, key, value))
  scores = jnp.matmul(query * query.shape[-1] ** -0.5, key.swapaxes(2, 3))
  softmax = as_operation('softmax_of_last_axis', jax.nn.softmax)
  weights = softmax(scores.astype(jnp.float32)).astype(value.dtype)
  return jnp.matmul(weights, value).swapaxes(1, 2)


def attend(
  query: Float[Array, 'B N H D'], key: Float[Array, 'B N H D'], value: Float[Array, 'B N H D']
) -> Float[Array, 'B N H D']:
  """Returns softmax(q k^T / sqrt(D)) v of each head.

  Example:
    >>> x = jnp.zeros((1, 2, 1, 4)).at[0, 0, 0, 0].set(2.0)
    >>> attend(jnp.zeros_like(x), x, x)[0, :, 0, 0].tolist()
    [1.0, 1.0]
  """
  if is_plain():
    return attend_at_once(query, key, value)
  if query.dtype not in HALF or not has_cudnn_attention():
    return attend_by_head(query, key, value)
  flash = functools.partial(jax.nn.dot_product_attention, implementation='cudnn')
  return lax.platform_dependent(query, key, value, cuda=flash, default=attend_by_head)
