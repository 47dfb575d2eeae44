"""Depthwise convolution: every channel with its own kernel.

    y[b, i, j, c] = sum over u, v of x[b, s i + d u, s j + d v, c] kernel[u, v, 0, c]

XLA's CPU backend computes grouped convolutions, and above all their gradients, 10 to 40 times
slower than this sum written out as shifted slices; accelerators keep their own convolution.

    with force_grouped_convolution():        # for programs that leave JAX
      logits = model.apply(variables, image, train=False)
"""

from collections.abc import Iterator, Sequence
import contextlib
import contextvars
import functools
from typing import Any

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp

from classmix_jax.models.layers.convolution import interleave
from classmix_jax.types import Array

_one_convolution = contextvars.ContextVar('one_convolution', default=False)


@contextlib.contextmanager
def force_grouped_convolution() -> Iterator[None]:
  """Within, what is traced does not choose by platform: formats such as ONNX have no choice."""
  token = _one_convolution.set(True)
  try:
    yield
  finally:
    _one_convolution.reset(token)


class Depthwise(nn.Module):
  """A depthwise convolution without bias, padded as TensorFlow's SAME.

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
    # A channel has size^2 inputs and reaches size^2 outputs, however many channels there are.
    init = nn.initializers.variance_scaling(2.0, 'fan_in', 'normal')
    kernel = self.param('kernel', init, (self.size, self.size, 1, x.shape[-1]), jnp.float32)
    return depthwise(x.astype(self.dtype), kernel.astype(self.dtype), self.stride, self.dilation)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def depthwise(x: Array, kernel: Array, stride: int, dilation: int) -> Array:
  """Convolves `[B, h, w, C]` with `[k, k, 1, C]`, channel by channel; padding SAME.

  Example:
    >>> x = jnp.arange(4.0).reshape(1, 1, 4, 1)
    >>> depthwise(x, jnp.ones((3, 3, 1, 1)), 1, 1).ravel().tolist()
    [1.0, 3.0, 6.0, 5.0]
  """
  if _one_convolution.get():
    return grouped_convolution(x, kernel, stride, dilation)
  return lax.platform_dependent(
    cpu=lambda: sum_of_shifts(x, kernel, stride, dilation),
    default=lambda: grouped_convolution(x, kernel, stride, dilation),
  )


def _forward(x: Array, kernel: Array, stride: int, dilation: int) -> tuple[Array, tuple]:
  return depthwise(x, kernel, stride, dilation), (x, kernel)


def _backward(stride: int, dilation: int, inputs: tuple, gradient: Array) -> tuple[Array, Array]:
  x, kernel = inputs

  def by_shifts():
    return (
      image_gradient_by_shifts(gradient, kernel, x.shape, stride, dilation),
      kernel_gradient_by_rows(x, gradient, kernel.shape[0], stride, dilation).astype(kernel.dtype),
    )

  def by_convolution():
    by_x = jax.vjp(lambda x: grouped_convolution(x, kernel, stride, dilation), x)[1](gradient)[0]
    return by_x, kernel_gradient_by_convolution(x, gradient, kernel, stride, dilation)

  return lax.platform_dependent(cpu=by_shifts, default=by_convolution)


# Only inputs are kept for the backward pass: differentiating through the choice of the platform
# would keep what either way needs.
depthwise.defvjp(_forward, _backward)


def grouped_convolution(x: Array, kernel: Array, stride: int, dilation: int) -> Array:
  """`depthwise` by XLA's own convolution."""
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
  """The gradient of `grouped_convolution` by its kernel, `[k, k, 1, C]`.

  With a dilation, on interleaved images: left to itself, JAX writes it as a convolution whose
  window is a whole feature map, taken in strides of the dilation, which cuDNN has no way for.
  """
  if dilation > 1:
    if stride > 1:
      raise ValueError(f'stride {stride} with dilation {dilation}: one of them must be 1')
    x, gradient = interleave(x, dilation), interleave(gradient, dilation)
  of_kernel = lambda kernel: grouped_convolution(x, kernel, stride, 1)
  return jax.linear_transpose(of_kernel, kernel)(gradient)[0]


