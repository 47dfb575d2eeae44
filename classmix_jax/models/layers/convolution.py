"""How convolutions are computed: the numbers of `lax.conv_general_dilated`, by faster ways.

Each function is called as `lax.conv_general_dilated` is by flax, with `[B, h, w, F]` and
`[k, k, F, G]`, and is chosen where a layer is made:

    nn.Conv(features, (1, 1), conv_general_dilated=pointwise)

Which way is fast is measured by benchmarks/ops.py.
"""

from collections.abc import Sequence
import functools
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp

from classmix_jax.types import Array

# Channels from which products of matrices beat a convolution on CPUs.
WIDE = 128

DIMENSIONS = ('NHWC', 'HWIO', 'NHWC')


def pointwise(
  x: Array, kernel: Array, strides: Sequence[int], *unused: Any, **options: Any
) -> Array:
  """A 1x1 convolution without padding: one product of matrices, if the stride is 1.

  With a stride it stays a convolution. XLA fuses a strided slice into the product of the kernel's
  gradient, and aborts on NVIDIA GPUs where a block is computed again (GemmFusion's check in
  triton_tiling_propagation.cc, jaxlib 0.10.2 and 0.11.2).
  """
  del unused
  if tuple(strides) != (1, 1):
    return lax.conv_general_dilated(
      x, kernel, strides, 'VALID', dimension_numbers=DIMENSIONS, precision=options['precision']
    )
  return _product(x, kernel[0, 0], options['precision'])


def product_and_shifts(
  x: Array,
  kernel: Array,
  strides: Sequence[int],
  padding: Sequence[tuple[int, int]],
  *,
  rhs_dilation: Sequence[int],
  **options: Any,
) -> Array:
  """A convolution of stride 1 as one product with all k^2 elements, then a sum of shifts.

  For few results of many channels, as of a classifier: a convolution to 19 channels leaves most
  of a matrix unit idle, a product with 9 * 19 columns fills it. The sum is in float32.
  """
  del strides
  height, width, _, features = kernel.shape
  columns = kernel.transpose(2, 0, 1, 3).reshape(x.shape[-1], -1)
  products = _product(x, columns, options['precision'])
  products = jnp.pad(products, ((0, 0), *padding, (0, 0)))
  lengths = [
    products.shape[axis + 1] - rhs_dilation[axis] * (kernel.shape[axis] - 1) for axis in range(2)
  ]
  total = 0.0
  for index in range(height * width):
    row, column = (at * step for at, step in zip(divmod(index, width), rhs_dilation, strict=True))
    seen = products[
      :,
      row : row + lengths[0],
      column : column + lengths[1],
      index * features : (index + 1) * features,
    ]
    total += seen.astype(jnp.float32)
  return total.astype(x.dtype)


def same_size(
  x: Array,
  kernel: Array,
  strides: Sequence[int],
  padding: Sequence[tuple[int, int]],
  *,
  rhs_dilation: Sequence[int],
  **options: Any,
) -> Array:
  """A convolution of stride 1 padded by half of its reach, with a fast gradient by its kernel.

  Left to itself, JAX writes that gradient as a convolution whose window is a whole feature map,
  taken in strides of the dilation. For wide layers CPUs are 2 to 4 times faster with one product
  of matrices per element of the kernel; GPUs do without strides, on the d^2 interleaved images
  (space to batch), unless these are too small.
  """
  del strides, padding
  return _same_size(x, kernel, rhs_dilation[0], options['precision'])


def _convolution(x: Array, kernel: Array, dilation: int, precision: Any) -> Array:
  reach = dilation * (kernel.shape[0] - 1) // 2
  return lax.conv_general_dilated(
    x,
    kernel,
    (1, 1),
    [(reach, reach)] * 2,
    rhs_dilation=(dilation, dilation),
    dimension_numbers=DIMENSIONS,
    precision=precision,
  )


_same_size = jax.custom_vjp(_convolution, nondiff_argnums=(2, 3))


def _forward(
  x: Array, kernel: Array, dilation: int, precision: Any
) -> tuple[Array, tuple[Array, Array]]:
  return _convolution(x, kernel, dilation, precision), (x, kernel)


