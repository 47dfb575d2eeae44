"""Times implementations of a convolution: forward, and the gradients of images and kernel.

    python benchmarks/ops.py [--batch=4] [--size=41] [--only=NAME] [--repeats=5] \
        [--dtype=float32] [--output=benchmarks/results/FILE.json]

The shapes are those of DeepLab-v2 on a ResNet with bottlenecks at output stride 8, where a crop
of 321x321 has features of 41x41. Prints GFLOP/s of the fastest run; all implementations count the
same 2 B h w k^2 F G operations. A star marks the implementation that the network uses.
"""

import argparse
import functools
import json
import os
from pathlib import Path
import platform
import sys
import time
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import jax  # noqa: E402
from jax import lax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from provenance import provenance  # noqa: E402

from classmix_jax.models.layers import convolution  # noqa: E402


class Layer(NamedTuple):
  """A convolution of stride 1 that keeps the size; `scale`: size relative to output stride 8."""

  name: str
  inputs: int
  outputs: int
  side: int = 3
  dilation: int = 1
  scale: int = 1


LAYERS = (
  Layer('layer1 1x1', 256, 64, 1, scale=2),
  Layer('layer1 3x3', 64, 64, scale=2),
  Layer('layer2 3x3', 128, 128),
  Layer('layer3 reduce', 1024, 256, 1),
  Layer('layer3 expand', 256, 1024, 1),
  Layer('layer3 dilated', 256, 256, dilation=2),
  Layer('layer4 dilated', 512, 512, dilation=4),
  Layer('head 6', 2048, 19, dilation=6),
  Layer('head 12', 2048, 19, dilation=12),
)


def in_interleaved_images(x, kernel, strides, padding, *, rhs_dilation, **options):
  """Computes the convolution in space to batch, with both conversions."""
  del padding
  step, reach = rhs_dilation[0], (kernel.shape[0] - 1) // 2
  y = lax.conv_general_dilated(
    convolution.interleave(x, step), kernel, strides, [(reach, reach)] * 2, **options
  )
  images, height, width, features = y.shape
  y = y.reshape(-1, step, step, height, width, features).transpose(0, 3, 1, 4, 2, 5)
  return y.reshape(-1, height * step, width * step, features)[:, : x.shape[1], : x.shape[2]]


def products_of_shifts(x, kernel, strides, padding, *, rhs_dilation, **options):
  """Computes the convolution as k^2 products of shifted images, one per kernel element."""
  del strides
  padded = jnp.pad(x, ((0, 0), *padding, (0, 0)))
  height, width = x.shape[1:3]
  total = 0.0
  for u in range(kernel.shape[0]):
    for v in range(kernel.shape[1]):
      row, column = u * rhs_dilation[0], v * rhs_dilation[1]
      seen = padded[:, row : row + height, column : column + width]
      # Sums over the input channels f at this offset of the kernel.
      total += jnp.einsum('bhwf,fg->bhwg', seen, kernel[u, v], precision=options['precision'])
  return total


def einsum(x, kernel, *unused, **options):
  """Computes a 1x1 convolution as one product, with the gradients that JAX derives."""
  del unused
  # Sums over the input channels f of every pixel.
  return jnp.einsum('bhwf,fg->bhwg', x, kernel[0, 0], precision=options['precision'])


def ways(layer: Layer) -> dict[str, tuple]:
  """Returns name -> (function, whether the network uses it)."""
  result = {'convolution': (lax.conv_general_dilated, False)}
  if layer.side == 1:
    return {**result, 'einsum': (einsum, False), 'pointwise': (convolution.pointwise, True)}
  if layer.outputs < 64:
    return {**result, 'product_and_shifts': (convolution.product_and_shifts, True)}
  result['products_of_shifts'] = (products_of_shifts, False)
  if layer.dilation > 1:
    result['in_interleaved_images'] = (in_interleaved_images, False)
  return {**result, 'same_size': (convolution.same_size, True)}


def seconds(function, *inputs, repeats: int) -> float:
  run = jax.jit(function)
  jax.block_until_ready(run(*inputs))
  times = []
  for _ in range(repeats):
    begin = time.perf_counter()
    jax.block_until_ready(run(*inputs))
    times.append(time.perf_counter() - begin)
  return min(times)


def measure(layer: Layer, way, options: argparse.Namespace) -> dict[str, float]:
  """Returns GFLOP/s of the three directions."""
  rs, size = np.random.RandomState(0), (options.size - 1) * layer.scale + 1
  shape = (options.batch, size, size)
  x = jnp.asarray(rs.randn(*shape, layer.inputs), options.dtype)
  kernel = jnp.asarray(rs.randn(*[layer.side] * 2, layer.inputs, layer.outputs), options.dtype)
  gradient = jnp.asarray(rs.randn(*shape, layer.outputs), options.dtype)
  reach = layer.dilation * (layer.side - 1) // 2
  forward = functools.partial(
    way,
    window_strides=(1, 1),
    padding=[(reach, reach)] * 2,
    rhs_dilation=(layer.dilation,) * 2,
    dimension_numbers=convolution.DIMENSIONS,
    precision=None,
  )
  if way is not lax.conv_general_dilated:

    def forward(x, kernel):
      return way(
        x,
        kernel,
        (1, 1),
        [(reach, reach)] * 2,
        rhs_dilation=(layer.dilation,) * 2,
        dimension_numbers=convolution.DIMENSIONS,
        precision=None,
      )

  def by_x(x, kernel, gradient):
    return jax.vjp(lambda x: forward(x, kernel), x)[1](gradient)

  def by_kernel(x, kernel, gradient):
    return jax.vjp(lambda kernel: forward(x, kernel), kernel)[1](gradient)

  operations = 2 * np.prod(shape) * layer.side**2 * layer.inputs * layer.outputs / 1e9
  time_of = functools.partial(seconds, repeats=options.repeats)
  return {
    'forward': operations / time_of(forward, x, kernel),
    'by_images': operations / time_of(by_x, x, kernel, gradient),
    'by_kernel': operations / time_of(by_kernel, x, kernel, gradient),
  }


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--batch', type=int, default=4)
  parser.add_argument('--size', type=int, default=41)
  parser.add_argument('--only', default='', help='layers whose name contains this')
  parser.add_argument('--repeats', type=int, default=5)
  parser.add_argument('--dtype', default='float32', choices=('float32', 'bfloat16'))
  parser.add_argument('--output', default='')
  options = parser.parse_args()
  device = jax.devices()[0]
  rows = []
  print(f'{"GFLOP/s":16}{"":24}{"forward":>9}{"by images":>11}{"by kernel":>11}')
  for layer in LAYERS:
    if options.only not in layer.name:
      continue
    for name, (way, used) in ways(layer).items():
      result = measure(layer, way, options)
      rows.append({'layer': layer._asdict(), 'way': name, 'used': used, **result})
      print(
        f'{layer.name:16}{name + " *" * used:24}{result["forward"]:9.0f}'
        f'{result["by_images"]:11.0f}{result["by_kernel"]:11.0f}',
        flush=True,
      )
  if options.output:
    text = {
      'device': f'{device.device_kind} {platform.machine()} ({len(os.sched_getaffinity(0))} cores)',
      'unit': 'GFLOP/s',
      **provenance('jax', 'jaxlib'),
      **vars(options),
      'rows': rows,
    }
    Path(options.output).write_text(json.dumps(text, indent=1) + '\n')


if __name__ == '__main__':
  main()
