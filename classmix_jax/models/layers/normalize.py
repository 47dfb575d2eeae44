"""Normalisation, residual and activation as one function, whose gradient takes two passes.

    y = activation((x - mean) rstd scale + bias + residual)          rstd = 1 / sqrt(var + epsilon)

Between the forward and the backward pass a layer keeps its input, the moments of each channel and,
if there is a residual, its output, which is the next block's input:

    forward     x --+-- sums of x and x^2 --- mean, rstd
                |   |                             |
                |   +----------- normalise -------+------ + residual -- activation --- y
                |                                 |                                    |
    kept        x                     mean, rstd, scale, bias               y if there is a residual
                |                                 |                                    |
    backward    +------- xhat = (x - mean) rstd --+        g' = g times 1 if 0 < y, else 0
                pass 1   a = sum of g', b = sum of g' xhat       gradients of bias and scale
                pass 2   scale rstd (g' - (a + b xhat) / n)      gradient of x

The gradient of the residual is g'. Without a residual y is computed again from xhat. Of constant
statistics, pass 2 lacks the sums.
"""

from collections.abc import Sequence
import functools
import math
from typing import Any, NamedTuple

import jax
from jax import lax
from jax.ad_checkpoint import checkpoint_name
import jax.numpy as jnp
import numpy as np

from classmix_jax.models.layers.sum_both import add_both, sum_both
from classmix_jax.types import Array

# Largest value that each activation returns; the smallest is 0.
ACTIVATIONS = {'relu': math.inf, 'relu6': 6.0}

# Checkpoint names, for `conv_bn.rematerialize`.
BN_CHANNELS, BN_OUTPUT = 'bn_channels', 'bn_output'

# XLA's GPU backend computes a sum of fewer values within the kernel that uses the sum.
FEW = 32


class Options(NamedTuple):
  """Static arguments of `normalize`.

  Attributes:
    sizes: numbers of images of the parts of a batch; each part has its own statistics.
    of_batch: whether the statistics are those of `x`; otherwise they are constants.
    axis_name: pmap axis of the devices that share the batch, None if they are constants.
    activation: a key of `ACTIVATIONS`, or None.
    dtype: of the result and of the residual; all computation is float32.
  """

  sizes: tuple[int, ...]
  of_batch: bool
  axis_name: str | None
  activation: str | None
  dtype: Any


def compute_moments(x: Array, sizes: Sequence[int], axis_name: str | None) -> tuple[Array, Array]:
  """Returns mean and variance of each part of the *global* batch, `[parts, F]` float32 each.

  They have no gradient, because that of `normalize` includes theirs.
  """
  groups = _group(lax.stop_gradient(x), sizes)
  pixels = math.prod(groups.shape[1:4])
  few = max(count for count in range(1, FEW) if pixels % count == 0)
  groups = groups.reshape(len(groups), few, -1, x.shape[-1])
  sums = (_join_groups(jnp.sum(each, 1), sizes) for each in sum_both(groups, groups * groups, (2,)))
  sums = lax.psum(jnp.stack(list(sums)), axis_name)  # one collective for both
  mean, square = (each * _weigh(x, sizes, axis_name) for each in sums)
  return mean, jnp.maximum(square - mean * mean, 0.0)


def normalize(
  x: Array,
  mean: Array,
  rstd: Array,
  scale: Array,
  bias: Array,
  residual: Array | None,
  options: Options,
) -> Any:
  """Normalises `[B, h, w, F]`, adds a residual and applies an activation.

  Args:
    x: the batch.
    mean, rstd: of each part, `[parts, F]`; rstd is 1 / sqrt(var + epsilon).
    scale, bias: `[F]`.
    residual: `[B, h, w, F]`, or None.
    options: static, see `Options`.

  Returns:
    y `[B, h, w, F]`; with a residual `(y, y)`, one for the next convolution and one for the next
    shortcut. Pass 1 then adds the gradients of both, which JAX would add in a pass of its own.
  """
  channels = lax.stop_gradient(jnp.concatenate([mean, rstd, scale[None], bias[None]]))
  if options.of_batch:
    # One small kernel for all of them, instead of one for each.
    channels = lax.optimization_barrier(channels)
  channels = checkpoint_name(channels, BN_CHANNELS)
  return _normalize(x, channels, scale, bias, residual, options)


class Channels(NamedTuple):
  """Views of the rows of one array, `[2 parts + 2, F]`."""

  mean: Array
  rstd: Array
  scale: Array
  bias: Array


def _split_rows(channels: Array) -> Channels:
  parts = len(channels) // 2 - 1
  return Channels(channels[:parts], channels[parts : 2 * parts], channels[-2], channels[-1])


@functools.partial(jax.custom_vjp, nondiff_argnums=(5,))
def _normalize(
  x: Array, channels: Array, scale: Array, bias: Array, residual: Array | None, options: Options
) -> Any:
  """Computes `normalize` from `channels`; `scale` and `bias` have a gradient, but are not read."""
  mean, rstd, scale, bias = _split_rows(channels)
  y = _standardize(x, mean, rstd, options.sizes) * _expand(scale) + _expand(bias)
  if residual is not None:
    y += _group(residual, options.sizes)
  y = _activate(y, options.activation).reshape(x.shape).astype(options.dtype)
  return y if residual is None else (y, y)


