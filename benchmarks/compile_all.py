"""Compiles training steps for accelerators that are not present, and checks the programs.

    python benchmarks/compile_all.py [--only=TEXT,TEXT] [--jobs=2] \
        [--output=benchmarks/results/accelerators.json]

Every backbone (supervised, ClassMix), every method on `tiny` and two heads with skip connections
for an H100, in bfloat16; ResNet-50 for eight of them; ResNet-101 for TPUs v5e, `tiny` for v5e and
v6e. Needs `pip install '.[aot]'` and no accelerator: one to three minutes a program, ten for
ResNet-101 on a TPU. Each is compiled in a separate process, because XLA may abort. Ends with status
1 if one aborts or has a fault.
"""

import argparse
from concurrent.futures import ThreadPoolExecutor, as_completed
import json
import os
from pathlib import Path
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ['JAX_PLATFORMS'] = 'cpu'

import json_file  # noqa: E402
from provenance import provenance  # noqa: E402

from classmix_jax.methods import METHODS  # noqa: E402
from classmix_jax.models.backbones import BACKBONES  # noqa: E402

HERE = Path(__file__).resolve().parent
HEADS = {  # the others: deeplab_v2
  'tiny': 'conv3x3',
  'efficientnet_lite0': 'deeplab_v3plus_small',
  **{name: f'dpt_{name.split("_")[1]}' for name in BACKBONES if name.startswith('dinov2')},
}


class Program(NamedTuple):
  """A training step to compile: `batch` labelled and unlabelled images each, of `size`."""

  topology: str
  backbone: str
  method: str
  size: str = '512,1024'
  batch: int = 2
  classes: int = 19
  remat: str = 'off'
  head: str = ''  # '' is that of HEADS
  frozen: str = 'off'

  @property
  def name(self) -> str:
    large = f' {self.batch} + {self.batch}' if self.batch > 4 else ''
    large += f' of {self.size.split(",")[0]}' if self.backbone.startswith('dinov2') else ''
    network = f'{self.backbone} {self.head}'.strip()
    options = ' remat' * (self.remat == 'on') + ' frozen' * (self.frozen == 'on')
    return f'{self.topology} {network} {self.method}{large}{options}'

  @property
  def images(self) -> str:
    one = str(self.batch)
    return (
      f'{one if self.method == "supervised" else f"{one} + {one}"} of {self.size.replace(",", "x")}'
    )


# The crops of UniMatch V2 on Pascal VOC and on Cityscapes, whole batches on one device.
VOC = {'size': '518,518', 'batch': 16, 'classes': 21}
CITYSCAPES = {'size': '798,798', 'batch': 8, 'classes': 19}
SMALL = {'size': '128,160', 'batch': 4, 'classes': 11}


def programs() -> list[Program]:
  """Returns the programs of `make accelerators`, the slowest to compile first."""
  return [
    Program('v5e:2x2', 'resnet101', 'classmix'),
    Program('v5e:2x2', 'resnet101', 'classmix', remat='on'),
    *(
      Program('h100', backbone, method)
      for backbone in reversed(BACKBONES)
      for method in ('classmix', 'supervised')
      if backbone != 'tiny' and not backbone.startswith('dinov2')
    ),
    *(
      Program(topology, f'dinov2_{size}', 'unimatch_v2', **crops, remat=remat)
      for topology in ('h100', 'v5e:2x2')
      for size in ('base', 'small')
      for crops in (VOC, CITYSCAPES)
      for remat in ('off', 'on')
    ),
    Program('h100', 'dinov2_small_reg4', 'supervised', **VOC),
    Program('h100', 'dinov2_small', 'unimatch_v2', **VOC, frozen='on'),
    Program('h100', 'dinov2_small', 'classmix', **VOC, frozen='on'),
    Program('h100', 'dinov2_small', 'supervised', **VOC, frozen='on', head='linear'),
    Program('h100', 'resnet101', 'classmix', remat='on'),
    Program('h100', 'resnet101', 'classmix', batch=16),
    Program('h100:8', 'resnet50', 'classmix'),
    Program('h100', 'resnet18_tv', 'classmix', head='unet'),
    Program('h100', 'efficientnet_lite0', 'classmix', head='fpn'),
    Program('v5e:2x2', 'tiny', 'classmix', **SMALL),
    Program('v6e:2x2', 'tiny', 'classmix', **SMALL),
    *(Program('h100', 'tiny', method, **SMALL) for method in METHODS),
  ]


