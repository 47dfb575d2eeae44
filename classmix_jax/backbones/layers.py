"""Convolutions with the conventions of the DeepLab code bases."""

from collections.abc import Callable, Collection
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from classmix_jax.backbones.batch_norm import batch_norm
from classmix_jax.types import Array, UserError

# The original draws every convolution from N(0, 0.01^2) because pretrained
# weights replace it at once. From scratch that vanishes in basic blocks, so the
# fan-out rule of the ResNet paper is used.
KERNEL_INIT = nn.initializers.variance_scaling(2.0, 'fan_out', 'normal')


def rematerialized(block: Callable[..., Any], remat: bool) -> Callable[..., Any]:
  """Returns a block whose inside is computed again in the backward pass, if `remat`.

  Of its activations only the input is kept. Names of parameters do not change,
  if blocks are given theirs.

  Args:
    block: a Module class called as `block(...)(x, train)`, or a function
      `(module, x) -> y` that makes its layers inside of `module`.
    remat: False returns the block as it is.
  """
  if not remat:
    return block
  # Counted from the module itself: train is the third argument of a class's __call__.
  return nn.remat(block, static_argnums=(2,) if isinstance(block, type) else ())


def conv(
    features: int, size: int, *, name: str, stride: int = 1, dilation: int = 1,
    kernel_init: Callable[..., jax.Array], dtype: Any,
) -> nn.Conv:
  """A square convolution without bias, padded by half of its reach on every side."""
  reach = dilation * (size - 1) // 2
  # As a product of matrices; XLA's CPU backend transposes images for the gradient of a convolution.
  product = pointwise if size == stride == 1 else None
  return nn.Conv(
      features, (size, size), strides=stride, kernel_dilation=dilation,
      padding=[(reach, reach)] * 2, use_bias=False, kernel_init=kernel_init,
      dtype=dtype, name=name, conv_general_dilated=product)


def pointwise(x: Array, kernel: Array, *unused: Any, **options: Any) -> Array:
  """A 1x1 convolution of `[B, h, w, F]` with `[1, 1, F, G]`, called as lax.conv_general_dilated."""
  del unused
  return jnp.einsum('bhwf,fg->bhwg', x, kernel[0, 0], precision=options['precision'])


def conv_bn(
    x: Array, features: int, size: int, suffix: str, *, train: bool, bn: str, dtype: Any,
    stride: int = 1, dilation: int = 1,
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
      features, size, name=f'conv{suffix}', stride=stride, dilation=dilation,
      kernel_init=KERNEL_INIT, dtype=dtype)
  return batch_norm(train=train, bn=bn, dtype=dtype, name=f'bn{suffix}')(layer(x))


def check_output_stride(found: int, known: Collection[int], who: str) -> None:
  """Raises UserError for an output stride that a backbone cannot have."""
  if found not in known:
    raise UserError(
        f'config.model.output_stride is {found}, but {who} can have '
        f'{" or ".join(map(str, known))}; 0 is the backbone\'s own.')
