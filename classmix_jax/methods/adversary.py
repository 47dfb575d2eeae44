"""The optimizer of discriminators."""

import optax

from classmix_jax.core.optim import poly_schedule


def discriminator_optimizer(
  learning_rate: float, steps: int, power: float
) -> optax.GradientTransformation:
  """Returns Adam without weight decay on a poly schedule (arXiv 1802.07934, section 4.1)."""
  # The betas of the code of Hung et al. and of s4GAN.
  return optax.adam(poly_schedule(learning_rate, steps, power), b1=0.9, b2=0.99)
