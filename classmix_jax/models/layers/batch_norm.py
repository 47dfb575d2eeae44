"""Batch normalisation as in torch, of one batch or of several concatenated ones.

Synopsis:

    y = batch_norm(train=train, bn='batch', dtype=jnp.float32, name='bn1')(x)

    with normalize_separately([2, 4]):  # the first two images, then the next four
      y = network.apply(variables, images, train=True, mutable=['batch_stats'])
"""

from collections.abc import Iterator, Sequence
import contextlib
from typing import Any

import flax.linen as nn
from jax import lax
from jax.ad_checkpoint import checkpoint_name
import jax.numpy as jnp

from classmix_jax.models.layers.normalize import Options, compute_moments, normalize
from classmix_jax.types import AXIS, Array

# Which statistics normalise a training forward pass; see `batch_norm`.
BN_MODES = ('batch', 'running')

# Checkpoint name of the input of every BatchNorm, for `conv_bn.rematerialize`.
BN_INPUT = 'before_bn'


class BatchNorm(nn.Module):
  """Normalises each channel (arXiv 1502.03167) and updates running statistics as torch does.

  Both torch and flax normalise by the biased variance of the n values of a channel. Torch updates
  the running variance with the unbiased one, n / (n - 1) times larger, flax with the biased one.
  The difference is 0.4 % for a batch of two 9x13 feature maps.

  Attributes:
    use_running_average: whether to normalise by the running statistics and leave them unchanged.
    momentum: weight of the old running statistics (1 minus torch's momentum).
    epsilon: added to the variance.
    activation: of the result, a key of `normalize.ACTIVATIONS`, or None.
    dtype: of the result; statistics are float32.
    axis_name: pmap axis of the devices that share the batch.
  """

  use_running_average: bool
  momentum: float = 0.9
  epsilon: float = 1e-5
  activation: str | None = None
  dtype: Any = jnp.float32
  axis_name: str | None = None

  @nn.compact
  def __call__(
    self, x: Array, residual: Array | None = None, sizes: Sequence[int] | None = None
  ) -> Any:
    """Maps `[B, h, w, F]` to the same shape; with a residual returns the result twice.

    Args:
      x: the batch.
      residual: of the same shape, added before the activation; see `normalize` for the result.
      sizes: numbers of images of its parts. Each part is normalised by its own statistics and
        updates the running ones in order, as in a pass of its own. None is a single part.
    """
    x, shape = checkpoint_name(x, BN_INPUT), (x.shape[-1],)
    scale = self.param('scale', nn.initializers.ones, shape)
    bias = self.param('bias', nn.initializers.zeros, shape)
    running_mean = self.variable('batch_stats', 'mean', jnp.zeros, shape)
    running_var = self.variable('batch_stats', 'var', jnp.ones, shape)
    of_batch = not (self.use_running_average or self.is_initializing())
    if of_batch:
      sizes = [len(x)] if sizes is None else sizes
      means, variances = compute_moments(x, sizes, self.axis_name)
      for mean, var, size in zip(means, variances, sizes, strict=True):
        count = size * x[0, ..., 0].size * lax.axis_size(self.axis_name)
        unbiased = var * (count / max(count - 1, 1))
        for running, value in ((running_mean, mean), (running_var, unbiased)):
          running.value = self.momentum * running.value + (1 - self.momentum) * value
    else:
      sizes = x.shape[:1]  # may be symbolic, for an export
      means, variances = running_mean.value[None], running_var.value[None]
    rstd = lax.rsqrt(variances + self.epsilon)
    options = Options(tuple(sizes), of_batch, self.axis_name, self.activation, self.dtype)
    return normalize(x, means, rstd, scale, bias, residual, options)


def batch_norm(
  *,
  train: bool,
  bn: str,
  dtype: Any,
  name: str,
  momentum: float = 0.9,
  epsilon: float = 1e-5,
  activation: str | None = None,
) -> BatchNorm:
  """Builds a `BatchNorm` with the statistics of the *global* batch.

  Args:
    train: False uses the running statistics.
    bn: 'batch' normalises a training pass by its own statistics and updates
      the running ones; 'running' freezes them.
    dtype: of the result; statistics are float32.
    name: must start with 'bn', by which `core/optim.py` identifies scale and bias.
    momentum, epsilon: see `BatchNorm`; pretrained weights come with their own values.
    activation: 'relu', 'relu6' or None.
  """
  running = not train or bn == 'running'
  # The name of the device axis is bound only inside pmap, and only training runs there.
  axis_name = None if running else AXIS
  return BatchNorm(
    use_running_average=running,
    momentum=momentum,
    epsilon=epsilon,
    activation=activation,
    dtype=dtype,
    axis_name=axis_name,
    name=name,
  )


@contextlib.contextmanager
def normalize_separately(sizes: Sequence[int]) -> Iterator[None]:
  """Makes each training `BatchNorm` in the context split its batch into parts of `sizes`.

  A context manager, so that backbones and heads need not pass `sizes` to all their layers.
  """

  def with_sizes(call, args, kwargs, context):
    if isinstance(context.module, BatchNorm) and context.method_name == '__call__':
      return call(*args, **kwargs, sizes=sizes)
    return call(*args, **kwargs)

  with nn.intercept_methods(with_sizes):
    yield