def measure(program: Program) -> dict:
  """Compiles a program in a separate process; returns its row."""
  with tempfile.TemporaryDirectory() as directory:
    path, begin = Path(directory) / 'result.json', time.monotonic()
    done = subprocess.run(
      [
        sys.executable,
        str(HERE / 'memory.py'),
        f'--topology={program.topology}',
        f'--backbone={program.backbone}',
        f'--head={program.head or HEADS.get(program.backbone, "deeplab_v2")}',
        f'--method={program.method}',
        f'--size={program.size}',
        f'--batch={program.batch}',
        f'--classes={program.classes}',
        '--dtype=bfloat16',
        f'--remat={program.remat}',
        f'--frozen={program.frozen}',
        '--accumulate=1',
        f'--output={path}',
      ],
      # No cache: compiling is under test.
      env={**os.environ, 'JAX_ENABLE_COMPILATION_CACHE': 'false'},
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
    )
    row = (
      json.loads(path.read_text())['rows'][0]
      if path.exists()
      else {'faults': [f'compiling ended with status {done.returncode}: {last_words(done.stdout)}']}
    )
  return {
    'name': program.name,
    **provenance('jax', 'jaxlib'),
    **program._asdict(),
    'images': program.images,
    'wall_s': time.monotonic() - begin,
    **row,
  }


def last_words(output: str) -> str:
  """Returns the line with the cause of a failure: XLA's fatal one, or the last."""
  lines = [line for line in output.splitlines() if line.strip()] or ['']
  return next((line for line in lines if 'Check failed' in line), lines[-1])[:300]


def printed(row: dict) -> str:
  if 'temp' not in row:
    return f'{row["name"]:44}  {row["faults"][0]}'
  return (
    f'{row["name"]:44}{row["temp"]:8.0f} MiB{row["kernels"]:6} kernels'
    f'{row["gigabytes"]:8.1f} GB{row["work_ms"] + row["launch_ms"]:7.1f} ms'
    f'{row["collectives"]:5} collectives{row["wall_s"]:6.0f} s'
    + ''.join(f'\n  FAULT: {fault}' for fault in row['faults'])
  )


def write(path: Path, rows: list[dict]) -> None:
  """Writes rows; rows of other programs stay in the file."""
  earlier_rows = json.loads(path.read_text())['rows'] if path.exists() else []
  result = {row['name']: row for row in [*earlier_rows, *rows]}
  order = [one.name for one in programs()]
  ordered = sorted(result.values(), key=lambda row: order.index(row['name']))
  json_file.write(path, {'rows': ordered})


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--only', default='', help='programs whose name contains one of these')
  parser.add_argument('--jobs', type=int, default=2)
  parser.add_argument('--output', type=Path)
  options = parser.parse_args()
  patterns = options.only.split(',')
  chosen = [one for one in programs() if any(text in f'{one.name} ' for text in patterns)]
  if not chosen:
    parser.error(f'--only={options.only} fits none of: ' + ', '.join(x.name for x in programs()))
  rows = []
  with ThreadPoolExecutor(options.jobs) as pool:
    for done in as_completed(pool.submit(measure, one) for one in chosen):
      rows.append(done.result())
      print(printed(rows[-1]), flush=True)
      if options.output:
        write(options.output, rows)
  faulty = sum(bool(row['faults']) for row in rows)
  print(f'{len(rows)} programs compiled, {faulty} with faults')
  sys.exit(bool(faulty))


if __name__ == '__main__':
  main()
