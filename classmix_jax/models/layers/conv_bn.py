"""Convolutions with the conventions of the DeepLab code bases."""

from collections.abc import Callable, Collection
from typing import Any

import flax.linen as nn
import jax

from classmix_jax.errors import UserError
from classmix_jax.models.layers.batch_norm import BN_INPUT, batch_norm
from classmix_jax.models.layers.convolution import pointwise, same_size
from classmix_jax.types import Array

# The original draws every convolution from N(0, 0.01^2) because pretrained
# weights replace it at once. From scratch that vanishes in basic blocks, so the
# fan-out rule of the ResNet paper is used.
KERNEL_INIT = nn.initializers.variance_scaling(2.0, 'fan_out', 'normal')


def rematerialize(block: Callable[..., Any], remat: bool) -> Callable[..., Any]:
  """Returns a block that keeps little for the backward pass and computes the rest again.

  Kept are its input and what its `BatchNorm`s normalise, the results of convolutions, from which
  normalised and rectified values are one cheap pass away; with `remat` nothing but its input.
  Names of parameters do not change, if blocks are given theirs.

  Args:
    block: a Module class called as `block(...)(x, train)`, or a function
      `(module, x) -> y` that makes its layers inside of `module`.
    remat: whether convolutions are computed again, too.
  """
  policy = None if remat else jax.checkpoint_policies.save_only_these_names(BN_INPUT)
  # Counted from the module itself: train is the third argument of a class's __call__.
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
  """A square convolution without bias, padded by half of its reach on every side."""
  reach = dilation * (size - 1) // 2
  way = None
  if size == 1:
    way = pointwise
  elif stride == 1:
    way = same_size
  return nn.Conv(
    features,
    (size, size),
    strides=stride,
    kernel_dilation=dilation,
    padding=[(reach, reach)] * 2,
    use_bias=False,
    kernel_init=kernel_init,
    dtype=dtype,
    name=name,
    conv_general_dilated=way,
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
) -> Array:
  """Convolution `conv<suffix>`, then `bn<suffix>`; called inside a compact module.

  Args:
    x: `[B, h, w, F]`.
    features: channels of the result.
    size: side of the kernel.
    suffix: of both names, e.g. '1' or '_shortcut'.
    train, bn, dtype: see `batch_norm`.
    stride, dilation: of the convolution.
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
  return batch_norm(train=train, bn=bn, dtype=dtype, name=f'bn{suffix}')(layer(x))


def check_output_stride(found: int, known: Collection[int], who: str) -> None:
  """Raises UserError for an output stride that a backbone cannot have."""
  if found not in known:
    raise UserError(
      f'config.model.output_stride is {found}, but {who} can have '
      f"{' or '.join(map(str, known))}; 0 is the backbone's own."
    )
