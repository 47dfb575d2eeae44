"""Prints the memory of a training step as computed by XLA; nothing is executed.

    python benchmarks/memory.py [--backbone=resnet50] [--size=321,321] [--batch=4]
        [--method=supervised,classmix] [--dtype=float32,bfloat16] [--remat=off,on]
        [--accumulate=1,2,4] [--frozen=off,on] [--classes=21] [--topology=h100]
        [--output=FILE.json]

Compiles the step for every combination, on the CPU and for one device, and prints the compiler's
allocation in MiB:

    temp        activations, gradients and scratch: reduced by accumulation and remat
    argument    the state (parameters, momentum, teacher) and the batch
    output      the new state, which overwrites the old one

--topology compiles for accelerators that need not be there (pip install '.[aot]'): h100, h100:8,
v5e:2x2, v6e:2x2, ..., with --batch labelled and unlabelled images on each: a minute or more for
every combination. Then it also prints the kernels of a step, their bytes, the
collectives, the kinds of work with a roofline of each, and faults, which make a step slow or wrong.
"""

import argparse
import itertools
import json
import os
from pathlib import Path
import platform
import sys

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ['JAX_PLATFORMS'] = 'cpu'
if not any(argument.startswith('--topology') for argument in sys.argv):
  # Machine code for the CPU is not optimized, as it never runs; buffers are the same.
  os.environ['XLA_FLAGS'] = os.environ.get('XLA_FLAGS', '') + ' --xla_backend_optimization_level=0'

from compiled.step import Setting, analysis, compile_step, memory  # noqa: E402
from compiled.targets import CARDS, family, open_devices  # noqa: E402
from provenance import provenance  # noqa: E402

from classmix_jax.models.backbones import BACKBONES  # noqa: E402
from classmix_jax.models.heads import HEADS  # noqa: E402


def parse() -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--backbone', default='resnet50', choices=BACKBONES)
  parser.add_argument('--head', default='deeplab_v2', choices=HEADS)
  parser.add_argument(
    '--size',
    default='321,321',
    help='height and width of the crop',
    type=lambda text: tuple(map(int, text.split(','))),
  )
  parser.add_argument('--batch', type=int, default=4, help='labelled images, and unlabelled ones')
  parser.add_argument('--classes', type=int, default=21)
  for name, values in (
    ('method', 'supervised,classmix'),
    ('dtype', 'float32,bfloat16'),
    ('remat', 'off,on'),
    ('accumulate', '1,2,4'),
    ('frozen', 'off'),
  ):
    parser.add_argument(f'--{name}', default=values, type=lambda text: text.split(','))
  parser.add_argument('--topology', default='', help='to compile for, e.g. h100 or v5e:2x2')
  parser.add_argument('--output', type=Path)
  return parser.parse_args()


def settings(options: argparse.Namespace) -> list[Setting]:
  """Returns every combination."""
  return [
    Setting(
      options.backbone,
      options.head,
      method,
      options.size,
      options.batch,
      options.classes,
      dtype,
      remat == 'on',
      int(parts),
      frozen == 'on',
    )
    for method, dtype, parts, remat, frozen in itertools.product(
      options.method, options.dtype, options.accumulate, options.remat, options.frozen
    )
  ]


def measure(setting: Setting, topology: str) -> dict:
  """Compiles one step; returns a row of the result."""
  compiled = compile_step(setting, open_devices(topology))
  row = {
    'method': setting.method,
    'dtype': setting.dtype,
    'remat': 'on' if setting.remat else 'off',
    'accumulate': setting.accumulate,
    'frozen': 'on' if setting.frozen else 'off',
    **memory(compiled),
  }
  if topology:
    row |= analysis(compiled, CARDS[family(topology)], setting.dtype == 'bfloat16')
  return row


def printed(row: dict) -> str:
  """Returns a row as text, with the analysis of a topology below it."""
  line = (
    f'{row["method"]:14}{row["dtype"]:10}{row["remat"]:>6}{row["accumulate"]:>6}'
    f'{row["temp"]:9.0f}{row["argument"]:9.0f}{row["output"]:8.0f}{row["seconds"]:8.0f} s'
  )
  if 'kernels' not in row:
    return line
  lines = [line, '']
  lines += [
    f'  {part["ms"]:7.2f} ms{part["bytes"] / 1e9:8.2f} GB{part["operations"] / 1e12:7.2f} '
    f'TFLOP{part["launches"]:6} kernels  {name}'
    for name, part in row['kinds'].items()
  ]
  lines += [
    f'  {row["work_ms"]:7.2f} ms{row["gigabytes"]:8.2f} GB{row["teraflop"]:7.2f} TFLOP'
    f'{row["kernels"]:6} kernels  all, and {row["launch_ms"]:.1f} ms for launches: '
    f'{row["work_ms"] + row["launch_ms"]:.1f} ms by the roofline',
    f'  {row["collectives"]} collectives of {row["collective_mb"]:.1f} MB',
    '  ' + ', '.join(f'{name} {count}' for name, count in row['fusions'].items()),
    *(f'  FAULT: {fault}' for fault in row['faults']),
  ]
  return '\n'.join(lines)


def report(options: argparse.Namespace, rows: list[dict]) -> str:
  target = options.topology or f'the CPU ({platform.machine()})'
  return (
    json.dumps(
      {
        'device': f'compiled for {target}, not executed',
        'unit': 'MiB',
        **provenance('jax', 'jaxlib'),
        'backbone': options.backbone,
        'head': options.head,
        'size': options.size,
        'batch': options.batch,
        'classes': options.classes,
        'topology': options.topology,
        'rows': rows,
      },
      indent=1,
    )
    + '\n'
  )


def main() -> None:
  options, rows = parse(), []
  print(
    f'{"method":14}{"dtype":10}{"remat":>6}{"parts":>6}{"temp":>9}{"argument":>9}{"output":>8}'
    f'{"compiled":>10}',
    flush=True,
  )
  for setting in settings(options):
    rows.append(measure(setting, options.topology))
    print(printed(rows[-1]), flush=True)
    if options.output:  # after every row: a compilation may take minutes
      options.output.write_text(report(options, rows))
  if any(row.get('faults') for row in rows):
    sys.exit(1)


if __name__ == '__main__':
  main()
