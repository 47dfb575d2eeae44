"""Depthwise convolution: each channel has its own kernel.

    y[b, i, j, c] = sum over u, v of x[b, s i + d u, s j + d v, c] kernel[u, v, 0, c]

XLA's CPU backend (jaxlib 0.10.2) computes grouped convolutions, and above all their gradients, 10
to 40 times slower than the sum of shifted slices. Accelerators and exports
(`core/plain.py`) use the grouped convolution.
"""

from collections.abc import Sequence
import functools
from typing import Any, cast

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp

from classmix_jax.core.plain import selects_by_platform
from classmix_jax.models.layers.convolution import interleave
from classmix_jax.types import Array


class Depthwise(nn.Module):
  """Depthwise convolution without bias, with TensorFlow's padding SAME.

  Attributes:
    size: side of the kernel, odd.
    stride, dilation: of the convolution.
    dtype: of the result; the parameter is float32.
  """

  size: int
  stride: int
  dilation: int
  dtype: Any

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Maps `[B, h, w, C]` to `[B, ceil(h / stride), ceil(w / stride), C]`."""
    # Both fan-in and fan-out are size^2, independent of the number of channels.
    init = nn.initializers.variance_scaling(2.0, 'fan_in', 'normal')
    kernel = self.param('kernel', init, (self.size, self.size, 1, x.shape[-1]), jnp.float32)
    convolve = depthwise if selects_by_platform() else grouped_convolution
    return convolve(x.astype(self.dtype), kernel.astype(self.dtype), self.stride, self.dilation)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def depthwise(x: Array, kernel: Array, stride: int, dilation: int) -> Array:
  """Convolves `[B, h, w, C]` with `[k, k, 1, C]`, channel by channel, with padding SAME.

  Example:
    >>> x = jnp.arange(4.0).reshape(1, 1, 4, 1)
    >>> depthwise(x, jnp.ones((3, 3, 1, 1)), 1, 1).ravel().tolist()
    [1.0, 3.0, 6.0, 5.0]
  """
  return lax.platform_dependent(
    cpu=lambda: sum_of_shifts(x, kernel, stride, dilation),
    default=lambda: grouped_convolution(x, kernel, stride, dilation),
  )


def _forward(x: Array, kernel: Array, stride: int, dilation: int) -> tuple[Array, tuple]:
  return depthwise(x, kernel, stride, dilation), (x, kernel)


def _backward(stride: int, dilation: int, inputs: tuple, gradient: Array) -> tuple[Array, Array]:
  x, kernel = inputs

  def differentiate_shifts():
    return (
      image_gradient_by_shifts(gradient, kernel, x.shape, stride, dilation),
      kernel_gradient_by_rows(x, gradient, kernel.shape[0], stride, dilation).astype(kernel.dtype),
    )

  def differentiate_convolution():
    _, transpose = jax.vjp(lambda x: grouped_convolution(x, kernel, stride, dilation), x)
    return transpose(gradient)[0], kernel_gradient_by_convolution(
      x, gradient, kernel, stride, dilation
    )

  return lax.platform_dependent(cpu=differentiate_shifts, default=differentiate_convolution)


# A custom gradient saves the inputs only. Differentiating `platform_dependent` would save the
# residuals of both branches.
depthwise.defvjp(_forward, _backward)


def grouped_convolution(x: Array, kernel: Array, stride: int, dilation: int) -> Array:
  """Computes `depthwise` as one grouped convolution of XLA."""
  return lax.conv_general_dilated(
    x,
    kernel,
    (stride, stride),
    'SAME',
    rhs_dilation=(dilation, dilation),
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    feature_group_count=x.shape[-1],
  )


def kernel_gradient_by_convolution(
  x: Array, gradient: Array, kernel: Array, stride: int, dilation: int
) -> Array:
  """Computes the gradient of `grouped_convolution` by its kernel, `[k, k, 1, C]`.

  With a dilation, the images are interleaved first: by default JAX computes the gradient as a
  convolution whose window is a whole feature map and whose strides are the dilation, for which
  cuDNN has no algorithm.

  Raises:
    ValueError: both stride and dilation are larger than 1.
  """
  if dilation > 1:
    if stride > 1:
      raise ValueError(f'stride {stride} with dilation {dilation}: one of them must be 1')
    x, gradient = interleave(x, dilation), interleave(gradient, dilation)

  def convolve(kernel: Array) -> Array:
    return grouped_convolution(x, kernel, stride, 1)

  return jax.linear_transpose(convolve, kernel)(gradient)[0]


def sum_of_shifts(x: Array, kernel: Array, stride: int, dilation: int) -> Array:
  """Computes `depthwise` as a sum of k^2 shifted slices, in float32."""
  lengths = [-(-length // stride) for length in x.shape[1:3]]
  padded = _padded(x, kernel.shape[0], stride, dilation)
  return _weighted_slices(padded, kernel, lengths, stride, dilation).astype(x.dtype)


def image_gradient_by_shifts(
  gradient: Array, kernel: Array, shape: tuple[int, ...], stride: int, dilation: int
) -> Array:
  """Computes the gradient of `sum_of_shifts` by its images, which have `shape`.

  x[m] contributes to y[i] if m + before = stride i + dilation u. So the gradient, with stride - 1
  zeros between its values, is convolved with the mirrored kernel.
  """
  reach = (kernel.shape[0] - 1) * dilation
  padding = [(0, 0, 0)]
  for axis, (before, _) in enumerate(_padding(shape, kernel.shape[0], stride, dilation), start=1):
    spread_length = (gradient.shape[axis] - 1) * stride + 1
    # The padded length is shape[axis] + reach. Negative padding removes values without influence.
    padding.append((reach - before, shape[axis] + before - spread_length, stride - 1))
  spread = lax.pad(gradient.astype(jnp.float32), jnp.float32(0), [*padding, (0, 0, 0)])
  return _weighted_slices(spread, kernel[::-1, ::-1], shape[1:3], 1, dilation).astype(
    gradient.dtype
  )


def kernel_gradient_by_rows(
  x: Array, gradient: Array, size: int, stride: int, dilation: int
) -> Array:
  """Computes the gradient of `sum_of_shifts` by its kernel, `[k, k, 1, C]` float32, by rows.

  For k^2 sums over whole images, XLA's CPU backend (jaxlib 0.10.2) would materialize each shifted
  image and recompute the producers of `x` each time, which triples the time in a network.
  """
  images, height, width, channels = gradient.shape
  padded = _padded(x, size, stride, dilation)
  gradient = gradient.astype(jnp.float32)

  def take_row(images: Array, image: Array, row: Array) -> Array:
    return lax.dynamic_slice(images, (image, row, 0, 0), (1, 1, *images.shape[2:])).reshape(
      images.shape[2:]
    )

  def add_row(index: Array, total: Array) -> Array:
    image, row = index // height, index % height
    gradient_row = take_row(gradient, image, row)
    products = []
    for u in range(size):
      input_row = take_row(padded, image, stride * row + dilation * u)
      for v in range(size):
        products.append(input_row[_element_slice(v, width, stride, dilation)] * gradient_row)
    return total + jnp.stack(products)

  total = lax.fori_loop(0, images * height, add_row, jnp.zeros((size * size, width, channels)))
  return jnp.sum(total, axis=1).reshape(size, size, 1, channels)


def _padding(shape: tuple[int, ...], size: int, stride: int, dilation: int) -> list:
  """Returns the padding SAME (before, after) of height and width."""
  reach = (size - 1) * dilation
  return lax.padtype_to_pads(shape[1:3], (reach + 1,) * 2, (stride, stride), 'SAME')


def _padded(x: Array, size: int, stride: int, dilation: int) -> Array:
  height, width = _padding(x.shape, size, stride, dilation)
  return jnp.pad(x.astype(jnp.float32), ((0, 0), height, width, (0, 0)))


def _element_slice(index: int, length: int, stride: int, dilation: int) -> slice:
  """Returns the slice of a padded axis that a kernel element multiplies."""
  start = dilation * index
  return slice(start, start + (length - 1) * stride + 1, stride)


def _weighted_slices(
  padded: Array, kernel: Array, lengths: Sequence[int], stride: int, dilation: int
) -> Array:
  """Sums the slices of each kernel element, of `lengths`, weighted by that element."""
  weight = kernel.astype(jnp.float32)
  size = len(weight)

  def weigh(u: int, v: int) -> Array:
    rows, columns = (
      _element_slice(index, length, stride, dilation)
      for index, length in zip((u, v), lengths, strict=True)
    )
    x = lax.slice_in_dim(padded, rows.start, rows.stop, stride, axis=1)
    x = lax.slice_in_dim(x, columns.start, columns.stop, stride, axis=2)
    return x * weight[u, v].reshape(1, 1, 1, -1)

  taps = (weigh(u, v) for u in range(size) for v in range(size))
  return cast(Array, sum(taps))
