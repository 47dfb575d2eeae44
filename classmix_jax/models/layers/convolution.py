"""Faster implementations of `lax.conv_general_dilated` with the same results.

Flax calls each function like `lax.conv_general_dilated`, with `[B, h, w, F]` and `[k, k, F, G]`.
A layer selects its implementation:

    nn.Conv(features, (1, 1), conv_general_dilated=pointwise)

benchmarks/ops.py measures them. For export they are plain convolutions (`core/plain.py`).
"""

from collections.abc import Sequence
import functools
from typing import Any

import jax
from jax import lax
from jax.experimental.layout import Layout, with_layout_constraint
import jax.numpy as jnp

from classmix_jax.core.plain import with_plain_form
from classmix_jax.models.layers.pixel_product import multiply_pixels, sum_products
from classmix_jax.types import Array

# Channels from which CPUs do not interleave images for a kernel gradient (benchmarks/ops.py).
MIN_WIDE_CHANNELS = 128

# Bytes of the gradient of a layer's output up to which CPUs compute the gradient of a wide kernel
# faster as a convolution. With more, which do not stay in the cache, that takes twice as long.
CACHED_BYTES = 2**23

DIMENSIONS = ('NHWC', 'HWIO', 'NHWC')


@with_plain_form(lax.conv_general_dilated)
def pointwise(
  x: Array, kernel: Array, strides: Sequence[int], *unused: Any, **options: Any
) -> Array:
  """Computes a 1x1 convolution without padding; with stride 1 as one matrix product.

  With another stride it stays a convolution: XLA would fuse a strided slice into the matrix product
  of the kernel's gradient, and aborts on NVIDIA GPUs if the block is rematerialized (a check of
  GemmFusion in triton_tiling_propagation.cc, jaxlib 0.10.2 and 0.11.2).
  """
  del unused
  if tuple(strides) != (1, 1):
    return lax.conv_general_dilated(
      x, kernel, strides, 'VALID', dimension_numbers=DIMENSIONS, precision=options['precision']
    )
  return multiply_pixels(x, kernel[0, 0], options['precision'])


@with_plain_form(lax.conv_general_dilated)
def product_and_shifts(
  x: Array,
  kernel: Array,
  strides: Sequence[int],
  padding: Sequence[tuple[int, int]],
  *,
  rhs_dilation: Sequence[int],
  **options: Any,
) -> Array:
  """Computes a convolution of stride 1 as one matrix product and a sum of shifted slices.

  For few output channels and many input channels, as in a classifier: a convolution to 19 channels
  leaves most of a matrix unit idle, a product with k^2 * 19 columns fills it. Sums in float32.
  """
  del strides
  height, width, _, features = kernel.shape
  # [k, k, F, G] -> [F, k * k * G]: column block i holds kernel element i in row-major order.
  columns = kernel.transpose(2, 0, 1, 3).reshape(x.shape[-1], -1)
  products = multiply_pixels(x, columns, options['precision'])
  products = jnp.pad(products, ((0, 0), *padding, (0, 0)))
  lengths = [
    products.shape[axis + 1] - rhs_dilation[axis] * (kernel.shape[axis] - 1) for axis in range(2)
  ]
  total: Any = 0.0
  for index in range(height * width):
    # Kernel element (u, v) contributes its products shifted by (dilation u, dilation v).
    row, column = (at * step for at, step in zip(divmod(index, width), rhs_dilation, strict=True))
    shifted = products[
      :,
      row : row + lengths[0],
      column : column + lengths[1],
      index * features : (index + 1) * features,
    ]
    total += shifted.astype(jnp.float32)
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
  """Computes a convolution of stride 1 and padding SAME, with a fast kernel gradient.

  By default JAX computes that gradient as a convolution whose window is a whole feature map and
  whose strides are the dilation. On CPUs that is fastest for wide layers, unless the maps are
  larger than the cache: then it is one matrix product per kernel element. On GPUs a convolution
  without dilation over the d^2 interleaved images (space to batch) is faster, unless these images
  are too small.
  """
  del strides, padding
  return _same_size(x, kernel, rhs_dilation[0], options['precision'])


def _convolution(x: Array, kernel: Array, dilation: int, precision: Any) -> Array:
  """Computes a dilated convolution of stride 1 and padding SAME with XLA."""
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
  # With stride 1 and padding SAME, the gradient by x is a convolution with the mirrored kernel.
  x_gradient = _convolution(gradient, kernel[::-1, ::-1].swapaxes(2, 3), dilation, precision)
  return x_gradient, _kernel_gradient(x, gradient, kernel, dilation, precision)