def sum_of_shifts(x: Array, kernel: Array, stride: int, dilation: int) -> Array:
  """`depthwise` as a sum of k^2 shifted slices, added up in float32."""
  lengths = [-(-length // stride) for length in x.shape[1:3]]
  padded = _padded(x, kernel.shape[0], stride, dilation)
  return _weighted_slices(padded, kernel, lengths, stride, dilation).astype(x.dtype)


def image_gradient_by_shifts(
  gradient: Array, kernel: Array, shape: tuple[int, ...], stride: int, dilation: int
) -> Array:
  """The gradient of `sum_of_shifts` by its images of `shape`: shifts the other way.

  x[m] has part in y[i] where m + before = stride i + dilation u. So the gradient, spread out with
  stride - 1 zeros between its values, is convolved with the mirrored kernel.
  """
  reach = (kernel.shape[0] - 1) * dilation
  padding = [(0, 0, 0)]
  for axis, (before, _) in enumerate(_padding(shape, kernel.shape[0], stride, dilation), start=1):
    spread = (gradient.shape[axis] - 1) * stride + 1
    # Becomes shape[axis] + reach long; a negative amount cuts what no value of x had part in.
    padding.append((reach - before, shape[axis] + before - spread, stride - 1))
  spread = lax.pad(gradient.astype(jnp.float32), jnp.float32(0), [*padding, (0, 0, 0)])
  return _weighted_slices(spread, kernel[::-1, ::-1], shape[1:3], 1, dilation).astype(
    gradient.dtype
  )


def kernel_gradient_by_rows(
  x: Array, gradient: Array, size: int, stride: int, dilation: int
) -> Array:
  """The gradient of `sum_of_shifts` by its kernel, `[k, k, 1, C]` float32, row after row.

  As k^2 sums over whole images XLA's CPU backend would write out every shifted image, and with it
  compute again what `x` was made of: in a network that takes three times as long.
  """
  images, height, width, channels = gradient.shape
  padded = _padded(x, size, stride, dilation)
  gradient = gradient.astype(jnp.float32)

  def row_of(images: Array, image: Array, row: Array) -> Array:
    return lax.dynamic_slice(images, (image, row, 0, 0), (1, 1, *images.shape[2:])).reshape(
      images.shape[2:]
    )

  def add_row(index: Array, total: Array) -> Array:
    image, row = index // height, index % height
    wanted = row_of(gradient, image, row)
    products = []
    for u in range(size):
      found = row_of(padded, image, stride * row + dilation * u)
      for v in range(size):
        products.append(found[_seen(v, width, stride, dilation)] * wanted)
    return total + jnp.stack(products)

  total = lax.fori_loop(0, images * height, add_row, jnp.zeros((size * size, width, channels)))
  return jnp.sum(total, axis=1).reshape(size, size, 1, channels)


def _padding(shape: tuple[int, ...], size: int, stride: int, dilation: int) -> list:
  """Returns what is added before and behind of height and width."""
  reach = (size - 1) * dilation
  return lax.padtype_to_pads(shape[1:3], (reach + 1,) * 2, (stride, stride), 'SAME')


def _padded(x: Array, size: int, stride: int, dilation: int) -> Array:
  height, width = _padding(x.shape, size, stride, dilation)
  return jnp.pad(x.astype(jnp.float32), ((0, 0), height, width, (0, 0)))


def _seen(index: int, length: int, stride: int, dilation: int) -> slice:
  """Returns what the element `index` of a kernel's axis sees of a padded one."""
  start = dilation * index
  return slice(start, start + (length - 1) * stride + 1, stride)


def _weighted_slices(
  padded: Array, kernel: Array, lengths: Sequence[int], stride: int, dilation: int
) -> Array:
  """Sums the slices of `lengths` that each element of the kernel sees, times that element."""
  weight = kernel.astype(jnp.float32)
  size = len(weight)

  def weighted(u: int, v: int) -> Array:
    rows, columns = (
      _seen(index, length, stride, dilation) for index, length in zip((u, v), lengths, strict=True)
    )
    return padded[:, rows, columns] * weight[u, v].reshape(1, 1, 1, -1)

  return sum(weighted(u, v) for u in range(size) for v in range(size))
