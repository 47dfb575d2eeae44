"""The mask of CowMix: smooth random blobs (French et al., arXiv 2003.12022)."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Integer

from classmix_jax.core.resize import PRECISION
from classmix_jax.core.shapes import Ids, label_size
from classmix_jax.types import Array

SIGMA = (8.0, 32.0)  # pixels
FALSE_FRACTION = 0.5  # p, expected fraction of False


def smoothing_matrix(size: int, sigma: Array) -> Array:
  """Returns `[size, size]` weights of Gaussian smoothing along an axis, borders mirrored.

  The same as scipy.ndimage.gaussian_filter1d with mode 'reflect' (pixel -1 is pixel 0), but not
  truncated at 4 sigma. Repeated mirror images reach at least 4 `size` pixels beyond each border.
  """
  target = jnp.arange(size)[:, None]
  weight = jnp.zeros((size, size))
  for period in range(-2, 3):
    shifted = jnp.arange(size)[None, :] + 2 * size * period
    mirrored = -1 - jnp.arange(size)[None, :] + 2 * size * period
    for source in (shifted, mirrored):
      weight += jnp.exp(-0.5 * ((target - source) / sigma) ** 2)
  return weight / jnp.sum(weight, axis=1, keepdims=True)


def cow_mask(
  key: Array, label: Integer[Array, 'H W'], num_classes: int, ignore: Ids = ()
) -> Bool[Array, 'H W']:
  """Thresholds Gaussian-filtered white noise at its (100 p)-th percentile, p = 0.5.

  sigma is log-uniform in 8..32 pixels. The mask is True above mean + std sqrt(2) erfinv(2 p - 1).

  Args:
    key: random key.
    label: `[H, W]` array, only its shape is used.
    num_classes: not used.
    ignore: not used.

  Returns:
    `[H, W]` bool.

  Raises:
    ValueError: label is not `[H, W]`, but a batch, for example.

  Example:
    >>> mask = cow_mask(jax.random.key(0), jnp.zeros((32, 32), int), 5)
    >>> mask.shape, 0.2 < float(mask.mean()) < 0.8
    ((32, 32), True)
  """
  del num_classes, ignore
  height, width = label_size(label)
  sigma_key, noise_key = jax.random.split(key)
  log_sigma = jax.random.uniform(sigma_key, minval=jnp.log(SIGMA[0]), maxval=jnp.log(SIGMA[1]))
  sigma = jnp.exp(log_sigma)
  noise = jax.random.normal(noise_key, (height, width))
  # Smoothing preserves the mean. A large sigma flattens the rest, and subtracting the mean first
  # prevents rounding errors from deciding the comparison below.
  noise -= jnp.mean(noise)
  product = functools.partial(jnp.matmul, precision=PRECISION)
  down, across = smoothing_matrix(height, sigma), smoothing_matrix(width, sigma)
  smooth = product(product(down, noise), across.T)
  quantile = jnp.sqrt(2.0) * jax.scipy.special.erfinv(2 * FALSE_FRACTION - 1)
  return smooth > jnp.mean(smooth) + jnp.std(smooth) * quantile
