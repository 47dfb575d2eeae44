"""The inference form of a network: BN is folded into the convolutions.

Synopsis:

    folded = fold_batch_norms(model, network)
    with plain_operations():                              # of core/plain.py, for other libraries
      logits = predict_folded(model, folded, image)       # equal to `predict_logits`

In inference a BN is linear, so it becomes part of the convolution before it:

    (x K - mean) scale / sqrt(var + epsilon) + bias = x K' + bias'      K' = K scale / sqrt(...)

The program then has convolutions, sums and activations. The logits differ by rounding.
"""

from collections.abc import Mapping
import math
from typing import Any

import flax.linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
import jax
from jax import lax
import jax.numpy as jnp

from classmix_jax.models.image_classifier import predict_logits
from classmix_jax.models.layers.batch_norm import BatchNorm
from classmix_jax.models.layers.normalize import ACTIVATIONS
from classmix_jax.models.segmenter import IMAGE_SHAPE, Segmenter
from classmix_jax.types import Array, PyTree

Path = tuple[str, ...]


def predict_folded(model: Segmenter, folded: Mapping[str, PyTree], image: Array) -> Array:
  """Computes the logits `[B, H, W, C]` of a network of `fold_batch_norms`.

  Args:
    model: the segmenter.
    folded: the network.
    image: `[B, H, W, 3]` float32 RGB in 0..1; sizes may be symbolic.
  """

  def apply_folded(call: Any, args: tuple, kwargs: dict, context: Any) -> Any:
    if isinstance(context.module, BatchNorm) and context.method_name == '__call__':
      return _add_bias(context.module, *args, **kwargs)
    return call(*args, **kwargs)

  with nn.intercept_methods(apply_folded):
    return predict_logits(model, folded, image)


def fold_batch_norms(model: Segmenter, network: Mapping[str, PyTree]) -> dict[str, PyTree]:
  """Multiplies the scales of BN into the kernels before them.

  Args:
    model: the segmenter.
    network: of `Method.networks`, see `predict_logits`.

  Returns:
    The network for `predict_folded`.
  """
  epsilons = list_epsilons(model, network)
  folded = _fold(network, epsilons)
  if 'classifier' in network:
    folded['classifier'] = _fold(network['classifier'], epsilons)
  return folded


def list_epsilons(model: Segmenter, network: Mapping[str, PyTree]) -> dict[Path, float]:
  """Returns path -> epsilon of every BN that a network calls."""
  epsilons = {}

  def note(call: Any, args: tuple, kwargs: dict, context: Any) -> Any:
    if isinstance(context.module, BatchNorm):
      epsilons[context.module.path] = context.module.epsilon
    return call(*args, **kwargs)

  with nn.intercept_methods(note):
    jax.eval_shape(lambda image: predict_logits(model, network, image), IMAGE_SHAPE)
  return epsilons


def _fold(variables: Mapping[str, PyTree], epsilons: Mapping[Path, float]) -> dict[str, PyTree]:
  """Folds the BNs of a module's variables; a convolution has the name of its BN, conv for bn."""
  params, statistics = (flatten_dict(variables[name]) for name in ('params', 'batch_stats'))
  for path, epsilon in epsilons.items():
    if (*path, 'scale') not in params:  # of the segmenter, but not of its classifier
      continue
    factor = params.pop((*path, 'scale')) * lax.rsqrt(statistics[*path, 'var'] + epsilon)
    convolution = (*path[:-1], path[-1].replace('bn', 'conv', 1))
    if (*convolution, 'kernel') in params:
      params[*convolution, 'kernel'] *= factor.reshape(1, 1, 1, -1)
    else:
      params[*path, 'factor'] = factor
    params[*path, 'bias'] = params[*path, 'bias'] - statistics[*path, 'mean'] * factor
  return {**variables, 'params': unflatten_dict(params), 'batch_stats': {}}


def _add_bias(module: BatchNorm, x: Array, residual: Array | None = None, sizes: Any = None) -> Any:
  """Computes a BN whose scale is folded; with a residual returns the result twice."""
  del sizes  # of a training pass
  params = {name: value.astype(module.dtype) for name, value in module.variables['params'].items()}
  y = x.astype(module.dtype)
  if 'factor' in params:
    y = y * params['factor'].reshape(1, 1, 1, -1)
  y = y + params['bias'].reshape(1, 1, 1, -1)
  if residual is not None:
    y = y + residual
  if module.activation is not None:
    y = jnp.maximum(y, 0.0)
    if (limit := ACTIVATIONS[module.activation]) < math.inf:
      y = jnp.minimum(y, limit)
  return y if residual is None else (y, y)
