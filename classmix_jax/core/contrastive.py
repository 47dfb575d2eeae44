"""Contrastive loss of pixels against a bank of features (arXiv 2607.03068).

Synopsis:

    unit = normalize(features)
    loss = info_nce(unit, label, bank.features, filled_slots(bank), temperature=0.1)
"""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Integer

from classmix_jax.core.resize import PRECISION
from classmix_jax.types import Array

TINY = 1e-12  # keeps the gradient of a vector of zeros finite


def normalize(x: Float[Array, '... D']) -> Float[Array, '... D']:
  """Returns vectors of length 1 along the last axis, zeros for zeros.

  Example:
    >>> [round(float(x), 4) for x in normalize(jnp.array([3.0, 4.0]))]
    [0.6, 0.8]
  """
  return x * jax.lax.rsqrt(jnp.sum(x**2, axis=-1, keepdims=True) + TINY)


def info_nce(
  anchor: Float[Array, 'N D'],
  label: Integer[Array, ' N'],
  bank: Float[Array, 'C S D'],
  filled: Bool[Array, 'C S'],
  temperature: float,
) -> Float[Array, ' N']:
  """Returns -log of the share of the anchor's own class in exp(similarity / temperature).

      loss = -log (sum over the bank's features b of class y of exp(a b / T) / sum over all b)

  Args:
    anchor: `[N, D]` float32, of length 1.
    label: `[N]` classes y of the anchors.
    bank: `[C, S, D]` float32, of length 1.
    filled: `[C, S]` which slots count.
    temperature: T.

  Returns:
    `[N]` float32; 0 if the bank has no feature of the class, such as for `VOID` (255).

  Example:
    >>> bank = jnp.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    >>> anchor, filled = jnp.array([[1.0, 0.0]]), jnp.ones((2, 1), bool)
    >>> round(float(info_nce(anchor, jnp.array([0]), bank, filled, 1.0)[0]), 4)  # log(1 + 1 / e)
    0.3133
  """
  similarity = jnp.einsum('nd,csd->ncs', anchor, bank, precision=PRECISION) / temperature
  # Finite, so that the gradient of classes without a feature is 0 and not NaN.
  similarity = jnp.where(filled[None], similarity, jnp.finfo(similarity.dtype).min / 2)
  per_class = jax.nn.logsumexp(similarity, axis=-1)
  has_positive = jax.nn.one_hot(label, len(bank), dtype=bool) & jnp.any(filled, axis=-1)[None]
  own = jnp.sum(jnp.where(has_positive, per_class, 0.0), axis=-1)
  every = jax.nn.logsumexp(per_class, axis=-1)
  return jnp.where(jnp.any(has_positive, axis=-1), every - own, 0.0)
