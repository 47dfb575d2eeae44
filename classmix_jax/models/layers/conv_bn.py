"""Convolutions, optionally with BN, in the conventions of the DeepLab code bases."""

from collections.abc import Callable, Collection
from typing import Any

import flax.linen as nn
import jax

from classmix_jax.errors import UserError
from classmix_jax.models.layers.batch_norm import BN_INPUT, batch_norm
from classmix_jax.models.layers.convolution import pointwise, same_size
from classmix_jax.models.layers.normalize import BN_CHANNELS, BN_OUTPUT
from classmix_jax.types import Array

# The original draws all convolutions from N(0, 0.01^2), since pretrained weights replace them. From
# scratch, activations would vanish in basic blocks, so this is the fan-out rule of He et al.
# (arXiv 1502.01852).
KERNEL_INIT = nn.initializers.variance_scaling(2.0, 'fan_out', 'normal')


def rematerialize(block: Callable[..., Any], remat: bool) -> Callable[..., Any]:
  """Wraps a block so that the backward pass recomputes most of its activations.

  Saved are the inputs of the block's `BatchNorm`s, which are the results of convolutions, and what
  `normalize.py` names: normalising and rectifying again is cheap. With `remat` convolutions are not
  saved. Names of parameters do not change if the blocks have explicit names.

  Args:
    block: a Module class called as `block(...)(inputs, train)`, or a function
      `(module, x) -> y` that creates its layers inside `module`.
    remat: whether to recompute convolutions, too.
  """
  names = (BN_CHANNELS, BN_OUTPUT) if remat else (BN_INPUT, BN_CHANNELS, BN_OUTPUT)
  policy = jax.checkpoint_policies.save_only_these_names(*names)
  # `train` must be static. It is argument 2 of a class's __call__, counted from `self`.
  return nn.remat(block, static_argnums=(2,) if isinstance(block, type) else (), policy=policy)


def conv(
  features: int,
  size: int,
  *,
  name: str,
  stride: int = 1,
  dilation: int = 1,
  kernel_init: Callable[..., jax.Array],
  dtype: Any,
) -> nn.Conv:
  """Builds a square convolution without bias, padded by half its extent on every side."""
  padding = dilation * (size - 1) // 2
  implementation = None  # lax.conv_general_dilated
  if size == 1:
    implementation = pointwise
  elif stride == 1:
    implementation = same_size
  return nn.Conv(
    features,
    (size, size),
    strides=stride,
    kernel_dilation=dilation,
    padding=[(padding, padding)] * 2,
    use_bias=False,
    kernel_init=kernel_init,
    dtype=dtype,
    name=name,
    conv_general_dilated=implementation,
  )


def conv_bn(
  x: Array,
  features: int,
  size: int,
  suffix: str,
  *,
  train: bool,
  bn: str,
  dtype: Any,
  stride: int = 1,
  dilation: int = 1,
  activation: str | None = None,
  residual: Array | None = None,
) -> Any:
  """Applies the convolution `conv<suffix>`, then `bn<suffix>`, inside a compact module.

  Args:
    x: `[B, h, w, F]`.
    features: channels of the result.
    size: side of the kernel.
    suffix: of both names, for example '1' or '_shortcut'.
    train, bn, dtype: see `batch_norm`.
    stride, dilation: of the convolution.
    activation: after BN, see `batch_norm`.
    residual: added between BN and activation, of the same shape as the result. The result is then
      returned twice, see `normalize`.
  """
  layer = conv(
    features,
    size,
    name=f'conv{suffix}',
    stride=stride,
    dilation=dilation,
    kernel_init=KERNEL_INIT,
    dtype=dtype,
  )
  norm = batch_norm(train=train, bn=bn, dtype=dtype, name=f'bn{suffix}', activation=activation)
  return norm(layer(x), residual)


def check_output_stride(output_stride: int, allowed: Collection[int], backbone: str) -> None:
  """Raises UserError if a backbone does not support an output stride."""
  if output_stride not in allowed:
    raise UserError(
      f'config.model.output_stride is {output_stride}, but {backbone} can have '
      f"{' or '.join(map(str, allowed))}; 0 is the backbone's own."
    )
