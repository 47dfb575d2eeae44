"""How much memory a training step needs, by XLA's own account; nothing is executed.

    python benchmarks/memory.py [--backbone=resnet50] [--size=321,321] [--batch=4]
        [--method=supervised,classmix] [--dtype=float32,bfloat16] [--remat=off,on]
        [--accumulate=1,2,4] [--topology=v5e:2x2] [--output=benchmarks/results/memory.json]

Compiles the step for every combination, on the CPU and for one device, and prints
what the compiler has laid out, in MiB:

    temp        activations, gradients and scratch: what accumulation and remat lower
    argument    the state (parameters, momentum, teacher) and the batch
    output      the new state; it takes the place of the old one

--topology compiles for TPUs that need not be there (pip install libtpu), each with --batch
labelled and unlabelled images: minutes for every combination.
"""

import argparse
import itertools
import json
import os
from pathlib import Path
import platform
import sys
import time

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ['JAX_PLATFORMS'] = 'cpu'
# Machine code is not optimised, as it never runs; buffers are the same.
os.environ['XLA_FLAGS'] = os.environ.get('XLA_FLAGS', '') + ' --xla_backend_optimization_level=0'

import jax  # noqa: E402
from jax.experimental import topologies  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from provenance import provenance  # noqa: E402

from classmix_jax.backbones import BACKBONES  # noqa: E402
from classmix_jax.build import DTYPES  # noqa: E402
from classmix_jax.core.optim import poly_optimizer  # noqa: E402
from classmix_jax.methods import METHODS  # noqa: E402
from classmix_jax.models.heads import HEADS  # noqa: E402
from classmix_jax.models.segmenter import with_head  # noqa: E402
from classmix_jax.train import create_state, make_train_step  # noqa: E402
from classmix_jax.types import Batch, Example  # noqa: E402

CLASSES = 21
MIB = 2**20


def devices_of(topology: str) -> list[jax.Device]:
  """Returns the devices to compile for: those of a topology, or one CPU."""
  if not topology:
    return jax.devices()[:1]
  # What a TPU machine would tell; without it libtpu looks for one in the network.
  os.environ |= {'TPU_SKIP_MDS_QUERY': '1', 'TPU_WORKER_HOSTNAMES': 'localhost'}
  return topologies.get_topology_desc(topology, 'tpu').devices


def example(devices: int, count: int, accumulate: int, size: tuple[int, int]) -> Example:
  """Returns the shapes of `[D, A, b, H, W]` images, labels and padding."""
  shape = (devices, accumulate, count // accumulate, *size)
  return Example(
      jax.ShapeDtypeStruct((*shape, 3), jnp.uint8), jax.ShapeDtypeStruct(shape, jnp.uint8),
      jax.ShapeDtypeStruct(shape, jnp.bool_))


def measure(
    options: argparse.Namespace, method: str, dtype: str, remat: bool, accumulate: int
) -> dict[str, float]:
  """Compiles one step; returns MiB of temporaries, arguments and results, and seconds."""
  backbone = BACKBONES[options.backbone](dtype=DTYPES[dtype], remat=remat)
  model = with_head(backbone, HEADS[options.head], CLASSES)
  method = METHODS[method](model, CLASSES)
  tx, devices = poly_optimizer(1e-3, 1000), devices_of(options.topology)
  image = jax.ShapeDtypeStruct((1, *options.size, 3), jnp.float32)
  state = jax.eval_shape(
      lambda key: create_state(method, tx, key, image, jax.devices()), jax.random.key(0))
  batch = Batch(*[example(len(devices), options.batch, accumulate, options.size)] * 2)
  begin = time.perf_counter()
  step = make_train_step(method, tx, 0, devices, accumulate=accumulate)
  found = step.lower(state, batch).compile().memory_analysis()
  return {
      'temp': found.temp_size_in_bytes / MIB, 'argument': found.argument_size_in_bytes / MIB,
      'output': found.output_size_in_bytes / MIB, 'seconds': time.perf_counter() - begin}


def parse() -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--backbone', default='resnet50', choices=BACKBONES)
  parser.add_argument('--head', default='deeplab_v2', choices=HEADS)
  parser.add_argument(
      '--size', default='321,321', help='height and width of the crop',
      type=lambda text: tuple(map(int, text.split(','))))
  parser.add_argument('--batch', type=int, default=4, help='labelled images, and unlabelled ones')
  for name, values in (('method', 'supervised,classmix'), ('dtype', 'float32,bfloat16'),
                       ('remat', 'off,on'), ('accumulate', '1,2,4')):
    parser.add_argument(f'--{name}', default=values, type=lambda text: text.split(','))
  parser.add_argument('--topology', default='', help='of TPUs to compile for, e.g. v5e:2x2')
  parser.add_argument('--output', type=Path)
  return parser.parse_args()


def report(options: argparse.Namespace, rows: list[dict]) -> str:
  target = f'TPUs {options.topology}' if options.topology else f'the CPU ({platform.machine()})'
  return json.dumps({
      'device': f'compiled for {target}, not executed', 'unit': 'MiB',
      **provenance('jax', 'jaxlib'), 'backbone': options.backbone,
      'head': options.head, 'size': options.size, 'batch': options.batch, 'classes': CLASSES,
      'rows': rows}, indent=1) + '\n'


def main() -> None:
  options, rows = parse(), []
  print(f'{"method":12}{"dtype":10}{"remat":>6}{"parts":>6}{"temp":>9}{"argument":>9}{"output":>8}',
        flush=True)
  for method, dtype, parts, remat in itertools.product(
      options.method, options.dtype, options.accumulate, options.remat):
    row = {'method': method, 'dtype': dtype, 'remat': remat, 'accumulate': int(parts)}
    row |= measure(options, method, dtype, remat == 'on', int(parts))
    rows.append(row)
    print(f'{method:12}{dtype:10}{remat:>6}{parts:>6}{row["temp"]:9.0f}{row["argument"]:9.0f}'
          f'{row["output"]:8.0f}', flush=True)
    if options.output:  # after every row: a compilation may take minutes
      options.output.write_text(report(options, rows))


if __name__ == '__main__':
  main()