class Kept(NamedTuple):
  """What the backward pass needs: arguments of `_normalize`, and its output after a residual."""

  x: Array
  channels: Array
  output: Array | None


def _forward(x, channels, scale, bias, residual, options):
  output = _normalize(x, channels, scale, bias, residual, options)
  if residual is None:
    return output, Kept(x, channels, None)
  # Without the barrier XLA repeats the activation in each reader, and writes its input as well.
  output = checkpoint_name(lax.optimization_barrier(output[0]), BN_OUTPUT)
  return (output, output), Kept(x, channels, output)


def _backward(options, kept, gradient):
  sizes, with_residual = options.sizes, kept.output is not None
  if with_residual:
    gradient = gradient[0] + gradient[1]
  rectified, normalized = _differentiate(kept, gradient, options)
  sums = sum_both(rectified, rectified * normalized, (1, 2, 3))
  bias_gradient, scale_gradient = add_both(*sums, (0,))

  if with_residual:
    gradient = rectified.reshape(gradient.shape).astype(gradient.dtype)
    options = options._replace(activation=None)
  # A barrier between the passes: XLA would write to memory what both compute.
  x, gradient = lax.optimization_barrier((kept.x, gradient))
  rectified, normalized = _differentiate(kept._replace(x=x), gradient, options)
  if options.of_batch:
    totals = lax.psum(jnp.stack([_join_groups(each, sizes) for each in sums]), options.axis_name)
    total, projection = (_expand_parts(each, sizes) for each in totals)
    weights = _expand_parts(_weigh(x, sizes, options.axis_name), sizes)
    rectified -= (total + projection * normalized) * weights
  channels = _split_rows(kept.channels)
  x_gradient = rectified * _expand(channels.scale) * _expand_parts(channels.rstd, sizes)
  return (
    x_gradient.reshape(x.shape).astype(x.dtype),
    None,
    scale_gradient,
    bias_gradient,
    gradient if with_residual else None,
  )


_normalize.defvjp(_forward, _backward)


def _differentiate(kept: Kept, gradient: Array, options: Options) -> tuple[Array, Array]:
  """Returns the gradient before the activation, and the normalised input, as groups of images."""
  mean, rstd, scale, bias = _split_rows(kept.channels)
  normalized = _standardize(kept.x, mean, rstd, options.sizes)
  gradient = _group(gradient, options.sizes)
  if options.activation is None:
    return gradient, normalized
  if kept.output is None:
    y = _activate(normalized * _expand(scale) + _expand(bias), options.activation)
  else:
    y = _group(kept.output, options.sizes)
  # The slope, 0 or 1, is a factor: XLA would write a mask that two values are selected by.
  gradient *= jnp.sign(y)
  if (limit := ACTIVATIONS[options.activation]) < math.inf:
    gradient *= jnp.sign(limit - y)
  return gradient, normalized


def _activate(x: Array, activation: str | None) -> Array:
  return x if activation is None else jnp.clip(x, 0.0, ACTIVATIONS[activation])


def _group(x: Array, sizes: Sequence[int]) -> Array:
  """Splits a batch into groups of images, `[groups, g, h, w, F]` float32.

  Each part consists of one or more groups, of one if all parts are of equal size.
  """
  groups = len(sizes) if len(set(sizes)) == 1 else sum(sizes) // math.gcd(*sizes)
  return x.reshape(groups, -1, *x.shape[1:]).astype(jnp.float32)


def _join_groups(values: Array, sizes: Sequence[int]) -> Array:
  """Sums the values `[groups, F]` of each part, to `[parts, F]`."""
  if len(set(sizes)) == 1:
    return values
  ends = np.cumsum(sizes)[:-1] // math.gcd(*sizes)
  return jnp.stack([jnp.sum(part, 0) for part in jnp.split(values, ends)])


def _expand_parts(values: Array, sizes: Sequence[int]) -> Array:
  """Repeats the values `[parts, F]` for each group, to `[groups, 1, 1, 1, F]`."""
  if len(set(sizes)) > 1:
    values = jnp.repeat(values, np.array(sizes) // math.gcd(*sizes), 0)
  return _expand(values)


def _expand(values: Array) -> Array:
  """Reshapes `[F]` or `[groups, F]`, to broadcast with groups of images."""
  return values.reshape(-1, 1, 1, 1, values.shape[-1])


def _standardize(x: Array, mean: Array, rstd: Array, sizes: Sequence[int]) -> Array:
  return (_group(x, sizes) - _expand_parts(mean, sizes)) * _expand_parts(rstd, sizes)


def _weigh(x: Array, sizes: Sequence[int], axis_name: str | None) -> Array:
  """Returns 1 / n of each part, n being its pixels on all devices, `[parts, 1]`."""
  pixels = np.array(sizes)[:, None] * math.prod(x.shape[1:3]) * lax.axis_size(axis_name)
  return jnp.asarray(1 / pixels, jnp.float32)