_same_size.defvjp(_forward, _backward)


def _kernel_gradient(
  x: Array, gradient: Array, kernel: Array, dilation: int, precision: Any
) -> Array:
  """Computes the gradient by the kernel in the fastest way for the platform and the sizes."""
  interleaving = functools.partial(
    gradient_by_interleaving, x, gradient, kernel, dilation, precision
  )
  products = functools.partial(
    gradient_by_products, x, gradient, kernel.shape[0], dilation, precision
  )
  on_cpu = interleaving
  if min(kernel.shape[2:]) >= MIN_WIDE_CHANNELS:
    cached = gradient.size * gradient.dtype.itemsize <= CACHED_BYTES
    by_default = functools.partial(
      gradient_by_convolution, x, gradient, kernel, dilation, precision
    )
    on_cpu = by_default if cached else products
  # For interleaved images no larger than the kernel, XLA does not use cuDNN's kernel gradient.
  small = min(-(-side // dilation) for side in x.shape[1:3]) <= kernel.shape[0]
  elsewhere = products if small else interleaving
  if on_cpu is elsewhere:
    return on_cpu()
  return lax.platform_dependent(cpu=on_cpu, default=elsewhere)


def gradient_by_convolution(
  x: Array, gradient: Array, kernel: Array, dilation: int, precision: Any
) -> Array:
  """Computes a kernel gradient as JAX does, with a window of a whole feature map."""
  # Without the barrier XLA repeats the layers before it while it transposes both factors.
  x, gradient = lax.optimization_barrier((x, gradient))

  def convolve(kernel: Array) -> Array:
    return _convolution(x, kernel, dilation, precision)

  return jax.linear_transpose(convolve, kernel)(gradient)[0]


def gradient_by_products(
  x: Array, gradient: Array, size: int, dilation: int, precision: Any
) -> Array:
  """Computes the gradient by a kernel `[k, k, F, G]` with one matrix product per element."""
  reach = dilation * (size - 1) // 2
  padded = jnp.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
  height, width = x.shape[1:3]

  def differentiate_element(index: int) -> Array:
    row, column = (dilation * at for at in divmod(index, size))
    return sum_products(padded[:, row : row + height, column : column + width], gradient, precision)

  products = jnp.stack([differentiate_element(index) for index in range(size * size)])
  return products.reshape(size, size, *products.shape[1:])


def gradient_by_interleaving(
  x: Array, gradient: Array, kernel: Array, dilation: int, precision: Any
) -> Array:
  """Computes a kernel gradient as that of an undilated convolution of interleaved images."""

  def convolve(kernel: Array) -> Array:
    return _convolution(interleave(x, dilation), kernel, 1, precision)

  return _store_by_rows(jax.linear_transpose(convolve, kernel)(interleave(gradient, dilation))[0])


def _store_by_rows(kernel: Array) -> Array:
  """Stores the gradient of a kernel on GPUs in the order of parameters, `[k, k, F, G]`.

  cuDNN computes it as `[G, k, k, F]`. XLA would keep that order until after the update, and then
  copy parameter, momentum and average of every kernel.
  """

  def constrain(kernel: Array) -> Array:
    return with_layout_constraint(kernel, Layout((0, 1, 2, 3)))

  return lax.platform_dependent(kernel, cuda=constrain, default=lambda kernel: kernel)


def interleave(x: Array, step: int) -> Array:
  """Splits each image into step^2 images of every step-th row and column (space to batch).

  Args:
    x: `[B, h, w, F]`.
    step: in pixels.

  Returns:
    `[B * step^2, ceil(h / step), ceil(w / step), F]`, padded with zeros.

  Example:
    >>> interleave(jnp.arange(4.0).reshape(1, 1, 4, 1), 2)[:, 0, :, 0].tolist()
    [[0.0, 2.0], [1.0, 3.0], [0.0, 0.0], [0.0, 0.0]]
  """
  images, height, width, features = x.shape
  rows, columns = -(-height // step), -(-width // step)
  x = jnp.pad(x, ((0, 0), (0, rows * step - height), (0, columns * step - width), (0, 0)))
  x = x.reshape(images, rows, step, columns, step, features)
  # [B, rows, step, columns, step, F]: the two offsets within a step join the batch axis.
  return x.transpose(0, 2, 4, 1, 3, 5).reshape(-1, rows, columns, features)