def _backward(
  dilation: int, precision: Any, inputs: tuple[Array, Array], gradient: Array
) -> tuple[Array, Array]:
  x, kernel = inputs
  # Stride 1 and equal padding: the way back is the same convolution with the mirrored kernel.
  by_x = _convolution(gradient, kernel[::-1, ::-1].swapaxes(2, 3), dilation, precision)
  return by_x, _gradient_by_kernel(x, gradient, kernel, dilation, precision)


_same_size.defvjp(_forward, _backward)


def _gradient_by_kernel(
  x: Array, gradient: Array, kernel: Array, dilation: int, precision: Any
) -> Array:
  interleaving = lambda: gradient_by_interleaving(x, gradient, kernel, dilation, precision)
  products = lambda: gradient_by_products(x, gradient, kernel.shape[0], dilation, precision)
  wide = min(kernel.shape[2:]) >= WIDE
  # Interleaved images as small as the kernel: XLA makes no kernel gradient of cuDNN's of them.
  small = min(-(-side // dilation) for side in x.shape[1:3]) <= kernel.shape[0]
  on_cpu, elsewhere = products if wide else interleaving, products if small else interleaving
  if on_cpu is elsewhere:
    return on_cpu()
  return lax.platform_dependent(cpu=on_cpu, default=elsewhere)


def gradient_by_products(
  x: Array, gradient: Array, size: int, dilation: int, precision: Any
) -> Array:
  """The gradient by a kernel `[k, k, F, G]`: what each of its elements saw, times the result's."""
  reach = dilation * (size - 1) // 2
  padded = jnp.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
  height, width = x.shape[1:3]

  def of_element(index: int) -> Array:
    row, column = (dilation * at for at in divmod(index, size))
    return sum_products(padded[:, row : row + height, column : column + width], gradient, precision)

  products = jnp.stack([of_element(index) for index in range(size * size)])
  return products.reshape(size, size, *products.shape[1:])


def gradient_by_interleaving(
  x: Array, gradient: Array, kernel: Array, dilation: int, precision: Any
) -> Array:
  """The same as a convolution without dilation, of images that take every d-th pixel."""
  of_kernel = lambda kernel: _convolution(interleave(x, dilation), kernel, 1, precision)
  return jax.linear_transpose(of_kernel, kernel)(interleave(gradient, dilation))[0]


def interleave(x: Array, step: int) -> Array:
  """Splits images into the step^2 that take every step-th row and column (space to batch).

  Args:
    x: `[B, h, w, F]`.
    step: in pixels.

  Returns:
    `[B * step^2, ceil(h / step), ceil(w / step), F]`; zeros fill up what is missing.

  Example:
    >>> interleave(jnp.arange(4.0).reshape(1, 1, 4, 1), 2)[:, 0, :, 0].tolist()
    [[0.0, 2.0], [1.0, 3.0], [0.0, 0.0], [0.0, 0.0]]
  """
  images, height, width, features = x.shape
  rows, columns = -(-height // step), -(-width // step)
  x = jnp.pad(x, ((0, 0), (0, rows * step - height), (0, columns * step - width), (0, 0)))
  x = x.reshape(images, rows, step, columns, step, features)
  return x.transpose(0, 2, 4, 1, 3, 5).reshape(-1, rows, columns, features)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _product(x: Array, matrix: Array, precision: Any) -> Array:
  """`[B, h, w, F]` times `[F, G]`."""
  return jnp.einsum('bhwf,fg->bhwg', x, matrix, precision=precision)


def _product_forward(x: Array, matrix: Array, precision: Any) -> tuple[Array, tuple[Array, Array]]:
  return _product(x, matrix, precision), (x, matrix)


def _product_backward(
  precision: Any, inputs: tuple[Array, Array], gradient: Array
) -> tuple[Array, Array]:
  x, matrix = inputs
  by_x = jnp.einsum('bhwg,fg->bhwf', gradient, matrix, precision=precision)
  return by_x, sum_products(x, gradient, precision)


_product.defvjp(_product_forward, _product_backward)


def sum_products(x: Array, gradient: Array, precision: Any) -> Array:
  """`[B, h, w, F]` and `[B, h, w, G]` to `[F, G]`, summed over pixels.

  XLA's CPU backend transposes the first factor in memory: that should be the narrower one.
  """
  if x.shape[-1] < gradient.shape[-1]:
    return jnp.einsum('bhwf,bhwg->fg', x, gradient, precision=precision)
  return jnp.einsum('bhwg,bhwf->gf', gradient, x, precision=precision).T
