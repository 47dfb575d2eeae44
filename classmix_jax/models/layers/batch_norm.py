"""Batch normalisation as in torch, of one batch or of several that pass the network as one.

Synopsis:

    y = batch_norm(train=train, bn='batch', dtype=jnp.float32, name='bn1')(x)

    with normalize_separately([2, 4]):  # the first two images, and the four after them
      y = network.apply(variables, images, train=True, mutable=['batch_stats'])
"""

from collections.abc import Iterator, Sequence
import contextlib
from typing import Any

import flax.linen as nn
from jax import lax
from jax.ad_checkpoint import checkpoint_name
import jax.numpy as jnp

from classmix_jax.types import AXIS, Array

# Which statistics normalise a training forward pass; see `batch_norm`.
BN_MODES = ('batch', 'running')

# The name of what a BatchNorm gets, for `layers.rematerialized`.
BN_INPUT = 'before_bn'


def _channels(values: Array) -> Array:
  """Makes `[F]` fit `[B, h, w, F]`."""
  return values[None, None, None]


def _of_each_image(values: Array, sizes: Sequence[int]) -> Array:
  """Gives every image what its part has: `[parts, F]` becomes `[B, 1, 1, F]`."""
  spread = [
    jnp.broadcast_to(value, (size, 1, 1, value.size))
    for value, size in zip(values, sizes, strict=True)
  ]
  return jnp.concatenate(spread)


def _moments(x: Array, sizes: Sequence[int], axis_name: str) -> tuple[Array, Array]:
  """Returns mean and variance of every part of the *global* batch, `[parts, F]` float32 each."""
  x = x.astype(jnp.float32)
  of_images = jnp.stack([jnp.mean(x, (1, 2)), jnp.mean(x * x, (1, 2))])
  ends = [sum(sizes[:index]) for index in range(1, len(sizes))]
  of_parts = jnp.stack([jnp.mean(part, 1) for part in jnp.split(of_images, ends, 1)], 1)
  mean, square = lax.pmean(of_parts, axis_name)  # one collective for all of it
  return mean, jnp.maximum(square - mean * mean, 0.0)


class BatchNorm(nn.Module):
  """Normalises each channel (arXiv 1502.03167), and remembers its mean and variance as torch does.

  Both normalise by the variance of the n values of a channel. Torch adds n / (n - 1) of it to
  the running one, flax adds it as it is: 0.4 % less on a batch of two 9x13 maps.

  Attributes:
    use_running_average: normalises by the running statistics, which then stay.
    momentum: the share of the running statistics that stays (torch's is 1 minus it).
    epsilon: added to the variance.
    dtype: of the result; statistics are float32.
    axis_name: of the devices that share the batch.
  """

  use_running_average: bool
  momentum: float = 0.9
  epsilon: float = 1e-5
  dtype: Any = jnp.float32
  axis_name: str | None = None

  @nn.compact
  def __call__(self, x: Array, sizes: Sequence[int] | None = None) -> Array:
    """Maps `[B, h, w, F]` to the same shape.

    Args:
      x: the batch.
      sizes: of its parts, in images. Each part is normalised by its own statistics and moves
        the running ones, first to last, as if it had come alone. By default there is one part.
    """
    x, shape = checkpoint_name(x, BN_INPUT), (x.shape[-1],)
    scale = self.param('scale', nn.initializers.ones, shape)
    bias = self.param('bias', nn.initializers.zeros, shape)
    running_mean = self.variable('batch_stats', 'mean', jnp.zeros, shape)
    running_var = self.variable('batch_stats', 'var', jnp.ones, shape)
    if self.use_running_average or self.is_initializing():
      mean, var = map(_channels, (running_mean.value, running_var.value))
    else:
      sizes = [len(x)] if sizes is None else sizes
      means, variances = _moments(x, sizes, self.axis_name)
      for mean, var, size in zip(means, variances, sizes, strict=True):
        count = size * x[0, ..., 0].size * lax.axis_size(self.axis_name)
        unbiased = var * count / max(count - 1, 1)
        keep = lambda old, new: self.momentum * old + (1 - self.momentum) * new
        running_mean.value = keep(running_mean.value, mean)
        running_var.value = keep(running_var.value, unbiased)
      mean, var = _of_each_image(means, sizes), _of_each_image(variances, sizes)
    factor = _channels(scale) * lax.rsqrt(var + self.epsilon)
    return ((x - mean) * factor + _channels(bias)).astype(self.dtype)


def batch_norm(
  *,
  train: bool,
  bn: str,
  dtype: Any,
  name: str,
  momentum: float = 0.9,
  epsilon: float = 1e-5,
) -> BatchNorm:
  """Batch normalisation whose statistics are those of the *global* batch.

  Args:
    train: False uses the running statistics.
    bn: 'batch' normalises a training pass by its own statistics and updates
      the running ones; 'running' freezes them.
    dtype: of the result; statistics are float32.
    name: must start with 'bn', so that `core/optim.py` finds the affine part.
    momentum, epsilon: see `BatchNorm`; they belong to the weights.
  """
  running = not train or bn == 'running'
  # Names of the device axis are bound only inside pmap, where training happens.
  axis_name = None if running else AXIS
  return BatchNorm(
    use_running_average=running,
    momentum=momentum,
    epsilon=epsilon,
    dtype=dtype,
    axis_name=axis_name,
    name=name,
  )


@contextlib.contextmanager
def normalize_separately(sizes: Sequence[int]) -> Iterator[None]:
  """Within, every training `BatchNorm` takes a batch for several, of `sizes` images each.

  A context, so that backbones and heads need not hand `sizes` down to each of their layers.
  """

  def with_sizes(call, args, kwargs, context):
    if isinstance(context.module, BatchNorm) and context.method_name == '__call__':
      return call(*args, **kwargs, sizes=sizes)
    return call(*args, **kwargs)

  with nn.intercept_methods(with_sizes):
    yield
